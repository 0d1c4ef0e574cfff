"""What SQLite and Postgres do alike: every method of a store as SQL that both understand.

A method is a generator of steps: it yields (statement, values), gets the rows, and returns the method's result. A
store runs all steps of one method in one transaction, and nothing else does: so the rules are in one place, and each
method is atomic because its transaction is.

Rules:

- A state changes only by an UPDATE that names the state it changes from. Of many that try, one wins: SQLite has one
  writer at a time, and Postgres looks at the row again after it waited for its lock (READ COMMITTED).
- `live_key` is the key of the statement while sending it again finds this request, else NULL. It is unique: two
  sessions that send the same statement at the same moment get the same request.
- Whoever changed a request says so as a step of the same transaction (NOTIFY): nobody hears of what did not happen.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from dbfirewall.approvals import codec
from dbfirewall.approvals.codec import COLUMNS, Row, decode_request
from dbfirewall.approvals.model import Envelope, Options, Preview, Request, Snapshot, State, Terms, Vote
from dbfirewall.approvals.store import TAKEN, Query
from dbfirewall.errors import NotKept, StoreError

Step = tuple[str, tuple[Any, ...]]
_T = TypeVar("_T")
Steps = Generator[Step, Sequence[Row], _T]

NOTIFY: Final = "NOTIFY"
"""The step (NOTIFY, (request id,)): tell every process, once this transaction is in force."""

SCHEMA_VERSION: Final = "1"

MAX_LISTED: Final = 500
"""Security limit: requests in one answer."""

MAX_PENDING: Final = 1000
"""Security limit: requests of one agent that wait at the same time."""

MAX_ENDED: Final = 10_000
"""Security limit: ended requests that are kept of one agent; `prune` drops the oldest beyond it."""

CLOCK_SLACK: Final = 300.0
"""Seconds that clocks may differ. A request from further in the future is from before the clock was set back: its
expiry says nothing any more, so it has expired."""

ENDED: Final = "('done', 'outside', 'failed', 'denied', 'expired', 'withdrawn')"
_LOST: Final = f"(expires_at <= $2 OR created_at > $2 + {CLOCK_SLACK})"
_OTHERS: Final = "SELECT id, owner FROM requests WHERE state = 'releasing' AND owner NOT IN ($1, $2)"
_NOTHING: Final = "'[]'"


SCHEMA: Final = (
    """CREATE TABLE requests (
            id text PRIMARY KEY, live_key text UNIQUE, state text NOT NULL, agent text NOT NULL, role text NOT NULL,
            database text NOT NULL, rule text NOT NULL, snapshot text NOT NULL, terms text NOT NULL,
            options text NOT NULL, preview text NOT NULL, envelope text NOT NULL, votes text NOT NULL,
            vote_count integer NOT NULL, agent_gone integer NOT NULL, told integer NOT NULL, owner text NOT NULL,
            xid text NOT NULL, attempts integer NOT NULL, affected text NOT NULL, error text NOT NULL,
            note text NOT NULL, undo_rows bigint NOT NULL, undo_accepted integer NOT NULL,
            undone integer NOT NULL,
            created_at double precision NOT NULL, expires_at double precision NOT NULL,
            updated_at double precision NOT NULL)""",
    "CREATE INDEX requests_by_state ON requests (state, created_at)",
    "CREATE INDEX requests_by_agent ON requests (agent, state, created_at)",
    "CREATE INDEX requests_by_age ON requests (created_at)",
    """CREATE TABLE undo (
            request text NOT NULL, sequence integer NOT NULL, document text NOT NULL,
            PRIMARY KEY (request, sequence))""",
    """CREATE TABLE deliveries (
            request text NOT NULL, event text NOT NULL, channel text NOT NULL, since double precision NOT NULL,
            due double precision, attempts integer NOT NULL, problem text NOT NULL,
            PRIMARY KEY (request, event, channel))""",
    "CREATE INDEX deliveries_by_due ON deliveries (due)",
    "CREATE TABLE beats (owner text PRIMARY KEY, beat bigint NOT NULL, at double precision NOT NULL)",
    "CREATE TABLE secrets (name text PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL)",
    f"INSERT INTO meta VALUES ('version', '{SCHEMA_VERSION}')",
)
"""The statements that make an empty store; SQLite understands the names of Postgres' types."""


