"""Every Prometheus metric of dbfirewall, declared once. Reference: docs/metrics.md.

The event loop's one thread counts in plain Python numbers (about 0.07 µs each), and the exposition reads them
when it is scraped on that same loop; so there is no lock anywhere. Label values come from the rules file or
from short lists; a family that would grow beyond MAX_SERIES counts what is new under `other`.

Hot path: look a `Cell` up once (per cached decision, per session), then `cell.value += 1`.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from dbfirewall import __version__

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""The media type of `Metrics.render`."""

MAX_SERIES: Final = 500
"""Label sets that one family may have; all further ones share one whose labels are all `other`."""

LATENCY_BUCKETS: Final = (
    0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
)  # fmt: skip
"""Seconds: from a cached decision (tens of microseconds) to a parse in a worker (its deadline)."""


WAIT_BUCKETS: Final = (1.0, 5.0, 15.0, 45.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds: what people take to decide."""


class Cell:
    """One series of a counter or gauge. The hot path may write `cell.value += n`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Family:
    """One counter or gauge: a cell per label set, made when it is first asked for."""

    def __init__(
        self, name: str, help_text: str, labels: tuple[str, ...] = (), *, gauge: bool = False
    ) -> None:
        self.name = f"dbfirewall_{name}"
        self.help_text = help_text
        self.labels = labels
        self._gauge = gauge
        self._cells: dict[tuple[str, ...], Cell] = {}
        if not labels:
            self._cells[()] = Cell()

    def cell(self, *values: str) -> Cell:
        """The series with these label values. ValueError where their number is wrong."""
        found = self._cells.get(values)
        if found is not None:
            return found
        if len(values) != len(self.labels):
            msg = f"{self.name} has the labels {self.labels}, not {values}"
            raise ValueError(msg)
        if len(self._cells) >= MAX_SERIES:
            values = ("other",) * len(self.labels)
        return self._cells.setdefault(values, Cell())

    def inc(self, *values: str, by: float = 1) -> None:
        """Add to one series."""
        self.cell(*values).value += by

    def set(self, value: float, *values: str) -> None:
        """Set one series of a gauge."""
        self.cell(*values).value = value

    def collect(self) -> Metric:
        """The family as prometheus_client's exposition wants it."""
        make = GaugeMetricFamily if self._gauge else CounterMetricFamily
        metric = make(self.name, self.help_text, labels=self.labels)
        for values, cell in self._cells.items():
            metric.add_metric(values, cell.value)
        return metric


class Histogram:
    """A histogram without labels. `observe` costs a bisection and three additions."""

    def __init__(self, name: str, help_text: str, buckets: tuple[float, ...] = LATENCY_BUCKETS) -> None:
        self.name = f"dbfirewall_{name}"
        self.help_text = help_text
        self.labels: tuple[str, ...] = ()
        self.sum = 0.0
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)

    def observe(self, seconds: float) -> None:
        """Count one measurement."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def collect(self) -> Metric:
        """The family as prometheus_client's exposition wants it."""
        metric = HistogramMetricFamily(self.name, self.help_text)
        total, buckets = 0, []
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((str(bound), total))
        metric.add_metric([], buckets, self.sum)
        return metric


class Metrics(Collector):
    """All metrics of one firewall process. Counters, gauges: `.inc(…)`, `.set(…)`, or keep a `.cell(…)`."""

    def __init__(self) -> None:
        # What agents ask, and what they are told.
        self.decisions = Family(
            "decisions_total",
            "Decisions on what agents sent, by role, deciding action, and outcome (allow, deny, gate).",
            ("role", "action", "outcome"),
        )
        self.added_latency = Histogram(
            "added_latency_seconds",
            "Time from a statement's arrival until it is forwarded or refused, without waiting for approval.",
        )
        self.decision_cache = Family(
            "decision_cache_total",
            "Look-ups in the decision cache, by where the decision was found (exact, template, miss).",
            ("level",),
        )
        self.parse = Histogram("parse_seconds", "Time to read one SQL text that was in no cache.")
        self.unreadable = Family(
            "unreadable_total",
            "SQL texts refused because their meaning was not established, by code of the refusal.",
            ("code",),
        )
        self.disagreements = Family(
            "disagreements_total", "SQL texts refused because the parsers disagreed on their meaning."
        )
        self.limited = Family(
            "limited_total", "Statements refused because a limit was used up.", ("role", "limit")
        )

        # Approvals.
        self.approvals = Family(
            "approvals", "Requests for approval in the store, by state.", ("state",), gauge=True
        )
        self.approval_wait = Histogram(
            "approval_wait_seconds",
            "Time from a request for approval until people had decided it.",
            WAIT_BUCKETS,
        )
        self.notifications = Family(
            "notifications_total",
            "Attempts to deliver a notification, by channel and outcome.",
            ("channel", "outcome"),
        )
        self.approval_store_errors = Family(
            "approval_store_errors_total",
            "Failures of the store of approvals, by what was asked of it; gated statements are refused meanwhile.",
            ("operation",),
        )

        # Connections.
        self.connections = Family(
            "connections", "Connections of agents now, by state (startup, session).", ("state",), gauge=True
        )
        self.sessions = Family("sessions", "Sessions of agents now, by role.", ("role",), gauge=True)
        self.connections_refused = Family(
            "connections_refused_total",
            "Connections refused before their session began, by reason.",
            ("reason",),
        )
        self.tripwires = Family(
            "tripwires_total",
            "Sessions ended because the server reported a change that was not allowed, by parameter.",
            ("parameter",),
        )
        self.relayed_bytes = Family(
            "relayed_bytes_total", "Bytes relayed, by direction (to_server, to_agent).", ("direction",)
        )

        # The servers behind.
        self.upstream_errors = Family(
            "upstream_errors_total",
            "Errors that servers answered to agents, by class of SQLSTATE.",
            ("class",),
        )
        self.upstream_failures = Family(
            "upstream_failures_total",
            "Connections to servers that failed or broke, by database and reason.",
            ("database", "reason"),
        )
        self.catalog_refreshes = Family(
            "catalog_refreshes_total",
            "Readings of a database's catalog, by outcome (ok, failed).",
            ("database", "outcome"),
        )
        self.catalog_loaded = Family(
            "catalog_loaded_timestamp_seconds",
            "When the catalog snapshot in use was read, in Unix time.",
            ("database",),
            gauge=True,
        )

        # The firewall itself.
        self.audit_failures = Family(
            "audit_failures_total", "Attempts to write the audit record that failed; nothing runs meanwhile."
        )
        self.rules_loads = Family(
            "rules_loads_total", "Attempts to load the rules, by outcome (ok, rejected).", ("outcome",)
        )
        self.rules_loaded = Family(
            "rules_loaded_timestamp_seconds", "When the rules in force were loaded, in Unix time.", gauge=True
        )
        self.build_info = Family(
            "build_info", "Always 1; the labels say what is running.", ("version", "python"), gauge=True
        )
        self.build_info.set(1, __version__, platform.python_version())

        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(namespace="dbfirewall", registry=self._registry)

    def families(self) -> Iterator[Family | Histogram]:
        """Every metric declared above, in that order."""
        return (value for value in vars(self).values() if isinstance(value, Family | Histogram))

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks for at each scrape."""
        return (family.collect() for family in self.families())

    def render(self) -> bytes:
        """The exposition text, of media type CONTENT_TYPE. Call it on the loop's thread."""
        return generate_latest(self._registry)
