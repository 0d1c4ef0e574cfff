"""What the demo's agent does, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import Connection
from psycopg.abc import Query


@dataclass(frozen=True, slots=True)
class Step:
    """One statement. `sqlstate`: what refuses it; empty where it must run."""

    title: str
    sql: str
    sqlstate: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent got: `rows` (with `columns`) and a command tag, or the refusal's parts.

    `by_firewall`: its DETAIL is the firewall's, so that the server's own refusals do not pass for ours.
    """

    tag: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    sqlstate: str = ""
    message: str = ""
    hint: str = ""
    by_firewall: bool = False


STEPS = (
    Step(
        "A report, as an agent should work",
        "SELECT month, payments, revenue FROM reporting.monthly_revenue ORDER BY month LIMIT 4",
    ),
    Step("One order is moved along", "UPDATE orders SET status = 'shipped' WHERE id = 1400"),
    Step(
        "A column that is out of scope",
        "SELECT name, card_number FROM customers WHERE country = 'DE'",
        "42501",
    ),
    Step(
        "An injected second statement that leaves the transaction first",
        "SELECT 1; COMMIT; DROP SCHEMA public CASCADE",
        "42501",
    ),
    Step(
        "A comment trick: many parsers see SELECT 1, Postgres would see DROP TABLE",
        "/*/*/ SELECT 1 --*/*/ DROP TABLE orders",
        "42501",
    ),
    Step("An UPDATE that forgot its WHERE", "UPDATE orders SET status = 'returned'", "42501"),
)

DELETE = Step("A DELETE, which a human has to approve", "DELETE FROM orders WHERE ordered < '2026-02-01'")
"""It is rehearsed before it runs, and runs once somebody has approved it."""


def perform(connection: Connection, step: Step) -> Outcome:
    """Send the step's statement as a driver does, and keep the answer."""
    statement: Query = step.sql.encode()
    try:
        cursor = connection.execute(statement)
    except psycopg.Error as error:
        told = error.diag
        message = told.message_primary or str(error)
        ours = (told.message_detail or "").startswith('{"decision"')
        return Outcome(
            sqlstate=told.sqlstate or "?", message=message, hint=told.message_hint or "", by_firewall=ours
        )
    tag = cursor.statusmessage or ""
    if cursor.description is None:
        return Outcome(tag=tag)
    names = tuple(column.name for column in cursor.description)
    return Outcome(tag=tag, columns=names, rows=tuple(cursor.fetchall()))
