import pytest
from prometheus_client import generate_latest

from notifyx_common.metrics import CATALOGUE, Metrics, PoolUsage, combined


def test_names_are_unique_and_explained() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    assert all(metric.meaning and metric.name.startswith("notifyx_") for metric in CATALOGUE)
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in CATALOGUE)


def test_no_label_is_unbounded() -> None:
    labels = {label for metric in CATALOGUE for label in metric.labels}
    assert not labels & {"user", "topic", "id", "email", "instance"}


def test_a_metric_cannot_exist_outside_the_catalogue() -> None:
    with pytest.raises(KeyError):
        Metrics().counter("notifyx_made_up_total")


def test_every_metric_can_be_built() -> None:
    metrics = Metrics()
    for metric in CATALOGUE:
        assert getattr(metrics, metric.kind)(metric.name) is getattr(metrics, metric.kind)(metric.name)


def test_a_pool_is_asked_whenever_somebody_looks() -> None:
    metrics, used = Metrics(), [PoolUsage(1, 4), PoolUsage(2, 4, waiting=3)]
    metrics.observe_pool("both", lambda: combined(used))

    def places() -> dict[str, float]:
        lines = generate_latest(metrics.registry).decode().splitlines()
        return {line.split('"')[3]: float(line.split()[-1]) for line in lines if not line.startswith("#")}

    assert places() == {"used": 3, "limit": 8, "waiting": 3}
    used.pop()
    assert places() == {"used": 1, "limit": 4, "waiting": 0}


def test_what_an_alert_counts_is_there_before_it_happens() -> None:
    metrics = Metrics()
    for metric in CATALOGUE:
        if metric.initial_series:
            metrics.counter(metric.name)
    shown = generate_latest(metrics.registry).decode()
    assert 'notifyx_resumes_total{outcome="truncated"} 0.0' in shown
    assert 'notifyx_scalings_total{outcome="failed",service="store"} 0.0' in shown
