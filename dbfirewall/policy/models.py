"""The rules file as frozen values: what `loader.load_rules` yields and everything else reads.

The YAML shape is documented in docs/rules.md. A rule is a mapping with exactly one of the keys `allow`,
`deny` and `gate`, whose value names actions; here that is `Rule.effect` and `Rule.actions`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dbfirewall.policy.base import Model
from dbfirewall.policy.fields import (
    COLUMN_ACTIONS,
    FUNCTION_ACTIONS,
    KIND_ACTIONS,
    PARAMETER_ACTIONS,
    RELATION_ACTIONS,
    RELATION_KINDS,
    ROW_ACTIONS,
    WHERE_ACTIONS,
    Actions,
    Columns,
    Duration,
    Frequency,
    Hold,
    Listed,
    Patterns,
    Schemas,
    Texts,
    nearest,
    rules_error,
)
from dbfirewall.policy.names import EVERYTHING, Object
from dbfirewall.policy.parties import Approver, Database, Notify
from dbfirewall.sql.actions import EVERYTHING as EVERY_ACTION
from dbfirewall.sql.actions import GROUPS, groups_of
from dbfirewall.sql.functions import DENIED as PAST_THE_RULES

EFFECTS = ("allow", "deny", "gate")

GATE_KEYS = (
    "approvers", "approvals", "hold", "hold_in_transaction", "cancel_on_disconnect", "expires", "preview", "undo",
)  # fmt: skip
"""Keys of a rule that say how a gate is opened."""


def _all_is_none(columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if columns is not None and "*" in columns else columns


class Rule(Model):
    """One allow, deny or gate.

    `actions`: actions and groups. `on`: the objects; everything where empty. `columns`: None for all of them.
    `kind`: kinds of object, for create, alter, drop, … `require_where`, `max_rows_affected`: conditions of an
    allow. `id`: what the audit calls it.

    Of a gate: `approvers`, the groups that may approve; `approvals`, how many different people have to.
    `hold`, `expires`: milliseconds; None: the role's, the default. `preview`: None, the default.
    """

    effect: Literal["allow", "deny", "gate"]
    actions: Actions
    on: Patterns = ()
    columns: Annotated[Columns | None, AfterValidator(_all_is_none)] = None
    kind: Texts = ()
    reason: str = ""
    id: str = ""
    require_where: bool = False
    max_rows_affected: Annotated[int, Field(ge=1)] | None = None
    approvers: Texts = ()
    approvals: Annotated[int, Field(ge=1)] = 1
    hold: Hold | None = None
    hold_in_transaction: bool = False
    cancel_on_disconnect: bool = False
    expires: Duration | None = None
    preview: Literal["rows", "plan", "none"] | None = None
    undo: Literal["rows", "none"] = "none"

    @classmethod
    def yaml_keys(cls) -> frozenset[str]:
        """The keys that a user may write: the effect's name stands for `effect` and `actions`."""
        return frozenset(cls.model_fields) - {"effect", "actions"} | set(EFFECTS)

    @model_validator(mode="before")
    @classmethod
    def _one_effect(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "effect" in value:
            return value
        given = [key for key in value if key in EFFECTS]
        if len(given) > 1:
            raise rules_error(
                f"one rule has one of allow, deny and gate, not {' and '.join(given)}", key=given[1]
            )
        if not given:
            unknown = [str(key) for key in value if key not in cls.yaml_keys()]
            hint = next((close for key in unknown if (close := nearest(key, EFFECTS))), "")
            raise rules_error(
                f"a rule begins with allow, deny or gate{hint}", key=unknown[0] if unknown else ""
            )
        rest = {key: item for key, item in value.items() if key != given[0]}
        return {"effect": given[0], "actions": value[given[0]], **rest}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_patterns()
        for key, actions in (
            ("columns", COLUMN_ACTIONS),
            ("require_where", WHERE_ACTIONS),
            ("max_rows_affected", ROW_ACTIONS),
            ("kind", KIND_ACTIONS),
        ):
            if getattr(self, key) and not self.names_any(actions):
                raise rules_error(f"`{key}` says something about {', '.join(sorted(actions))} only", key=key)
        for key in ("require_where", "max_rows_affected"):
            if getattr(self, key) and self.effect != "allow":
                raise rules_error(f"`{key}` is a condition of an allow", key=key)
        for key in GATE_KEYS:
            if self.effect != "gate" and key in self.model_fields_set:
                raise rules_error(f"`{key}` belongs to a gate", key=key)
        return self

    def _check_patterns(self) -> None:
        qualified = any(action in RELATION_ACTIONS for action in self.actions) or (
            bool(self.kind) and RELATION_KINDS.issuperset(self.kind)
        )
        for pattern in self.on:
            if qualified and len(pattern.parts) == 1 and not pattern.everything:
                raise rules_error(
                    f"{pattern.text!r} has no schema: write public.{pattern.text} (or *.{pattern.text})",
                    key="on",
                )

    def names_any(self, actions: frozenset[str]) -> bool:
        """Whether the rule is about any of `actions`, by name or by group."""
        return not {"*", EVERY_ACTION}.isdisjoint(self.actions) or any(
            name in actions or actions.intersection(GROUPS.get(name, ())) for name in self.actions
        )

    @cached_property
    def label(self) -> str:
        """The rule's id: the one given, or what the rule says, such as `deny select on public.customers`.

        It does not depend on the rule's place in the file.
        """
        if self.id:
            return self.id
        words = [self.effect, ", ".join(self.actions)]
        if self.kind:
            words.append(f"({', '.join(self.kind)})")
        if self.on:
            words.append("on " + ", ".join(pattern.text for pattern in self.on))
        if self.columns is not None:
            words.append(f"columns {', '.join(self.columns)}")
        return " ".join(words)

    def names_action(self, action: str, kind: str = "") -> bool:
        """Whether this rule speaks of `action` on an object of `kind`, by its name or by a group.

        A deny also speaks of objects whose kind is not known.
        """
        if self.kind and action in KIND_ACTIONS and kind not in self.kind and (kind or self.effect != "deny"):
            return False
        return self.names_outright(action) or any(group in self.actions for group in groups_of(action, kind))

    def names_outright(self, action: str) -> bool:
        """Whether this rule names `action` itself, and not just a group that holds it."""
        return action in self.actions or EVERY_ACTION in self.actions

    def covers(self, action: str, name: Object) -> bool:
        """Whether the objects of this rule surely include `name`."""
        if action in PARAMETER_ACTIONS and self.on:
            return any(pattern.matches_parameter(name) for pattern in self.on)
        reach = (
            EVERY_ACTION in self.actions
            or action in FUNCTION_ACTIONS
            or (action == "call" and PAST_THE_RULES.isdisjoint(name[-1:]))
        )
        return any(pattern.matches(name, reach=reach) for pattern in self.on or (EVERYTHING,))

    def may_cover(self, action: str, name: Object) -> bool:
        """Whether the objects of this rule could include `name`, as far as `name` is known."""
        if not self.on:
            return True
        if action in PARAMETER_ACTIONS and name:
            return any(pattern.matches_parameter(name) for pattern in self.on)
        return any(pattern.may_match(name) for pattern in self.on)


class Limits(Model):
    """What a role may use up. Durations in milliseconds; None: no limit of the firewall's own."""

    statement_timeout: Duration | None = None
    lock_timeout: Duration | None = None
    idle_in_transaction_session_timeout: Duration | None = None
    transaction_timeout: Duration | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    queries: Frequency | None = None
    connections: Annotated[int, Field(ge=1)] | None = None


class Role(Model):
    """What the agents of one role may do. `name` is its key in the file.

    `search_path`: None where sessions are not pinned to one; names without a schema are of an unknown one then.
    `hold`: how long its gates hold a statement that waits, in milliseconds, unless they say so themselves.
    """

    name: str = ""
    access: Literal["read-only", "read-write"] = "read-only"
    pin: Literal["session", "strict"] = "session"
    search_path: Schemas | None = ("public",)
    hold: Hold | None = None
    rules: Annotated[tuple[Rule, ...], Listed] = ()
    limits: Limits = Limits()

    @classmethod
    def yaml_keys(cls) -> frozenset[str]:
        """The keys that a user may write: the name is the role's own key."""
        return frozenset(cls.model_fields) - {"name"}

    @model_validator(mode="after")
    def _pin_holds_something(self) -> Self:
        if self.pin == "strict" and not self.read_only:
            raise rules_error(
                "`pin: strict` proves that a role only reads: this one is read-write", key="pin"
            )
        return self

    @model_validator(mode="after")
    def _read_only_is_pinned(self) -> Self:
        if self.search_path is None and self.read_only:
            raise rules_error("a read-only role is pinned to a search_path", key="search_path")
        return self

    @property
    def read_only(self) -> bool:
        """Whether no rule may lift this role above reading."""
        return self.access == "read-only"

    def grants(self, action: str) -> bool:
        """Whether an allow names `action` outright, on every object."""
        return any(
            rule.effect == "allow" and not rule.on and rule.names_outright(action) for rule in self.rules
        )


class Agent(Model):
    """One agent's credential and places. `password`: a SCRAM-SHA-256 verifier, never a password.

    `database`: those that it may connect to; the first is the one that it gets when it names none.

    `certificate`: as `certificate.parse_certificate` reads it. With both, both are needed. The repr shows no key.
    """

    role: str
    database: Texts
    password: Annotated[str | None, Field(repr=False)] = None
    certificate: str | None = None

    @model_validator(mode="after")
    def _some_credential(self) -> Self:
        if self.password is None and self.certificate is None:
            raise rules_error("an agent has a `password`, a `certificate`, or both (`dbfirewall agent add`)")
        return self


class Rules(Model):
    """A whole rules file or folder. `revision`: a digest of what it says, comments aside."""

    version: Literal[1]
    roles: dict[str, Role] = Field(default_factory=dict)
    agents: dict[str, Agent] = Field(default_factory=dict)
    approvers: dict[str, Approver] = Field(default_factory=dict)
    databases: dict[str, Database] = Field(default_factory=dict)
    notify: dict[str, Notify] = Field(default_factory=dict)
    revision: str = ""

    @classmethod
    def yaml_keys(cls) -> frozenset[str]:
        """The keys that a user may write: the revision is computed."""
        return frozenset(cls.model_fields) - {"revision"}

    @model_validator(mode="before")
    @classmethod
    def _name_roles(cls, value: Any) -> Any:
        roles = value.get("roles") if isinstance(value, dict) else None
        if not isinstance(roles, dict):
            return value
        named = {
            key: {**role, "name": key} if isinstance(role, dict) else role for key, role in roles.items()
        }
        return {**value, "roles": named}