def _update(changes: str, where: str, values: tuple[Any, ...]) -> Step:
    return f"UPDATE requests SET {changes} WHERE {where} RETURNING {COLUMNS}", values


def check_version() -> Steps[None]:
    """StoreError where another version of dbfirewall made the store."""
    rows = yield "SELECT value FROM meta WHERE name = 'version'", ()
    found = rows[0]["value"] if rows else "none"
    if found != SCHEMA_VERSION:
        raise StoreError(f"the store has the schema version {found}; this dbfirewall needs {SCHEMA_VERSION}")


def submit(
    snapshot: Snapshot, terms: tuple[Terms, ...], options: Options, now: float
) -> Steps[tuple[Request, bool]]:
    """See Store.submit."""
    key = snapshot.key
    yield from _expire_where("live_key = $1", key, now)
    yield (
        f"UPDATE requests SET live_key = NULL WHERE live_key = $1 AND state = 'denied' AND {_LOST}",
        (key, now),
    )
    found = yield f"SELECT {COLUMNS} FROM requests WHERE live_key = $1", (key,)
    if found:
        return (yield from _found_again(decode_request(found[0]))), False
    yield from _demand_room(snapshot.agent)
    request_id = f"apr_{secrets.token_hex(10)}"
    inserted = yield _insertion(request_id, key, snapshot, terms, options, now)
    if inserted:
        yield NOTIFY, (request_id,)
        return decode_request(inserted[0]), True
    # Another session was faster since the UPDATE above; READ COMMITTED shows what it did.
    found = yield f"SELECT {COLUMNS} FROM requests WHERE live_key = $1", (key,)
    if not found:
        raise StoreError("the request for this statement changed at this very moment; send it again")
    return decode_request(found[0]), False


def _found_again(request: Request) -> Steps[Request]:
    if not request.agent_gone:
        return request
    yield "UPDATE requests SET agent_gone = 0 WHERE id = $1", (request.id,)
    yield NOTIFY, (request.id,)
    return replace(request, agent_gone=False)


def _demand_room(agent: str) -> Steps[None]:
    rows = yield "SELECT count(*) AS n FROM requests WHERE agent = $1 AND state = 'pending'", (agent,)
    if rows[0]["n"] >= MAX_PENDING:
        raise NotKept(f"{MAX_PENDING} requests of agent {agent} wait for a decision already")


def _insertion(
    request_id: str, key: str, snapshot: Snapshot, terms: tuple[Terms, ...], options: Options, now: float
) -> Step:
    values: dict[str, Any] = {
        "id": request_id,
        "live_key": key,
        "state": str(State.PENDING),
        "agent": codec.plain(snapshot.agent),
        "role": codec.plain(snapshot.role),
        "database": codec.plain(snapshot.database),
        "rule": codec.plain(snapshot.rule),
        "snapshot": codec.encode_snapshot(snapshot),
        "terms": codec.encode_terms(terms),
        "options": codec.encode_options(options),
        "preview": "[]",
        "envelope": "[]",
        "votes": "[]",
        "affected": "[]",
        **dict.fromkeys(("owner", "xid", "error", "note"), ""),
        **dict.fromkeys(
            ("vote_count", "agent_gone", "told", "attempts", "undo_rows", "undo_accepted", "undone"), 0
        ),
        "created_at": now,
        "expires_at": now + options.expires,
        "updated_at": now,
    }
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    columns = ", ".join(values)
    once = f"ON CONFLICT (live_key) DO NOTHING RETURNING {COLUMNS}"
    return f"INSERT INTO requests ({columns}) VALUES ({places}) {once}", tuple(values.values())


def get(request_id: str) -> Steps[Request | None]:
    """See Store.get."""
    rows = yield f"SELECT {COLUMNS} FROM requests WHERE id = $1", (request_id,)
    return decode_request(rows[0]) if rows else None


