"""What becomes a label of a metric: what this project has named, and nothing that a client makes up."""

from __future__ import annotations

from notifyx_common.metrics import Metrics
from notifyx_common.serving.web import METHODS, _Measured


def test_methods_that_clients_make_up_are_counted_together() -> None:
    metrics = Metrics()
    measured = _Measured("gateway", metrics)
    for method in (*METHODS, *(f"M{number}" for number in range(100)), "get", "GET "):
        measured.count("unmatched", method, 405, 1.0)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    found = {sample.labels["method"] for sample in samples if "method" in sample.labels}
    assert found == METHODS | {"other"}
    labels = {"service": "gateway", "route": "unmatched", "method": "other", "status": "405"}
    assert metrics.registry.get_sample_value("notifyx_http_requests_total", labels) == 102
