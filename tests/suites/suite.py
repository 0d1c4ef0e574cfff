"""The shape of a suite: what it needs, and how it is run against a target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.suites.ground import Target
from tests.suites.outcomes import Outcomes
from tests.support.postgres import Postgres


class Suite(ABC):
    """One suite. `databases`: those that it connects to; the first exists when it begins."""

    name: ClassVar[str]
    databases: ClassVar[tuple[str, ...]] = ("postgres",)

    @abstractmethod
    def fetch(self) -> None:
        """Get the sources and what runs them."""

    def prepare(self, server: Postgres) -> None:  # noqa: B027  most expect nothing
        """Make what the suite expects to find, on a server of its own for each run."""

    @abstractmethod
    def run(self, target: Target, folder: Path) -> Outcomes:
        """Run it against `target`; `folder` is empty, and for whatever it writes."""
