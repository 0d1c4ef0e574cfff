"""The metrics: what is counted, what a scrape shows, and that no label can flood it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dbfirewall import __version__
from dbfirewall.metrics import LATENCY_BUCKETS, MAX_SERIES, Histogram, Metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_counter_shows_what_was_counted() -> None:
    """A cell kept at hand and an increment by labels count into the same series."""
    metrics = Metrics()
    metrics.decisions.cell("analyst", "select", "allow").value += 2
    metrics.decisions.inc("analyst", "select", "allow")
    labels = frozenset({("role", "analyst"), ("action", "select"), ("outcome", "allow")})
    assert samples(metrics)["dbfirewall_decisions_total", labels] == 3


def test_a_gauge_goes_up_and_down() -> None:
    """A gauge can be set, and counted both ways."""
    metrics = Metrics()
    metrics.sessions.inc("analyst")
    metrics.sessions.inc("analyst", by=-1)
    metrics.catalog_loaded.set(1.5, "shop")
    found = samples(metrics)
    assert found["dbfirewall_sessions", frozenset({("role", "analyst")})] == 0
    assert found["dbfirewall_catalog_loaded_timestamp_seconds", frozenset({("database", "shop")})] == 1.5


def test_metrics_without_labels_begin_at_zero() -> None:
    """What has not happened yet is 0, not absent, so that an alert on it works."""
    found = samples(Metrics())
    assert found["dbfirewall_audit_failures_total", frozenset()] == 0
    assert found["dbfirewall_disagreements_total", frozenset()] == 0
    assert found["dbfirewall_parse_seconds_count", frozenset()] == 0


@given(values=st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_counts_each_value_at_or_below_its_bound(values: list[float]) -> None:
    """Bucket counts are cumulative and include the bound itself; the sum is the values' sum."""
    histogram = Histogram("x_seconds", "x")
    for value in values:
        histogram.observe(value)
    shown = {
        sample.labels.get("le"): sample.value
        for sample in histogram.collect().samples
        if "le" in sample.labels
    }
    for bound in LATENCY_BUCKETS:
        assert shown[str(bound)] == sum(value <= bound for value in values)
    assert shown["+Inf"] == len(values)
    assert histogram.sum == pytest.approx(sum(values))


def test_label_values_are_bounded() -> None:
    """A family that has MAX_SERIES series counts all new ones together, and none is lost."""
    metrics = Metrics()
    for number in range(MAX_SERIES + 100):
        metrics.tripwires.inc(f"p{number}")
    series = {labels: value for (name, labels), value in samples(metrics).items() if "tripwires" in name}
    assert len(series) == MAX_SERIES + 1
    assert series[frozenset({("parameter", "other")})] == 100


def test_wrong_labels_are_an_error() -> None:
    """Too few or too many label values are a bug, told at once."""
    with pytest.raises(ValueError, match="has the labels"):
        Metrics().decisions.inc("analyst")


def test_build_info_names_the_version() -> None:
    """The version that runs is a label."""
    [labels] = [dict(labels) for (name, labels) in samples(Metrics()) if name == "dbfirewall_build_info"]
    assert labels["version"] == __version__


def test_every_name_begins_with_the_prefix() -> None:
    """Every exposed metric, those of the process included, begins with dbfirewall_."""
    names = [family.name for family in text_string_to_metric_families(Metrics().render().decode())]
    assert all(name.startswith("dbfirewall_") for name in names)


def test_the_reference_page_is_complete() -> None:
    """docs/metrics.md has one row for each metric, with its labels, and no others."""
    rows = dict(re.findall(r"^\| `(dbfirewall_\w+)` \| (.*?) \|", PAGE.read_text(), re.MULTILINE))
    declared = {
        family.name: ", ".join(f"`{label}`" for label in family.labels) or "none"
        for family in Metrics().families()
    }
    process = {name: labels for name, labels in rows.items() if name.startswith("dbfirewall_process_")}
    assert {name: labels for name, labels in rows.items() if name not in process} == declared
    exposed = Metrics().render().decode()
    assert all(f"# TYPE {name} " in exposed for name in process)
