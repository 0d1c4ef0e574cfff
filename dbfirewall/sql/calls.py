"""Functions that run: calls, operators, casts, and attribute notation (`t.f` and `(x).f` may call f)."""

from __future__ import annotations

from collections.abc import Sequence

from dbfirewall.catalog.types import Function
from dbfirewall.sql.constants import constant, identifier_parts
from dbfirewall.sql.effects import Effects
from dbfirewall.sql.functions import ACTIONS, HIDE_THE_ROW, TYPE_NAMES, action_of, harmless
from dbfirewall.sql.lexer import fold
from dbfirewall.sql.nodes import Tree, unwrap

_ESCAPES = {"role": "set_role", "session_authorization": "set_session_authorization"}


def strings(nodes: Sequence[Tree]) -> list[str]:
    """The texts of a list of String nodes; other nodes are left out."""
    return [str(node.get("sval", "")) for kind, node in map(unwrap, nodes) if kind == "String"]


def setting_action(parameter: str, default: str = "set") -> str:
    """The action of changing a parameter: of the role and the session's user it is more than a setting."""
    return _ESCAPES.get(parameter, default)


class Calls(Effects):
    """Effects of the functions that a statement runs."""

    def call(
        self, name: list[str], arguments: Sequence[Tree], *, variadic: bool = False, detail: str = ""
    ) -> None:
        """A call written `schema.name(arguments)`."""
        schema, function = _split(name)
        count = len(arguments)
        possible = [
            f
            for f in self.names.functions(schema, function)
            if f.kind != "p" and (variadic or f.min_args <= count <= f.max_args)
        ]
        if possible:
            self._run_each(possible, arguments, detail)
        elif not (count == 1 and schema in (None, "pg_catalog") and function in TYPE_NAMES):
            action = action_of(function, builtin=False)
            self.add(action, self.names.function_objects(schema, function), "function", detail=detail)
        if count == 1:
            self.cast(function)

    def _run_each(self, possible: list[Function], arguments: Sequence[Tree], detail: str) -> None:
        for function in dict.fromkeys(possible):
            if harmless(function):
                continue
            if function.builtin and function.name in ACTIONS:
                self._special(function, arguments, detail)
            else:
                self.run(function, detail)

    def _special(self, function: Function, arguments: Sequence[Tree], detail: str) -> None:
        """A built-in that does what an action of its own names: its first argument says to what."""
        action = ACTIONS[function.name]
        first = constant(arguments[0]) if arguments else None
        self.literal_sensitive = True
        if action in ("nextval", "setval"):
            parts = identifier_parts(first) if first is not None else None
            objects = self.names.relation(*parts).objects if parts else ((None, None),)
            self.add(action, objects, "sequence", detail=detail)
        elif action == "set":
            parameter = fold(first) if first is not None else None
            value = constant(arguments[1]) if len(arguments) > 1 else None
            action = setting_action(parameter or "")
            self.add(action, ((parameter if action == "set" else value,),), detail="set_config", value=value)
        elif action == "notify":
            self.add(action, ((first,),), detail=detail)
        else:
            self.add(action, ((function.schema, function.name),), "function", detail=detail)

    def call_procedure(self, name: list[str], arguments: Sequence[Tree]) -> None:
        """CALL: every procedure of that name that may be meant, or the name wherever it may be."""
        schema, procedure = _split(name)
        found = [f for f in self.names.functions(schema, procedure) if f.kind == "p"]
        accepted = [f for f in found if f.min_args <= len(arguments) <= f.max_args] or found
        objects = tuple(dict.fromkeys((f.schema, f.name) for f in accepted))
        self.add("call", objects or self.names.function_objects(schema, procedure), "procedure")

    def operator(self, name: list[str]) -> None:
        """An operator, `schema.+` or `+`: built-in ones are harmless, user-defined ones run their function."""
        schema, symbol = _split(name)
        for function in self.names.operators(schema, symbol):
            self.run(function, f"operator {symbol}")

    def cast(self, type_name: str) -> None:
        """A cast to a type: user-defined casts, input functions and domain constraints run functions."""
        for function in self.names.casts(type_name):
            self.run(function, f"cast to {type_name}")

    def attribute(self, name: str, *, of_row: bool) -> bool:
        """`x.name`, which calls name(x) where x has no such field; whether a call may return x's content.

        `of_row`: x is known to be a row. Only functions that need a rule are an effect: the others are
        told by the returned value, upon which the caller counts the whole row as read.
        """
        possible = [
            f
            for f in self.names.functions(None, name)
            # Window functions need OVER, which this notation has no place for.
            if f.kind not in "pw" and f.min_args <= 1 <= f.max_args and (f.takes_row or not of_row)
        ]
        self._run_each(possible, (), f"attribute notation .{name}")
        # A type's name casts in this notation as well.
        self.cast(name)
        return bool(possible) and name not in HIDE_THE_ROW


def _split(name: list[str]) -> tuple[str | None, str]:
    """(schema, name) of a qualified name; a database's name in front is left out."""
    if not name:
        return None, ""
    return (name[-2] if len(name) > 1 else None), name[-1]
