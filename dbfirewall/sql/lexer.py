"""A lexer that cuts SQL exactly as PostgreSQL does: the trusted base of everything that is said about a text.

It follows src/backend/parser/scan.l of PostgreSQL 14 to 18 with standard_conforming_strings = on and a UTF-8
server. What the versions read differently (`1a`, `$1a`: two tokens up to 14, an error since) is refused, and
so is everything that their scanners refuse. Input is text that the caller decoded strictly from UTF-8.

One thing is refused that PostgreSQL takes: string literals in a row with a comment between them. The server reads
`'a' -- c⏎ 'b'` as one literal, libpg_query as two, and after `E'a'` the two even end in different places.

The pattern below reads one token with the blanks before it; each group is a kind of token. Possessive
quantifiers keep it linear. Block comments nest, so they are skipped by hand, and an operator may end in `+`
or `-` only if it holds one of ``~!@#^&|`?%``, so that is trimmed by hand.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dbfirewall.sql import caps
from dbfirewall.sql.uescape import UescapeError, unescape

IDENT, QUOTED, NUMBER, STRING, ESTRING, BITS, NSTRING, DOLLAR, PARAM, PUNCT, OPERATOR = range(1, 12)
USTRING, UIDENT, _COMMENT, _END = 12, 13, 14, 15

_STRINGS = frozenset({STRING, ESTRING, BITS, NSTRING, DOLLAR, USTRING})
LITERALS = _STRINGS | {NUMBER}

_SPACE = r"(?:[ \t\n\r\f\v]++|--[^\n\r]*+)*+"
_CONTINUE = r"[ \t\f\v]*+[\n\r][ \t\n\r\f\v]*+'"
_TAIL = r"(?:[^']++|'')*+'"
_PLAIN = rf"'{_TAIL}(?:{_CONTINUE}{_TAIL})*+"
_ETAIL = r"(?:[^\\']++|''|\\[\s\S])*+'"
_START = r"A-Za-z_\x80-\U0010ffff"
_DIGITS = r"[0-9](?>_?[0-9])*+"
_NUMBER = (
    rf"(?>0[xX](?>_?[0-9A-Fa-f])++|0[oO](?>_?[0-7])++|0[bB](?>_?[01])++"
    rf"|(?>{_DIGITS}(?>\.(?!\.)(?>{_DIGITS})?+)?+|\.{_DIGITS})(?>[Ee][-+]?+{_DIGITS})?+)(?![{_START}0-9$])"
)
_TOKEN = re.compile(
    _SPACE + "(?:"
    rf"(?![eE]'|[bBxXnN]'|[uU]&['\"])([{_START}][{_START}0-9$]*+)"  # IDENT
    r'|("(?:[^"]++|"")++")'  # QUOTED
    rf"|({_NUMBER})"  # NUMBER
    rf"|({_PLAIN})"  # STRING
    rf"|([eE]'{_ETAIL}(?:{_CONTINUE}{_ETAIL})*+)"  # ESTRING
    rf"|([bBxX]'[^']*+'(?:{_CONTINUE}[^']*+')*+)"  # BITS
    rf"|([nN]{_PLAIN})"  # NSTRING
    rf"|(\$(?:[{_START}][{_START}0-9]*+)?+\$)"  # DOLLAR (its opening tag)
    rf"|(\$[0-9]++(?![{_START}]))"  # PARAM
    r"|(::|\.\.|:=|\.(?![0-9])|[,()\[\];:])"  # PUNCT
    r"|((?:(?!--|/\*)[~!@#^&|`?+\-*/%<>=])++)"  # OPERATOR
    rf"|([uU]&{_PLAIN})"  # USTRING
    r'|([uU]&"(?:[^"]++|"")++")'  # UIDENT
    r"|(/\*)"  # _COMMENT
    r"|(\Z)"  # _END
    ")"
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_LONG_RUN = re.compile(r"[~!@#^&|`?+\-*/%<>=]{64,}")
_SQL_ONLY = re.compile(r"[^~!@#^&|`?%]*\Z")
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


Token = tuple[int, str, int, str]
"""One token: kind, text, where it starts (characters), and an identifier's folded name (else "")."""


class LexError(Exception):
    """PostgreSQL's scanner would refuse the text, or a cap does. `code` as in `Refusal`."""

    def __init__(self, message: str, code: str = "syntax") -> None:
        self.code = code
        super().__init__(message)


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """`name` as PostgreSQL folds an unquoted identifier: ASCII letters lowered, cut to 63 bytes."""
    return truncate(name.lower() if name.isascii() else name.translate(_ASCII_LOWER))


def truncate(name: str) -> str:
    """`name` cut to 63 bytes at a character boundary (truncate_identifier in parser/scansup.c)."""
    if len(name) <= 15:
        return name
    data = name.encode()
    return name if len(data) <= 63 else data[:63].decode("utf-8", "ignore")


