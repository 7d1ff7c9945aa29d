import pytest

from notifyx_common.metrics import CATALOGUE, Metrics


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