def listing(query: Query) -> Steps[Sequence[Request]]:
    """See Store.list."""
    conditions: list[str] = ["1 = 1"]
    values: list[Any] = []
    for column in ("agent", "database", "role", "rule"):
        if wanted := getattr(query, column):
            values.append(codec.plain(wanted))
            conditions.append(f"{column} = ${len(values)}")
    if query.before is not None:
        values.append(query.before)
        conditions.append(f"created_at < ${len(values)}")
    if query.states:
        conditions.append(f"state IN ({', '.join(repr(str(state)) for state in query.states)})")
    limit = max(0, min(query.limit, MAX_LISTED))
    where = f"{' AND '.join(conditions)} ORDER BY created_at DESC, id LIMIT {limit:d}"
    rows = yield f"SELECT {COLUMNS} FROM requests WHERE {where}", tuple(values)
    return tuple(map(decode_request, rows))


def pending() -> Steps[frozenset[str]]:
    """See Store.pending."""
    rows = yield "SELECT id FROM requests WHERE state = 'pending'", ()
    return frozenset(row["id"] for row in rows)


def count() -> Steps[dict[State, int]]:
    """See Store.count."""
    rows = yield "SELECT state, count(*) AS n FROM requests GROUP BY state", ()
    return {State(row["state"]): row["n"] for row in rows}


def attach_preview(request_id: str, preview: Preview, now: float) -> Steps[Request | None]:
    """See Store.attach_preview."""
    kept = "CASE WHEN preview = '[]' THEN {0} ELSE {1} END"
    rows = yield _update(
        f"preview = $3, updated_at = $2, votes = {kept.format('votes', _NOTHING)},"
        f" envelope = {kept.format('envelope', _NOTHING)}, vote_count = {kept.format('vote_count', 0)}",
        "id = $1 AND state = 'pending'",
        (request_id, now, codec.encode_preview(preview)),
    )
    return (yield from _changed(rows))


def vote(
    request_id: str, given: Vote, state: State, envelope: Envelope | None, undo_accepted: bool, expected: int
) -> Steps[Request | None]:
    """See Store.vote."""
    rows = yield (
        "SELECT votes FROM requests WHERE id = $1 AND state = 'pending' AND vote_count = $2",
        (request_id, expected),
    )
    if not rows:
        return None
    rows = yield _update(
        "votes = $3, vote_count = vote_count + 1, state = $4, envelope = $5, undo_accepted = $6, updated_at = $2",
        f"id = $1 AND state = 'pending' AND vote_count = $7 AND votes = $8 AND NOT {_LOST}",
        (
            request_id,
            given.at,
            codec.encode_votes((*codec.decode_votes(rows[0]["votes"]), given)),
            str(state),
            codec.encode_envelope(envelope),
            int(undo_accepted),
            expected,
            rows[0]["votes"],
        ),
    )
    return (yield from _changed(rows))


def begin_release(request_id: str, owner: str, xid: str, now: float) -> Steps[Request | None]:
    """See Store.begin_release."""
    rows = yield _update(
        "state = 'releasing', owner = $3, xid = $4, attempts = attempts + 1, updated_at = $2, undo_rows = 0,"
        f" affected = {_NOTHING}, error = ''",
        f"id = $1 AND state = 'approved' AND NOT {_LOST}",
        (request_id, now, owner, codec.plain(xid)),
    )
    if rows:
        yield "DELETE FROM undo WHERE request = $1", (request_id,)
    return (yield from _changed(rows))


def finish(
    request_id: str, state: State, now: float, affected: tuple[int | None, ...], error: str, note: str,
    xid: str | None, attempt: int | None,
) -> Steps[Request | None]:  # fmt: skip
    """See Store.finish."""
    conditions: list[str] = []
    values: list[Any] = [request_id, str(state), now, codec.encode_counts(affected), codec.plain(error)]
    values.append(codec.plain(note))
    for column, wanted in (("xid", xid), ("attempts", attempt)):
        if wanted is not None:
            values.append(wanted)
            conditions.append(f" AND {column} = ${len(values)}")
    live = "live_key" if state in (State.APPROVED, State.UNKNOWN, State.EXPIRED) else "NULL"
    rows = yield _update(
        f"state = $2, updated_at = $3, affected = $4, error = $5, note = $6, live_key = {live}",
        f"id = $1 AND state IN ('releasing', 'unknown'){''.join(conditions)}",
        tuple(values),
    )
    if rows and state in (State.APPROVED, State.OUTSIDE, State.FAILED):  # it was rolled back: nothing to undo
        yield "DELETE FROM undo WHERE request = $1", (request_id,)
        rows = yield _update("undo_rows = 0", "id = $1", (request_id,))
    return (yield from _changed(rows))


