"""The picture of what a statement's name may mean on the server: never less than what it can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.audit import decision_members
from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.gate import Judge, Verdict
from dbfirewall.metrics import Cell, Metrics
from dbfirewall.policy.decision import Decision
from dbfirewall.proxy.pending import Prepared, StatementNames
from tests.policy.build import role

JUDGE = Judge(role(), offline_catalog(), Metrics())
ALLOWED = Verdict("allow", Decision.allowed("test"), None, decision_members((), "allow", None, None), Cell())


def meaning(sql: bytes = b"SELECT 1") -> Prepared:
    return Prepared(sql, ALLOWED, JUDGE, text="")


def test_a_name_that_was_never_sent_means_nothing() -> None:
    """Withdrawing, closing and forgetting it are safe."""
    names = StatementNames()
    names.withdraw(b"a", meaning())
    names.forget(b"a", 5)
    names.forget_all(5)
    assert (list(names.meanings(b"a")), len(names)) == ([], 0)


def test_a_parse_that_is_not_answered_does_not_replace_what_was_there() -> None:
    """After a Sync a name may mean either, until ParseComplete says which."""
    names, old, new = StatementNames(), meaning(), meaning()
    names.add(b"a", old)
    names.confirm(b"a", old)
    names.next_segment()
    names.add(b"a", new)
    assert list(names.meanings(b"a")) == [new]
    names.next_segment()
    assert list(names.meanings(b"a")) == [old, new]
    names.confirm(b"a", new)
    assert list(names.meanings(b"a")) == [new]


def test_a_parse_that_was_skipped_changes_nothing() -> None:
    """The older meaning holds; a name without any is not known."""
    names, old, new, other = StatementNames(), meaning(), meaning(), meaning()
    names.add(b"a", old)
    names.add(b"a", new)
    names.add(b"b", other)
    names.next_segment()
    names.withdraw(b"a", new)
    names.withdraw(b"b", other)
    names.withdraw(b"b", other)
    assert (list(names.meanings(b"a")), list(names.meanings(b"b"))) == ([old], [])


def test_closing_a_name_leaves_what_was_sent_later() -> None:
    """A Close and a new Parse or PREPARE of the name may be on their way together."""
    names, old, new, prepared = StatementNames(), meaning(), meaning(), meaning(b"SELECT 2")
    names.add(b"a", old)
    names.confirm(b"a", old)
    sent = names.sent
    names.add_from_sql(b"a", prepared)
    names.add(b"a", new)
    names.next_segment()
    names.forget(b"a", sent)
    assert list(names.meanings(b"a")) == [prepared, new]


def test_a_prepare_holds_beside_what_it_may_have_failed_to_replace() -> None:
    """Nobody says whether it worked: both meanings count, also in its own segment; the same text counts once."""
    names, old, first, again = StatementNames(), meaning(), meaning(b"SELECT 2"), meaning(b"SELECT 2")
    names.add(b"a", old)
    names.add_from_sql(b"a", first)
    names.add_from_sql(b"a", again)
    assert list(names.meanings(b"a")) == [old, again]


def test_forgetting_all_leaves_what_was_sent_later() -> None:
    """DEALLOCATE ALL with more in the pipeline behind it."""
    names, old, new = StatementNames(), meaning(), meaning()
    names.add(b"a", old)
    names.add(b"b", meaning())
    sent = names.sent
    names.add(b"a", new)
    names.forget_all(sent)
    assert (list(names.meanings(b"a")), list(names.meanings(b"b"))) == ([new], [])


def test_meanings_are_limited_by_what_they_weigh() -> None:
    """Few long texts or many short ones; what is gone makes room again."""
    names = StatementNames()
    long = b"x" * (names.MAX_BYTES // 4)
    assert not names.full(long)
    first = meaning(long)
    names.add(b"a", first)
    assert names.full(long)
    assert not names.full(b"SELECT 1")
    names.withdraw(b"a", first)
    assert not names.full(long)
    count = 0
    while not names.full(b""):
        names.add(b"%d" % (count % 10), meaning(b""))
        count += 1
    assert count == names.MAX_BYTES // names.MEANING_BYTES


@given(
    st.lists(st.tuples(st.sampled_from("PQCDSX"), st.sampled_from([b"a", b"b"]), st.booleans()), max_size=40)
)
def test_what_a_name_means_on_the_server_is_always_among_its_meanings(
    steps: list[tuple[str, bytes, bool]],
) -> None:
    """A server that does what it is sent, or fails at it, and answers late: no meaning is ever missed.

    P: Parse, Q: PREPARE, C: Close, D: DEALLOCATE, S: Sync, X: DEALLOCATE ALL. The flag: whether it fails.
    """
    names = StatementNames()
    server: dict[bytes, Prepared] = {}
    answers: list[tuple[str, bytes, Prepared, int]] = []
    skipping = False
    for kind, name, fails in steps:
        sent = names.sent
        new = meaning(b"%d" % sent)
        if kind == "P":
            names.add(name, new)
        elif kind == "Q":
            names.add_from_sql(name, new)
        elif kind == "S":
            names.next_segment()
            skipping = False
            while answers:
                _settle(names, *answers.pop(0))
        done = not (skipping or fails)
        if kind == "P":
            done = done and name not in server
            answers.append(("confirm" if done else "withdraw", name, new, sent))
            if done:
                server[name] = new
            skipping = not done
        elif kind == "Q" and done:
            server.setdefault(name, new)
        elif kind in "CD" and done:
            server.pop(name, None)
            answers.append(("forget", name, new, sent))
        elif kind == "X" and done:
            server.clear()
            answers.append(("forget all", name, new, sent))
        if not skipping:
            for known, prepared in server.items():
                assert prepared in names.meanings(known)


def _settle(names: StatementNames, what: str, name: bytes, prepared: Prepared, sent: int) -> None:
    if what == "forget":
        names.forget(name, sent)
    elif what == "forget all":
        names.forget_all(sent)
    elif what == "confirm":
        names.confirm(name, prepared)
    else:
        names.withdraw(name, prepared)
