"""The shape of an audit record: its members as JSON text, and how one line proves its place in the chain.

A record is one line of ASCII JSON without spaces::

    {"v":1,"ts":"…","id":"…","prev":"<64 hex>","event":"…",…,"hash":"<64 hex>"}

`hash` is always the last member. It is the SHA-256, in hex, of the line's bytes with the member `,"hash":"…"`
cut out (so: of the line's bytes up to that comma, and the closing brace). `prev` is the `hash` of the record
before; the very first record has 64 zeros. docs/audit.md is the reference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quote
from typing import Final, Literal

from dbfirewall.sql.facts import Effect

VERSION: Final = 1
FIRST_PREV: Final = "0" * 64
HASH_MEMBER_BYTES: Final = len(',"hash":""}') + 64
"""How many bytes at a line's end (newline not counted) are the hash member and the closing brace."""

MAX_SQL_BYTES: Final = 65_536
"""SQL texts longer than this are cut, and the exact text is named by its fingerprint."""
MAX_EFFECTS: Final = 200
"""A record lists at most this many effects; one more entry then says how many there were."""
MAX_TEXT: Final = 1_024
"""Characters kept of names and texts that a peer chose (application, error, …)."""

Event = Literal[
    "start", "stop", "resume", "rules_loaded", "rules_rejected", "catalog_loaded",
    "session_start", "session_end", "auth_failure", "refused_connection",
    "statement", "outcome", "tripwire", "kill", "cancel",
    "approval_requested", "approval_granted", "approval_denied", "approval_expired", "approval_redeemed",
    "approval_withdrawn", "approval_settled", "approval_undone",
]  # fmt: skip

MEMBERS: Final = (
    "v", "ts", "id", "prev", "event", "session", "agent", "role", "database", "peer", "application",
    "sql", "fingerprint", "params_sha256", "effects", "decision", "rule", "sqlstate", "approval", "approver",
    "reason", "seen", "rows", "bytes", "duration_ms", "error", "hash",
)  # fmt: skip
"""Every member a record may have."""

Scalar = str | int | float | None


def member(name: str, value: Scalar) -> str:
    """`,"name":value` as JSON text; texts longer than MAX_TEXT are cut."""
    if isinstance(value, str):
        return f',"{name}":{quote(value[:MAX_TEXT])}'
    return f',"{name}":{"null" if value is None else value}'


def sql_member(sql: bytes, mode: Literal["full", "fingerprint"] = "full") -> str:
    """The members that say which text was sent: `sql`, `fingerprint` (SHA-256 of its exact bytes), or both.

    Both where `sql` is not the exact text: it was longer than MAX_SQL_BYTES, or is no UTF-8 (bad bytes then
    show as `\\xNN`).
    """
    if mode == "full" and len(sql) <= MAX_SQL_BYTES:
        try:
            return f',"sql":{quote(sql.decode())}'
        except UnicodeDecodeError:
            pass
    fingerprint = f',"fingerprint":"{hashlib.sha256(sql).hexdigest()}"'
    if mode == "fingerprint":
        return fingerprint
    return f',"sql":{quote(sql[:MAX_SQL_BYTES].decode("utf-8", "backslashreplace"))}{fingerprint}'


def decision_members(
    effects: Iterable[Effect],
    decision: Literal["allow", "deny", "gate"],
    rule: str | None,
    sqlstate: str | None,
) -> str:
    """`effects`, `decision`, `rule` and `sqlstate` as JSON text: one per decision, to be cached with it."""
    return (
        f',"effects":[{_effects(tuple(effects))}],"decision":{quote(decision)}'
        f"{member('rule', rule)}{member('sqlstate', sqlstate)}"
    )


def _effects(effects: tuple[Effect, ...]) -> str:
    shown = [_effect(effect) for effect in effects[:MAX_EFFECTS]]
    if len(effects) > MAX_EFFECTS:
        shown.append(f'{{"action":"…","object":"{len(effects) - MAX_EFFECTS} more"}}'.replace("…", "\\u2026"))
    return ",".join(shown)


def _effect(effect: Effect) -> str:
    text = f'{{"action":{quote(effect.action)},"object":{quote(effect.object_name)}'
    if effect.columns is not None:
        text += f',"columns":[{",".join(map(quote, effect.columns))}]'
    return text + "}"


def line_hash(line: bytes) -> str:
    """What the `hash` of `line` (without its newline) has to be."""
    return hashlib.sha256(line[:-HASH_MEMBER_BYTES] + b"}").hexdigest()
