"""The same statement, written so that a reader of SQL may stumble: nothing here changes what Postgres reads."""

from __future__ import annotations

import random
import re

from dbfirewall.sql.keywords import words

_TOKEN = re.compile(r"""'(?:[^']|'')*' | \$[a-z]*\$.*?\$[a-z]*\$ | "(?:[^"]|"")*" | [A-Za-z_]\w* | \d+(?:\.\d+)? |
    [-+*/<>=~!@\#%^&|`?]+ | ::|\.\.|:= | \S""", re.VERBOSE | re.DOTALL)  # fmt: skip
_PREFIXES = frozenset({"e", "b", "x", "n", "u"})

RELATIONS = words("customers orders guesses vault_part vault_view vault_copy parcels grades sneaky")
FUNCTIONS = words(
    "evil evil2 evil_srf evil_row evil_any evil_variadic evil_default evil_table peek ssn_of nice"
)
_NAMES = RELATIONS | FUNCTIONS | words("vault ssn card secret code name city note total")
"""What may be quoted; relations and functions may be given their schema, too."""

_GAPS = (
    " ", "  ", "\n", "\t", "\r\n", "\f", "\v", "/**/", " /* x */ ", "/*/**/*/", "/*/*x*/*/", "--\n", "-- '\n",
    "--\"\r",
    "/*'*/", '/*"*/', "/*$$*/", " -- $a$ \n", "/* ; DROP TABLE orders; -- */", "/*+ hint */", "/*! x */", "--/*\n",
    "/* \\*/", "/*é*/", "--\\\n",
)  # fmt: skip
_OPERATOR = frozenset("-+*/<>=~!@#%^&|`?")


def disguise(sql: str, rng: random.Random) -> str:
    """`sql` with other gaps, cases, quotes and spellings, to a degree that is drawn too."""
    zeal = rng.choice((0.0, 0.1, 0.4, 0.9))
    tokens = _TOKEN.findall(sql)
    written: list[str] = []
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        written.append(_respell(token, before, after, rng) if rng.random() < zeal else token)
    return "".join(_joined(written, tokens, zeal, rng))


def _joined(written: list[str], tokens: list[str], zeal: float, rng: random.Random) -> list[str]:
    parts = [rng.choice(_GAPS)] if rng.random() < zeal else []
    for place, text in enumerate(written):
        before = written[place - 1] if place else ""
        glued = place and tokens[place].startswith("'") and tokens[place - 1].lower() in _PREFIXES
        if place and not glued:
            parts.append(_gap(before, text, zeal, rng))
        parts.append(text)
    if rng.random() < zeal:
        parts.append(rng.choice((";", ";;", " ; -- x", "/**/;/**/", " -- ", " /* */")))
    return parts


def _gap(before: str, after: str, zeal: float, rng: random.Random) -> str:
    touchy = before[-1] in _OPERATOR or after[0] in _OPERATOR
    if rng.random() < zeal:
        gap = rng.choice(_GAPS)
        return f" {gap}" if touchy else gap
    if touchy and before[-1] not in _OPERATOR | {"$"} and rng.random() < zeal:
        return ""
    return "" if before in ("(", ".") or after in (")", ",", ".", "(") else " "


def _respell(token: str, before: str, after: str, rng: random.Random) -> str:
    if token.startswith("'") and before.lower() not in _PREFIXES and not after.startswith("'"):
        return _string(token, rng)
    if token.lower() in _PREFIXES and after.startswith("'"):
        return token
    if token in _NAMES:
        return _name(token, before, after, rng)
    if token[0].isalpha():
        return rng.choice((token.upper(), token.lower(), token.title(), token.swapcase()))
    return token


def _name(name: str, before: str, after: str, rng: random.Random) -> str:
    qualifiable = name in RELATIONS or (name in FUNCTIONS and after == "(")
    if before != "." and qualifiable and rng.random() < 0.3:
        return rng.choice(("public", '"public"', "PUBLIC")) + "." + _name(name, ".", after, rng)
    spelt = rng.choice((name.upper(), name.title(), f'"{name}"', "unicode"))
    if spelt == "unicode":
        place = rng.randrange(len(name))
        spelt = f' U&"{name[:place]}\\{ord(name[place]):04x}{name[place + 1 :]}"'
    return spelt


def _string(token: str, rng: random.Random) -> str:
    value = token[1:-1].replace("''", "'")
    match rng.randrange(5):
        case 0:
            return "E'" + "".join(f"\\x{ord(c):02x}" if rng.random() < 0.5 and c.isascii() and c.isalpha() else
                                  c.replace("\\", "\\\\").replace("'", "\\'") for c in value) + "'"  # fmt: skip
        case 1 if "$" not in value:
            return f"$${value}$$"
        case 2 if "$" not in value:
            return f"$tag${value}$tag$"
        case 3 if "\\" not in value:
            return (
                "U&'"
                + "".join(f"\\{ord(c):04x}" if c.isalpha() else c.replace("'", "''") for c in value)
                + "'"
            )
        case _:
            return token


DECOYS = (
    "{0}",
    "SELECT 1; {0}",
    "{0}; SELECT 1",
    ";;{0}",
    "/*/*/ SELECT 1 --*/*/ {0}",
    "SELECT 1 /* /* */*/; {0} --*/ */",
    'SELECT 1 #--"\n 2; {0};--"',
    'SELECT |/*"*/ 4; {0};--"',
    "SELECT 1 AS \u00a0$_$; {0};--$_$",
    "SELECT $a$ $b$ $a$; {0}; --$b$",
    "SELECT '\\'; {0}; --'",
    "SELECT E'\\''; {0}; --'",
    "SELECT U&'\\0027'; {0}; --'",
    'SELECT 1 AS "a""; --"; {0}',
    "SELECT 'a'\n'b; '; {0}",
    "BEGIN; {0}; COMMIT",
    "BEGIN READ ONLY; SELECT 1; COMMIT; {0}",
    "BEGIN; SAVEPOINT s; {0}; RELEASE s; COMMIT",
    "SET application_name = 'x'; {0}",
    "SET TimeZone TO 'UTC'; {0}",
    "SHOW all; {0}",
    "SELECT 1\\; {0}",
    "SELECT B'1', X'1F', N'x', 1_000, 0x1F; {0}",
    "SELECT a$b$c FROM (SELECT 1 AS a$b$c) AS é; {0}",
)
"""Texts around a statement; some exist to look like one statement where there are two."""
