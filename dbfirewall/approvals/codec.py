"""Requests as columns of a store, strictly: what can't have been written by this version is not read.

What is looked for or compared has a column of its own; the rest is JSON, with bytes (of statement and parameters) in
URL-safe base64. A field or a state that this version does not know is a StoreError: a request that is only half
understood must not be released.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from dbfirewall.approvals.model import Envelope, Options, Preview, Request, Snapshot, State, Terms, Vote
from dbfirewall.errors import NotKept, StoreError

MAX_SNAPSHOT: Final = 1 << 20
"""Security limit: bytes of one gated statement, its parameters and settings, as they are stored."""

MAX_PREVIEW: Final = 1 << 20
"""Security limit: bytes of one preview, as it is stored."""

MAX_UNDO: Final = 64 << 20
"""Security limit: bytes of one captured table, as it is stored."""

COLUMNS: Final = (
    "id, state, snapshot, terms, options, preview, envelope, votes, agent_gone, told, owner, xid, attempts,"
    " affected, error, note, undo_rows, undo_accepted, undone, created_at, expires_at, updated_at"
)
"""The columns that `decode_request` wants."""

Row = Mapping[str, Any]

_T = TypeVar("_T")
_CONFIG: Final = ConfigDict(strict=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
# In tuples: the configuration of an adapter reaches dataclasses only from outside of them.
_SNAPSHOT: Final = TypeAdapter(tuple[Snapshot], config=_CONFIG)
_TERMS: Final = TypeAdapter(tuple[Terms, ...], config=_CONFIG)
_OPTIONS: Final = TypeAdapter(tuple[Options], config=_CONFIG)
_PREVIEW: Final = TypeAdapter(tuple[Preview, ...], config=_CONFIG)
_ENVELOPE: Final = TypeAdapter(tuple[Envelope, ...], config=_CONFIG)
_VOTES: Final = TypeAdapter(tuple[Vote, ...], config=_CONFIG)
_COUNTS: Final = TypeAdapter(tuple[int | None, ...], config=_CONFIG)


def encode_snapshot(snapshot: Snapshot) -> str:
    """JSON of it. StoreError where it is larger than MAX_SNAPSHOT, or no text."""
    text = _encode(_SNAPSHOT, (snapshot,))
    if len(text) > MAX_SNAPSHOT:
        raise NotKept(
            f"a gated statement of more than {MAX_SNAPSHOT} bytes, parameters included, is not kept"
        )
    return text


def encode_preview(preview: Preview) -> str:
    """JSON of it. StoreError where it is larger than MAX_PREVIEW."""
    text = _encode(_PREVIEW, (preview,))
    if len(text) > MAX_PREVIEW:
        raise NotKept(f"a preview of more than {MAX_PREVIEW} bytes is not kept")
    return text


def encode_terms(terms: tuple[Terms, ...]) -> str:
    """JSON of them."""
    return _encode(_TERMS, terms)


def encode_options(options: Options) -> str:
    """JSON of them."""
    return _encode(_OPTIONS, (options,))


def encode_envelope(envelope: Envelope | None) -> str:
    """JSON of it."""
    return _encode(_ENVELOPE, () if envelope is None else (envelope,))


def encode_votes(votes: tuple[Vote, ...]) -> str:
    """JSON of them."""
    return _encode(_VOTES, votes)


def encode_counts(counts: tuple[int | None, ...]) -> str:
    """JSON of affected rows."""
    return _encode(_COUNTS, counts)


def decode_votes(text: str) -> tuple[Vote, ...]:
    """What `encode_votes` wrote. StoreError where it did not."""
    return _decode(_VOTES, text)


def decode_request(row: Row) -> Request:
    """The request of a row with COLUMNS. StoreError where this version could not have written it."""
    (snapshot,) = _decode(_SNAPSHOT, row["snapshot"])
    (options,) = _decode(_OPTIONS, row["options"])
    preview, envelope = _decode(_PREVIEW, row["preview"]), _decode(_ENVELOPE, row["envelope"])
    return Request(
        id=row["id"],
        state=_state(row["state"]),
        snapshot=snapshot,
        terms=_decode(_TERMS, row["terms"]),
        options=options,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        updated_at=row["updated_at"],
        preview=preview[0] if preview else None,
        envelope=envelope[0] if envelope else None,
        votes=_decode(_VOTES, row["votes"]),
        agent_gone=bool(row["agent_gone"]),
        told=bool(row["told"]),
        owner=row["owner"],
        xid=row["xid"],
        attempts=row["attempts"],
        affected=_decode(_COUNTS, row["affected"]),
        error=row["error"],
        note=row["note"],
        undo_rows=row["undo_rows"],
        undo_accepted=bool(row["undo_accepted"]),
        undone=bool(row["undone"]),
    )


def plain(text: str) -> str:
    """`text` as every store can keep it: without NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise StoreError(f"the store has a state that this version does not know: {text!r}") from None


def _encode(adapter: TypeAdapter[_T], value: _T) -> str:
    try:
        return adapter.dump_json(value).decode()
    except PydanticSerializationError:  # its words quote the text
        raise NotKept("a text with lone surrogates can't be kept") from None


def _decode(adapter: TypeAdapter[_T], text: str) -> _T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"the store has a request that this version can't read: {where}: {first['msg']}"
        ) from None
