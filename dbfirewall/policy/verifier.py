"""SCRAM-SHA-256 verifiers in Postgres' own format: what stands in the rules file instead of a password.

`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64: as in
pg_authid.rolpassword, so it can be copied from there. It checks a password, but does not show it.
Sources: RFC 5802 and 7677; Postgres' src/common/scram-common.c and saslprep.c.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

MIN_ITERATIONS: Final = 4096
MAX_ITERATIONS: Final = 10_000_000
SALT_SIZE: Final = 16
_MIN_SALT_SIZE: Final = 12
_KEY_SIZE: Final = 32
_FORMAT: Final = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([^$:]+)\$([^$:]+):([^$:]+)")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A verifier's parts. `str()` gives the text form; `repr()` shows no key."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __str__(self) -> str:
        salt, stored, server = (
            b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"


def make_verifier(password: str, iterations: int = MIN_ITERATIONS, *, salt: bytes | None = None) -> str:
    """The verifier of `password`, as Postgres and libpq would make it. `salt`: random unless given.

    ValueError for an empty password, one with a NUL (no client could send it), or too few or many iterations.
    """
    if not password or "\0" in password:
        raise ValueError("a password must have at least one character, and no NUL")
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must be from {MIN_ITERATIONS} to {MAX_ITERATIONS}")
    salt = secrets.token_bytes(SALT_SIZE) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", prepare_password(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return str(Verifier(iterations, salt, stored_key, hmac.digest(salted, b"Server Key", "sha256")))


def parse_verifier(text: str) -> Verifier:
    """The parts of a verifier. ValueError, which never quotes `text`, says what is wrong with it."""
    if re.fullmatch(r"md5[0-9a-f]{32}", text):
        raise ValueError("this is an md5 hash; only SCRAM-SHA-256 verifiers are accepted")
    found = _FORMAT.fullmatch(text)
    if found is None:
        form = "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>"
        raise ValueError(f"not a SCRAM-SHA-256 verifier; the form is {form}")
    iterations = int(found[1])
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"a verifier's iterations must be from {MIN_ITERATIONS} to {MAX_ITERATIONS}")
    salt = _decode("salt", found[2])
    if len(salt) < _MIN_SALT_SIZE:
        raise ValueError(f"a verifier's salt must have at least {_MIN_SALT_SIZE} bytes")
    return Verifier(iterations, salt, _key("StoredKey", found[3]), _key("ServerKey", found[4]))


def prepare_password(password: str) -> bytes:
    """The bytes that are hashed: the password's SASLprep form, or its own UTF-8 where SASLprep forbids it.

    As Postgres does it (pg_saslprep): ASCII is left alone, control characters included, and prohibited
    characters are looked for before normalization. Bytes that Python could not decode (from the environment or a
    terminal, as surrogate escapes) are taken as they were. UnicodeEncodeError for other lone surrogates.
    """
    raw = password.encode("utf-8", "surrogateescape")
    if raw.isascii():
        return raw
    mapped = "".join([_map(char) for char in password])
    if not mapped or any(_prohibited(char) for char in mapped) or _bad_direction(mapped):
        return raw
    return unicodedata.normalize("NFKC", mapped).encode()


def _map(char: str) -> str:
    """RFC 4013 2.1: other spaces become a space, and what is commonly mapped to nothing is."""
    if stringprep.in_table_c12(char):
        return " "
    return "" if stringprep.in_table_b1(char) else char


def _prohibited(char: str) -> bool:
    """RFC 4013 2.3 and 2.5: prohibited output, or a code point that Unicode 3.2 had not assigned."""
    return (
        stringprep.in_table_c21_c22(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c6(char)
        or stringprep.in_table_c7(char)
        or stringprep.in_table_c8(char)
        or stringprep.in_table_c9(char)
        or stringprep.in_table_a1(char)
    )


def _bad_direction(text: str) -> bool:
    """RFC 3454 6: a text with right-to-left characters has no left-to-right ones, and begins and ends so."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return False
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not ends or any(stringprep.in_table_d2(char) for char in text)


def _key(name: str, text: str) -> bytes:
    key = _decode(name, text)
    if len(key) != _KEY_SIZE:
        raise ValueError(f"a verifier's {name} must have {_KEY_SIZE} bytes")
    return key


def _decode(name: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a verifier's {name} must be base64") from None
