"""The stage on which sessions are played, with three ways in which the network cuts what is sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.stage import Delivery, Stage, bytewise, whole

SetStage = Callable[..., Stage]


def _cut_at_random(data: bytes) -> list[bytes]:
    source = random.Random(data)
    cuts = sorted(source.sample(range(len(data) + 1), min(4, len(data))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


@pytest.fixture(params=[whole, bytewise, _cut_at_random], ids=["whole", "bytewise", "random"])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    chosen: Delivery = request.param
    return chosen


@pytest.fixture
def set_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SetStage]:
    """`set_stage(role=…, rules=…, …)`: a new stage, everything delivered whole unless said otherwise."""
    stages: list[Stage] = []

    def make(**options: Any) -> Stage:
        folder = tmp_path / str(len(stages))
        folder.mkdir()
        stages.append(Stage(folder, monkeypatch, **options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(set_stage: SetStage, delivery: Delivery) -> Stage:
    """A read-write session, in each way of delivery."""
    return set_stage(delivery=delivery)
