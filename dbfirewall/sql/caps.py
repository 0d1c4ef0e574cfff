"""Security limits of the SQL readers: what a text may hold before a parser sees it.

Both parsers have inputs that hang or crash them (a hundred nested brackets, long operator chains, runs of
comment openers). Every limit here is checked by the lexer, on tokens, in time linear in the text.
"""

from __future__ import annotations

MAX_TEXT_BYTES = 256 * 1024
"""Longest text, in UTF-8 bytes, that is read at all."""

MAX_TOKENS = 60_000
"""Most tokens of one text. libpg_query needs about 1 µs and 1 kB for each."""

MAX_WRITTEN_TOKENS = 2 * MAX_TOKENS
"""Most tokens that libpg_query may write for one text, where it repeats itself (see expansion.py)."""

MAX_STATEMENTS = 100
"""Most non-empty statements in one text."""

MAX_DEPTH = 200
"""Deepest nesting of `(`, `[` and CASE together. Every level costs the parsers C stack."""

MAX_CONSTRUCTOR_DEPTH = 12
"""Deepest nesting of `ARRAY[` and of type names with a bracket, such as `numeric(`. PostgreSQL's arrays have at
most 6 dimensions; sqlglot, unaided, needs time that doubles with each level."""

MAX_COMMENT_DEPTH = 32
"""Deepest nesting of `/*`: PostgreSQL's own scanner is quadratic in runs of openers."""

MAX_OPERATOR_RUN = 63
"""Longest operator (NAMEDATALEN - 1), as PostgreSQL has it."""

MAX_RUN_COST = 8_000_000
"""Sum of length x openers over long runs of operator characters: what flex re-reads. 8e6 is about 10 ms."""
GLOT_MAX_TOKENS = 4_000
"""Most tokens of a statement that sqlglot is asked about; on longer ones it abstains."""

GLOT_MAX_DEPTH = 24
"""Deepest nesting of brackets that sqlglot is asked about."""

GLOT_MAX_SUBSCRIPTS = 64
"""Most `[` of a statement that sqlglot is asked about: it needs cubic time for `a[1][1][1]…`."""
