"""Requests as text and back, whatever is in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.approvals import codec
from dbfirewall.approvals.model import (
    Envelope,
    Options,
    Parameter,
    Preview,
    Snapshot,
    Table,
    Terms,
    Vote,
)
from dbfirewall.errors import StoreError
from tests.approvals.places import ASKED, PREVIEW

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.lists(st.none() | st.integers(0, 2**63), max_size=4).map(tuple)
finite = st.floats(allow_nan=False, allow_infinity=False)
snapshots = st.builds(
    Snapshot, text, text, text, st.binary(max_size=50),
    parameters=st.lists(
        st.builds(Parameter, st.integers(0, 2**32), st.integers(0, 1), st.none() | st.binary(max_size=20),
                  st.none() | text), max_size=3).map(tuple),
    settings=st.dictionaries(text, text, max_size=3), effects=st.lists(st.tuples(text, text), max_size=3).map(tuple),
    in_transaction=st.booleans(), extended=st.booleans(), catalog_version=st.integers(0, 2**40), rule=text,
)  # fmt: skip
rows = st.lists(st.tuples(st.none() | text, st.none() | text), max_size=3).map(tuple)
previews = st.builds(
    Preview, finite, text, st.none() | finite, counts,
    st.lists(st.builds(Table, text, st.just(("a", "b")), rows, rows), max_size=2).map(tuple),
    st.lists(st.dictionaries(text, st.none() | st.integers(-5, 5) | text | st.lists(text), max_size=3), max_size=2)
    .map(tuple), st.lists(text, max_size=2).map(tuple), st.booleans(), st.booleans(), text,
)  # fmt: skip


@given(
    snapshots,
    previews,
    st.lists(
        st.builds(Terms, text, st.lists(text, max_size=2).map(tuple), st.integers(0, 9)), max_size=3
    ).map(tuple),
    st.builds(Options, finite, st.booleans(), st.booleans(), finite, text, st.booleans()),
    st.none() | st.builds(Envelope, counts, finite),
    st.lists(st.builds(Vote, text, st.booleans(), finite, text, text, text), max_size=3).map(tuple),
    counts,
)
def test_what_is_written_is_read(
    snapshot: Snapshot,
    preview: Preview,
    terms: Any,
    options: Options,
    envelope: Any,
    votes: Any,
    affected: Any,
) -> None:
    """The same values, and so the same key."""
    row = {
        "snapshot": codec.encode_snapshot(snapshot),
        "terms": codec.encode_terms(terms),
        "options": codec.encode_options(options),
        "preview": codec.encode_preview(preview),
        "envelope": codec.encode_envelope(envelope),
        "votes": codec.encode_votes(votes),
        "affected": codec.encode_counts(affected),
        **dict.fromkeys(("id", "owner", "xid", "error", "note"), ""),
        **dict.fromkeys(("agent_gone", "told", "attempts", "undo_rows", "undo_accepted", "undone"), 0),
        **dict.fromkeys(("created_at", "expires_at", "updated_at"), 0.0),
        "state": "pending",
    }
    request = codec.decode_request(row)
    assert (request.snapshot, request.terms, request.options) == (snapshot, terms, options)
    assert (request.preview, request.envelope, request.votes) == (preview, envelope, votes)
    assert request.affected == affected
    assert request.snapshot.key == snapshot.key


@given(st.text())
def test_plain_text(value: str) -> None:
    """It can be kept everywhere, and is what it was where that could be kept."""
    kept = codec.plain(value)
    assert "\0" not in kept
    assert kept.encode().decode() == kept
    if "\0" not in value and value.isascii():
        assert kept == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "{}",
        "[]",
        codec.encode_snapshot(ASKED).replace('"agent":"cleaner"', '"agent":7'),
        codec.encode_snapshot(ASKED).replace('"agent"', '"agents"'),
        codec.encode_snapshot(ASKED).replace('"extended":false', '"extended":"no"'),
        codec.encode_snapshot(ASKED).replace('"sql":"', '"sql":"*'),
        codec.encode_snapshot(ASKED)[:-1] + "," + codec.encode_snapshot(ASKED)[1:],
    ],
)
def test_what_this_version_did_not_write_is_not_read(text: str) -> None:
    """Other types, other keys, other counts, no JSON."""
    with pytest.raises(StoreError, match="can't read"):
        codec._decode(codec._SNAPSHOT, text)


def test_the_complaint_shows_no_data() -> None:
    """Only where it is wrong."""
    with pytest.raises(StoreError) as caught:
        codec._decode(
            codec._PREVIEW, codec.encode_preview(PREVIEW).replace('"plan":"Seq Scan"', '"plan":["hush"]')
        )
    assert "plan" in str(caught.value)
    assert "hush" not in str(caught.value)
