"""Endless tasks ended by force, and what a service says to each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from structlog.testing import capture_logs

from notifyx_common.serving.lifecycle import Node


async def end_each(service: Node[Any], names: Iterable[str]) -> None:
    """Cancel every endless task of a running service.

    ``names`` are the ones it has to have, so that a new one is named by a test. Each end must be in ``/readyz``, in the
    log and in the metrics, and nothing but these ends.
    """
    background, client = service.background, service.app.test_client()
    assert sorted(background.endless) == sorted(names)
    assert background.fault is None
    for name, task in background.endless.items():
        with capture_logs() as logs:
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
        response = await client.get("/readyz")
        assert response.status_code == 503
        sentence = (await response.get_json())["failed"][f"task {name}"]
        assert sentence == f"The background task '{name}' was cancelled; this node stops and has to be started again."
        told = [entry for entry in logs if entry["event"] == "background_task_ended"]
        assert [(entry["log_level"], entry["task"]) for entry in told] == [("critical", name)]
        labels = {"task": name, "kind": "endless"}
        assert service.metrics.registry.get_sample_value("notifyx_background_failures_total", labels) == 1
    assert background.endless == {}
