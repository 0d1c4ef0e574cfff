"""Verifiers: ours are libpq's, byte for byte, and what is no verifier is refused in words."""

from __future__ import annotations

from base64 import b64decode

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbfirewall.policy.verifier import Verifier, make_verifier, parse_verifier, prepare_password

# RFC 7677, section 3: password "pencil", as Postgres writes it.
RFC_SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

# Each is prepared in its own way: normalized, spaces mapped, mapped to nothing, prohibited, mixed direction.
PASSWORDS = ["x", " ", "tab\there", "Grüße", "I\u00adX", "a\u00a0b", "\u00aa", "\u2168",
             "ab\u200bc", "\u00ad", "\u0007ü", "\u06271", "\u0627a\u0627", "\U0001f511key",
             "\u0221", "e\u0301"]  # fmt: skip


def _libpq(password: str) -> str:
    """What libpq sends for `\\password`; no server is needed for that."""
    connection = psycopg.pq.PGconn.connect_start(b"host=127.0.0.1 port=1")
    try:
        return connection.encrypt_password(password.encode(), b"x", b"scram-sha-256").decode()
    finally:
        connection.finish()


def _same_as_libpq(password: str) -> bool:
    theirs = parse_verifier(_libpq(password))
    return make_verifier(password, theirs.iterations, salt=theirs.salt) == str(theirs)


def test_the_verifier_of_rfc_7677() -> None:
    """The password of RFC 7677's example gives its verifier."""
    assert make_verifier("pencil", salt=RFC_SALT) == PENCIL


@pytest.mark.parametrize("password", PASSWORDS, ids=ascii)
def test_prepared_as_libpq_does(password: str) -> None:
    """A password is prepared as libpq prepares it, whatever SASLprep says of its characters."""
    assert _same_as_libpq(password)


@settings(max_examples=150)
@given(
    password=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4
    )
)
def test_any_password_gives_libpqs_verifier(password: str) -> None:
    """For any text, our verifier and libpq's are the same string."""
    assert _same_as_libpq(password)


def test_a_verifier_reads_back() -> None:
    """Parsing a verifier and writing it gives the same text, and its parts have their sizes."""
    text = make_verifier("secret", 5000)
    verifier = parse_verifier(text)
    assert str(verifier) == text
    assert verifier.iterations == 5000
    assert (len(verifier.salt), len(verifier.stored_key), len(verifier.server_key)) == (16, 32, 32)


def test_two_verifiers_of_one_password_differ() -> None:
    """The salt is random."""
    assert make_verifier("secret") != make_verifier("secret")


def test_a_verifier_does_not_show_its_keys() -> None:
    """A verifier that lands in a log or a traceback says only its iterations."""
    assert repr(parse_verifier(PENCIL)) == "Verifier(iterations=4096)"


def test_what_saslprep_forbids_is_taken_as_it_is() -> None:
    """A password of which SASLprep leaves nothing is hashed unprepared."""
    assert prepare_password("\u00ad") == "\u00ad".encode()


@pytest.mark.parametrize(
    ("password", "iterations"), [("", 4096), ("a\0b", 4096), ("x", 4095), ("x", 10_000_001), ("\ud800", 4096)]
)
def test_no_verifier_for_what_nobody_could_send(password: str, iterations: int) -> None:
    """No password, a NUL, a lone surrogate and odd iteration counts are refused."""
    with pytest.raises(ValueError, match=r"."):
        make_verifier(password, iterations)


SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
KEY = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hunter2", "not a SCRAM-SHA-256 verifier"),
        ("", "not a SCRAM-SHA-256 verifier"),
        ("md5" + "0" * 32, "md5"),
        (f"SCRAM-SHA-1$4096:{SALT}${KEY}:{KEY}", "not a SCRAM-SHA-256 verifier"),
        (f"SCRAM-SHA-256$4096:{SALT}${KEY}", "not a SCRAM-SHA-256 verifier"),
        (f"SCRAM-SHA-256$4096:{SALT}${KEY}:{KEY}:{KEY}", "not a SCRAM-SHA-256 verifier"),
        (f"SCRAM-SHA-256$04096:{SALT}${KEY}:{KEY}", "not a SCRAM-SHA-256 verifier"),
        (f"SCRAM-SHA-256$1:{SALT}${KEY}:{KEY}", "iterations"),
        (f"SCRAM-SHA-256$99999999:{SALT}${KEY}:{KEY}", "iterations"),
        (f"SCRAM-SHA-256$4096:!{SALT}${KEY}:{KEY}", "salt must be base64"),
        (f"SCRAM-SHA-256$4096:{SALT}x${KEY}:{KEY}", "salt must be base64"),
        (f"SCRAM-SHA-256$4096:ü${KEY}:{KEY}", "salt must be base64"),
        (f"SCRAM-SHA-256$4096:AAAA${KEY}:{KEY}", "at least 12 bytes"),
        (f"SCRAM-SHA-256$4096:{SALT}${SALT}:{KEY}", "StoredKey must have 32 bytes"),
        (f"SCRAM-SHA-256$4096:{SALT}${KEY}:{KEY}\n", "ServerKey must be base64"),
    ],
)
def test_what_is_no_verifier_is_refused_in_words(text: str, problem: str) -> None:
    """The error says what is wrong, and never quotes what might be somebody's password."""
    with pytest.raises(ValueError, match=problem) as refused:
        parse_verifier(text)
    assert not text or text not in str(refused.value)


@given(text=st.text(max_size=80) | st.text("SCRAMH-256$:0149=aZ+/", max_size=80))
def test_any_text_is_a_verifier_or_a_value_error(text: str) -> None:
    """Parsing any text gives a Verifier or a ValueError, nothing else."""
    try:
        verifier = parse_verifier(text)
    except ValueError:
        return
    assert isinstance(verifier, Verifier)
