"""Columns of a table that is to be put back as it was: their types, keys, and their values as exact text.

Text is what pg_dump keeps, too: the types' own output, read again by their own input. It is exact under the settings
of CANONICAL. Types that are numbers of catalog rows (regclass, …) are kept as those numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.ask import as_json, ask, strings, text
from dbfirewall.preview.qualified import qualified
from dbfirewall.preview.talk import Talk
from dbfirewall.preview.text import quoted

CANONICAL: Final = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
"""Settings under which a value's text is exact."""

_COLUMNS = qualified("""
SELECT a.attname::text, n.nspname::text, t.typname::text, a.attgenerated::text, a.attidentity::text,
       coalesce((array_position(i.indkey::int2[], a.attnum) + 1)::text, ''), f.nspname::text, o.oprname::text,
       (b.oid IS NOT NULL)::text, has_table_privilege(a.attrelid, 'SELECT')::text
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey::int2[])
LEFT JOIN pg_opclass c ON c.oid = (i.indclass::oid[])[array_position(i.indkey::int2[], a.attnum)]
                        AND c.opcmethod = 403::oid
LEFT JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
                   AND m.amopstrategy = 3::int2
LEFT JOIN pg_operator o ON o.oid = m.amopopr
LEFT JOIN pg_namespace f ON f.oid = o.oprnamespace
LEFT JOIN pg_type b ON b.oid = CASE WHEN t.typbasetype <> 0::oid THEN t.typbasetype ELSE t.oid END
                   AND b.typnamespace = 'pg_catalog'::regnamespace::oid
                   AND b.typname::text ~ '^reg[a-z]+$'
WHERE a.attrelid = $1::oid AND a.attnum > 0::int2 AND NOT a.attisdropped
ORDER BY a.attnum
""")
"""403 is the access method btree, whose third strategy is equality."""

_CURRENT = qualified("""
SELECT x.name, current_setting(x.name) FROM json_array_elements_text($1::json) AS x(name)
""")
_SET = qualified("SELECT set_config($1, $2, true)")


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """`type`: (schema, name). `key`: its place in the primary key, 0 where it is none of it; `equals`: the key's `=`,
    as SQL. `number`: a reg type. `readable`: this login may read its table, ctid included.
    """

    name: str
    type: tuple[str, str]
    generated: bool = False
    always: bool = False
    key: int = 0
    equals: str = ""
    number: bool = False
    readable: bool = True

    def value(self, alias: str) -> str:
        """An expression for its exact text, NULL for NULL."""
        column = f"{alias}.{quoted(self.name)}"
        shown = f"{column}::pg_catalog.oid" if self.number else column
        return (
            f"CASE WHEN pg_catalog.num_nulls({column}) OPERATOR(pg_catalog.=) 0"
            f" THEN pg_catalog.format('%s', {shown}) END"
        )


async def columns_of(talk: Talk, oid: int) -> tuple[KeptColumn, ...]:
    """The columns of a relation, in order. Raises ServerError, ConnectionError."""
    found = []
    for row in await ask(talk, _COLUMNS, text(str(oid))):
        name, schema, kind, generated, identity, key, at, symbol, number, readable = strings(row)
        found.append(
            KeptColumn(
                name,
                (schema, kind),
                generated=generated != "",
                always=identity == "a",
                key=int(key or 0),
                equals=f"OPERATOR({quoted(at)}.{symbol})" if symbol else "",
                number=number == "true",
                readable=readable == "true",
            )
        )
    return tuple(found)


@asynccontextmanager
async def canonical(talk: Talk) -> AsyncIterator[None]:
    """Inside a transaction: values are written as CANONICAL says, and afterwards as before.

    What is usual already is not touched, so that the server has nothing to report to the agent. Raises ServerError.
    """
    before = await ask(talk, _CURRENT, as_json(list(CANONICAL)))
    changed = [(name or "", value or "") for name, value in before if not _exact(name or "", value or "")]
    for name, _ in changed:
        await talk.run(_SET, (text(name), text(CANONICAL[name])))
    yield
    # After an error the transaction is at its end, and with it the change.
    for name, value in changed:
        await talk.run(_SET, (text(name), text(value)))


def _exact(name: str, value: str) -> bool:
    """Whether a setting's value already is as good as the canonical one."""
    if name == "datestyle":
        return value.startswith("ISO")
    if name == "extra_float_digits":
        return int(value) >= 1
    return value == CANONICAL[name]


def at_places(alias: str, first: int) -> str:
    """A condition that a row is at one of some places; `places` are its two parameters, from number `first` on.

    The first one lets the server go to the rows at once; but ctids are a table's own, and partitions share them.
    The second one is a query, because a list of thousands would be searched from its start for every row.
    """
    return (
        f"{alias}.ctid OPERATOR(pg_catalog.=) ANY (${first}::pg_catalog.tid[])"
        f" AND pg_catalog.concat_ws(' ', {alias}.tableoid, {alias}.ctid)"
        f" OPERATOR(pg_catalog.=) ANY (SELECT pg_catalog.unnest(${first + 1}::pg_catalog.text[]))"
    )


def places(where: Sequence[tuple[str, str]]) -> tuple[Parameter, Parameter]:
    """(table's OID, ctid) of rows, as the parameters of `at_places`."""
    return (
        text(_array(dict.fromkeys(place for _, place in where))),
        text(_array(f"{table} {place}" for table, place in where)),
    )


def _array(values: Iterable[str]) -> str:
    """Texts of digits, brackets and commas as the text of an array."""
    return "{" + ",".join(f'"{value}"' for value in values) + "}"
