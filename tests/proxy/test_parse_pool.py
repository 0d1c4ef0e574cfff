"""Worker processes for long parses: whatever happens to one, its text is refused and the next one is read."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.proxy import parse_pool, parse_worker
from dbfirewall.proxy.parse_pool import ParsePool
from dbfirewall.proxy.parse_worker import LENGTH, decode_reading, encode_reading
from dbfirewall.sql.facts import Refusal
from dbfirewall.sql.read import read
from dbfirewall.sql.reading import Reading

TEXT = b"SELECT " + b", ".join(b"%d" % number for number in range(3000))


def run(work: Callable[[ParsePool], Coroutine[Any, Any, None]], deadline: float = 20.0) -> None:
    """Run `work` with a pool on uvloop, as the firewall does."""

    async def main() -> None:
        pool = ParsePool(deadline)
        try:
            await work(pool)
        finally:
            processes = [worker._process for worker in workers(pool) if worker._process is not None]
            pool.close()
            for process in processes:
                await process.wait()
            await asyncio.sleep(0.05)  # the loop reaps what was killed before

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 60))


def pids(pool: ParsePool) -> list[int]:
    """The processes that are free and running."""
    return [worker._process.pid for worker in workers(pool) if worker._process is not None]


def workers(pool: ParsePool) -> list[parse_pool._Worker]:
    """Those that are free."""
    free = [pool._free.get_nowait() for _ in range(pool._free.qsize())]
    for worker in free:
        pool._free.put_nowait(worker)
    return free


def test_a_text_is_read_as_it_would_be_here() -> None:
    """Statements come back whole; so does a refusal; and the process is used again."""

    async def work(pool: ParsePool) -> None:
        assert (await pool.read(TEXT)).statements == read(TEXT).statements
        first = pids(pool)
        assert (await pool.read(b"SELEC")).refusal == read(b"SELEC").refusal
        await asyncio.gather(*(pool.read(TEXT) for _ in range(6)))
        assert set(first) < set(pids(pool))
        assert len(pids(pool)) == parse_pool.WORKERS

    run(work)


def test_a_worker_that_is_too_slow_is_killed() -> None:
    """Its text is refused, and the next text gets a new process."""

    async def work(pool: ParsePool) -> None:
        await pool.read(b"SELECT 1")
        [slow] = pids(pool)
        os.kill(slow, signal.SIGSTOP)
        answers = await asyncio.gather(pool.read(TEXT), pool.read(TEXT), pool.read(TEXT))
        refusals = [one.refusal.code for one in answers if one.refusal is not None]
        assert refusals == ["timeout"]
        assert slow not in pids(pool)

    run(work, deadline=2.0)


def test_a_worker_that_crashed_is_replaced() -> None:
    """A parser that takes its process down takes no session with it: that text is refused, others are read."""

    async def work(pool: ParsePool) -> None:
        await pool.read(b"SELECT 1")
        [crashing] = pids(pool)
        os.kill(crashing, signal.SIGSTOP)
        # The queue gives the other, new worker first; its turn comes after that.
        reads = [asyncio.ensure_future(pool.read(TEXT)) for _ in range(parse_pool.WORKERS)]  # noqa: TID251
        await asyncio.sleep(0.01)
        os.kill(crashing, signal.SIGKILL)
        answers = await asyncio.gather(*reads)
        assert [one.refusal.code for one in answers if one.refusal is not None] == ["parser-failure"]
        assert crashing not in pids(pool)

    run(work)


def test_a_worker_that_died_while_it_was_idle_is_replaced() -> None:
    """Nothing is refused for that."""

    async def work(pool: ParsePool) -> None:
        await pool.read(b"SELECT 1")
        [dead] = pids(pool)
        os.kill(dead, signal.SIGKILL)
        await asyncio.sleep(0.1)
        answers = await asyncio.gather(*(pool.read(b"SELECT 1") for _ in range(parse_pool.WORKERS)))
        assert [one.refusal for one in answers] == [None] * parse_pool.WORKERS

    run(work)


def test_a_cancelled_reading_leaves_no_half_read_answer_behind() -> None:
    """The process that was at it is killed: its answer would be taken for the next text's."""

    async def work(pool: ParsePool) -> None:
        await pool.read(b"SELECT 1")
        [busy] = pids(pool)
        os.kill(busy, signal.SIGSTOP)
        tasks = [asyncio.ensure_future(pool.read(TEXT)) for _ in range(parse_pool.WORKERS)]  # noqa: TID251
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert pids(pool) == []
        assert (await pool.read(b"SELECT 2")).statements == read(b"SELECT 2").statements

    run(work)


@pytest.mark.parametrize(
    "answer",
    [
        LENGTH.pack(parse_pool.MAX_ANSWER + 1),
        LENGTH.pack(4) + b"null",
        LENGTH.pack(2) + b"[]",
        LENGTH.pack(2) + b"{}",
        LENGTH.pack(4) + b"\xff\xff\xff\xff",
        LENGTH.pack(200_000) + b"[" * 200_000,
        b"",
    ],
    ids=["too long", "null", "list", "empty", "no JSON", "too deep", "nothing"],
)
def test_a_garbled_answer_is_a_refusal(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back from a process that parsed hostile text is not trusted."""

    class Garbled(parse_pool._Worker):
        async def ensure_running(self) -> None:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    "sh", "-c", 'head -c 4 >/dev/null; cat "$0"', self.file,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                )  # fmt: skip

        file = ""

    async def work(pool: ParsePool) -> None:
        refusal = (await pool.read(b"SELECT 1")).refusal
        assert refusal is not None
        assert refusal.code == "parser-failure"

    with monkeypatch.context() as patch, open(os.memfd_create("answer"), "r+b", buffering=0) as file:  # noqa: PTH123
        file.write(answer)
        Garbled.file = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        patch.setattr(parse_pool, "_Worker", Garbled)
        run(work)


def test_a_worker_that_was_never_started_reads_nothing() -> None:
    """It fails like one that is gone."""
    with pytest.raises(EOFError):
        asyncio.run(parse_pool._Worker().read(b"SELECT 1"))


# -- the process itself ---------------------------------------------------------------------------------------


def test_the_worker_answers_until_its_input_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer for each request, in order; a torn request is the end."""
    limits: list[object] = []
    monkeypatch.setattr("resource.setrlimit", lambda *arguments: limits.append(arguments))
    texts = [b"SELECT 1", b"SELEC", b""]
    requests = io.BytesIO(b"".join(LENGTH.pack(len(text)) + text for text in texts) + b"\0\0")
    answers = io.BytesIO()
    parse_worker.main(requests, answers)
    answers.seek(0)
    for text in texts:
        [size] = LENGTH.unpack(answers.read(LENGTH.size))
        found = decode_reading(answers.read(size))
        assert (found.statements, found.refusal) == (read(text).statements, read(text).refusal)
    assert answers.read() == b""
    assert len(limits) == 1


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_refusal_survives_the_way_back(code: str, reason: str) -> None:
    """Whatever is in it."""
    reading = Reading(refusal=Refusal(code, reason))
    assert decode_reading(encode_reading(reading)) == reading