def tokenize(sql: str) -> list[Token]:
    """The tokens of `sql`, comments and blanks left out, `U&"…"` decoded to a quoted identifier.

    Raises LexError for what PostgreSQL's scanner refuses, for a NUL, and for texts beyond the caps.
    """
    if "\0" in sql:
        raise LexError("the text holds a NUL character", "encoding")
    _check_runs(sql)
    tokens = cut(sql)
    _check_strings(tokens)
    if len(tokens) > caps.MAX_TOKENS:
        raise LexError("the text has too many tokens", "too-long")
    return _decode_unicode(tokens) if "&" in sql else tokens


def cut(sql: str) -> list[Token]:
    """The tokens of `sql` as scan.l cuts them: `U&"…"` is left as UIDENT, without a name."""
    tokens: list[Token] = []
    append = tokens.append
    match = _TOKEN.match
    position = 0
    while True:
        found = match(sql, position)
        if found is None:
            raise LexError(f"unexpected character or unfinished token at character {position + 1}")
        kind: int = found.lastindex  # type: ignore[assignment]  # every alternative is a group
        text: str = found[kind]
        position = found.end()
        start = position - len(text)
        if kind == IDENT:
            append((kind, text, start, fold(text)))
            continue
        if kind == _COMMENT:
            position = _skip_comment(sql, start)
            continue
        if kind == _END:
            break
        name = ""
        if kind == QUOTED:
            name = truncate(text[1:-1].replace('""', '"'))
        elif kind == OPERATOR or kind == DOLLAR:  # noqa: SIM109  twice as fast as `in`
            text = _trim_operator(text) if kind == OPERATOR else _dollar_string(sql, start, text)
            position = start + len(text)
        append((kind, text, start, name))
    return tokens


def _dollar_string(sql: str, start: int, tag: str) -> str:
    end = sql.find(tag, start + len(tag))
    if end < 0:
        raise LexError("unterminated dollar-quoted string")
    return sql[start : end + len(tag)]


def _trim_operator(text: str) -> str:
    """`text` less the `+` and `-` at its end that scan.l hands back, unless it holds a non-SQL character."""
    if len(text) > 1 and text[-1] in "+-" and _SQL_ONLY.match(text):
        text = text[0] + text[1:].rstrip("+-")
    if len(text) > caps.MAX_OPERATOR_RUN:
        raise LexError("operator too long")
    return text


def _skip_comment(sql: str, start: int) -> int:
    """The position after the block comment that opens at `start`; comments nest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, start):
        if mark[0] == "*/":
            depth -= 1
            if not depth:
                return mark.end()
        else:
            depth += 1
            if depth > caps.MAX_COMMENT_DEPTH:
                raise LexError("comments are nested too deeply", "too-deep")
    raise LexError("unterminated /* comment")


def _check_strings(tokens: list[Token]) -> None:
    """Refuse a string literal right after another: one literal or two, according to who reads it."""
    before = 0
    for kind, _, _, _ in tokens:
        if kind == STRING and before in _STRINGS:
            raise LexError("a string literal follows another")
        before = kind


def _check_runs(sql: str) -> None:
    """Refuse runs of operator characters in which PostgreSQL's scanner would look ahead quadratically."""
    cost = 0
    for run in _LONG_RUN.findall(sql):
        cost += len(run) * (run.count("/*") + run.count("+-") + run.count("-+"))
    if cost > caps.MAX_RUN_COST:
        raise LexError("a run of operator characters is too long", "too-deep")


def _decode_unicode(tokens: list[Token]) -> list[Token]:
    """Resolve `U&"…"` and `U&'…'` with their optional UESCAPE, as base_yylex in parser/parser.c does."""
    out: list[Token] = []
    index, count = 0, len(tokens)
    while index < count:
        token = tokens[index]
        index += 1
        kind, text, start, _ = token
        if kind not in (USTRING, UIDENT):
            out.append(token)
            continue
        escape = "\\"
        if index < count and tokens[index][0] == IDENT and tokens[index][3] == "uescape":
            escape = _escape_character(tokens[index + 1] if index + 1 < count else None)
            index += 2
        if kind == UIDENT:
            try:
                name = unescape(text[3:-1].replace('""', '"'), escape)
            except UescapeError as error:
                raise LexError(str(error)) from None
            token = (QUOTED, text, start, truncate(name))
        out.append(token)
    return out


def _escape_character(token: Token | None) -> str:
    """The character that `UESCAPE 'c'` names; only the plain spelling is understood."""
    if token is None or token[0] != STRING or len(token[1]) != 3 or not token[1].isascii():
        raise LexError("UESCAPE must be followed by a simple string literal of one character")
    return token[1][1]