def withdraw(request_id: str, note: str, now: float) -> Steps[Request | None]:
    """See Store.withdraw."""
    rows = yield _update(
        "state = 'withdrawn', live_key = NULL, note = $3, updated_at = $2",
        "id = $1 AND state IN ('pending', 'approved')",
        (request_id, now, codec.plain(note)),
    )
    return (yield from _changed(rows))


def mark(request_id: str, agent_gone: bool | None, told: bool | None) -> Steps[None]:
    """See Store.mark."""
    if agent_gone is not None:
        yield "UPDATE requests SET agent_gone = $2 WHERE id = $1", (request_id, int(agent_gone))
    if told is not None:
        yield _update(
            "told = $2, live_key = CASE WHEN state = 'expired' AND $2 = 1 THEN NULL ELSE live_key END",
            "id = $1",
            (request_id, int(told)),
        )
    yield NOTIFY, (request_id,)


def expire(now: float) -> Steps[Sequence[Request]]:
    """See Store.expire."""
    return (yield from _expire_where("$1 = ''", "", now))


def _expire_where(condition: str, value: str, now: float) -> Steps[Sequence[Request]]:
    note = "'it expired: it was made later than it is now, so the clock was set back'"
    rows = yield _update(
        f"state = 'expired', updated_at = $2, note = CASE WHEN expires_at <= $2 THEN 'it expired' ELSE {note} END",
        f"{condition} AND state IN ('pending', 'approved') AND {_LOST}",
        (value, now),
    )
    for row in rows:
        yield NOTIFY, (row["id"],)
    return tuple(map(decode_request, rows))


def beat(owner: str, now: float) -> Steps[None]:
    """See Store.beat."""
    yield (
        "INSERT INTO beats VALUES ($1, 1, $2) ON CONFLICT (owner) DO UPDATE SET beat = beats.beat + 1, at = $2",
        (owner, now),
    )


def releasing_of_others(owner: str) -> Steps[tuple[dict[str, str], dict[str, int]]]:
    """Requests that others release (id → owner), and how often each owner was heard of."""
    releasing = yield _OTHERS, (owner, owner + TAKEN)
    beats = yield "SELECT owner, beat FROM beats", ()
    return {row["id"]: row["owner"] for row in releasing}, {row["owner"]: row["beat"] for row in beats}


def take_over(owned: dict[str, str], owner: str) -> Steps[Sequence[Request]]:
    """Make `owner` the owner of those (id → owner until now) that still are releasing."""
    taken: list[Row] = []
    for request_id, former in owned.items():
        taken += yield _update(
            "owner = $3", "id = $1 AND owner = $2 AND state = 'releasing'", (request_id, former, owner)
        )
    return tuple(map(decode_request, taken))


def prune(before: float) -> Steps[int]:
    """See Store.prune; at most MAX_LISTED requests in one transaction."""
    ended = (
        "SELECT id, updated_at, expires_at, row_number() OVER (PARTITION BY agent ORDER BY updated_at DESC) AS place"
        f" FROM requests WHERE state IN {ENDED}"
    )
    old = f"(updated_at < $1 AND expires_at < $1) OR place > {MAX_ENDED:d}"
    chosen = f"SELECT id FROM ({ended}) AS ended WHERE {old} LIMIT {MAX_LISTED:d}"
    rows = yield f"DELETE FROM requests WHERE id IN ({chosen}) RETURNING id", (before,)
    for row in rows:
        yield "DELETE FROM undo WHERE request = $1", (row["id"],)
        yield "DELETE FROM deliveries WHERE request = $1", (row["id"],)
    yield "DELETE FROM beats WHERE at < $1", (before,)
    return len(rows)


def secret(name: str) -> Steps[bytes]:
    """See Store.secret."""
    yield (
        "INSERT INTO secrets VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        (name, secrets.token_bytes(32)),
    )
    rows = yield "SELECT value FROM secrets WHERE name = $1", (name,)
    return bytes(rows[0]["value"])


def _changed(rows: Sequence[Row]) -> Steps[Request | None]:
    if not rows:
        return None
    yield NOTIFY, (rows[0]["id"],)
    return decode_request(rows[0])
