"""A request for approval as frozen values: what a gated statement was, what a person saw, and what became of it.

States::

    pending ──approve──▶ approved ──redeem──▶ releasing ──▶ done | outside | failed | unknown
       │                    │  ▲                  │
       ├──deny────▶ denied  │  └──rolled back─────┘
       ├──expire──▶ expired ┘
       └──withdraw▶ withdrawn        (approved may be withdrawn too: what it stood for has changed)

`releasing` carries the server's transaction id, so that after a crash the server itself says what became of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a request is. See the module's diagram."""

    PENDING = "pending"
    APPROVED = "approved"
    RELEASING = "releasing"
    DONE = "done"
    OUTSIDE = "outside"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"

    @property
    def open(self) -> bool:
        """Whether something can still become of it without a new request."""
        return self in (State.PENDING, State.APPROVED, State.RELEASING)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as Bind carried it. `oid`: as Parse declared it, 0 where it left that to the server.

    `format`: 0 text, 1 binary. `value`: None for NULL. `shown`: for people, where the type is known.
    """

    oid: int
    format: int
    value: bytes | None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What one gate demands: `count` different people of `groups` (of any group, where empty)."""

    rule: str
    groups: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A gated statement and all that could change its meaning.

    `settings`: what the server reported of search_path, DateStyle, TimeZone, … (lower-case name → value).
    `definitions`: a digest of what the objects are that it touches, as the server itself has them.
    `effects`: (action, object name) of each. `rule`, `reason`: of the gate that decided.
    """

    agent: str
    role: str
    database: str
    sql: bytes
    parameters: tuple[Parameter, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    definitions: str = ""
    session: str = ""
    peer: str = ""
    application: str = ""
    in_transaction: bool = False
    extended: bool = False
    rules_revision: str = ""
    catalog_version: int = 0
    effects: tuple[tuple[str, str], ...] = ()
    rule: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """What makes two statements the same one: agent, role, database, bytes, parameters and settings.

        Hex SHA-256. Not part of it: the session, the protocol, the definitions (those are compared).
        """
        parts: list[bytes | None] = [
            self.agent.encode(),
            self.role.encode(),
            self.database.encode(),
            self.sql,
        ]
        for parameter in self.parameters:
            parts += (b"%d %d" % (parameter.oid, parameter.format), parameter.value)
        parts.append(json.dumps(dict(self.settings), sort_keys=True).encode())
        digest = hashlib.sha256()
        for part in parts:
            digest.update(b"-" if part is None else b"%d:" % len(part) + part)
        return digest.hexdigest()

    @property
    def parameters_sha256(self) -> str:
        """Hex SHA-256 of the parameters; empty where there are none."""
        if not self.parameters:
            return ""
        digest = hashlib.sha256()
        for parameter in self.parameters:
            value = parameter.value
            digest.update(b"-" if value is None else b"%d:%d:" % (parameter.format, len(value)) + value)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people: column names, and values in the server's text form (None: NULL)."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    after: tuple[tuple[str | None, ...], ...] = ()
    """For an UPDATE: the same rows as they would be."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen, as far as that could be found out.

    `rows`: affected rows by statement of the message (None: not known for that one); empty where not counted.
    `estimate`: the planner's rows. `notes`: sentences; why something could not be shown, what would cascade, which
    lock it takes. `enveloped`: whether the count will be held against what happens.
    `undo`: whether undo could be captured; `undo_problem`: why not, or what it would not restore.
    """

    made_at: float
    plan: str = ""
    estimate: float | None = None
    rows: tuple[int | None, ...] = ()
    tables: tuple[Table, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    enveloped: bool = False
    undo: bool = False
    undo_problem: str = ""


EXACT_UP_TO = 100
"""Rows up to which an envelope is exact unless its approver says otherwise."""

DEFAULT_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Envelope:
    """How many rows each statement of the message may affect. `tolerance`: 0.1 is ten per cent, both ways."""

    rows: tuple[int | None, ...]
    tolerance: float = 0.0

    @classmethod
    def of(cls, rows: tuple[int | None, ...], tolerance: float | None = None) -> Envelope:
        """The envelope around a preview's counts; `tolerance` None: exact up to EXACT_UP_TO, then 10 %."""
        if tolerance is None:
            largest = max((count for count in rows if count is not None), default=0)
            tolerance = 0.0 if largest <= EXACT_UP_TO else DEFAULT_TOLERANCE
        return cls(rows, tolerance)

    def holds(self, actual: tuple[int | None, ...]) -> bool:
        """Whether `actual` counts are within it. A count that is wanted and not known is outside."""
        if len(actual) != len(self.rows):
            return False
        return all(
            wanted is None or (got is not None and abs(got - wanted) <= wanted * self.tolerance)
            for wanted, got in zip(self.rows, actual, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word. `seen`: the digest of what was shown to them; `origin`: address and channel."""

    approver: str
    approve: bool
    at: float
    reason: str = ""
    origin: str = ""
    seen: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What the gate's rule says beyond its terms. Durations in seconds."""

    hold: float = 45.0
    hold_in_transaction: bool = False
    cancel_on_disconnect: bool = False
    expires: float = 3600.0
    preview: str = "rows"
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request for approval, as stored.

    Times are Unix seconds. `owner`: the process that releases it; `xid`: the server's transaction in which it runs,
    empty where it runs in none. `affected`, `error`: what came of it. `told`: the agent has heard of an expiry.
    `note`: a sentence on why it is in this state, for people.
    """

    id: str
    state: State
    snapshot: Snapshot
    terms: tuple[Terms, ...]
    options: Options
    created_at: float
    expires_at: float
    updated_at: float
    preview: Preview | None = None
    envelope: Envelope | None = None
    votes: tuple[Vote, ...] = ()
    agent_gone: bool = False
    told: bool = False
    owner: str = ""
    xid: str = ""
    attempts: int = 0
    affected: tuple[int | None, ...] = ()
    error: str = ""
    note: str = ""
    undo_rows: int = 0
    undo_accepted: bool = False
    undone: bool = False

    @property
    def reason(self) -> str:
        """What the one who denied it said."""
        return next((vote.reason for vote in self.votes if not vote.approve), "")
