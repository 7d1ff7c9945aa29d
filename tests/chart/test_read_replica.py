"""How stores are told where standbys are that they may read."""

from __future__ import annotations

import pytest

from chart.rendered import Rendering
from chart.test_settings import told


def test_by_default_there_is_none(default: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not told(default, "store", monkeypatch).read_replica_url.get_secret_value()


def test_stores_alone_are_told_of_one(renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch) -> None:
    external = renderings["external"]
    url = "postgresql://notifyx_store:secret@db-ro:6432/notifyx_store"
    assert told(external, "store", monkeypatch, dsn=url).read_replica_url.get_secret_value() == url
    env = {part: pod.env.get("NOTIFYX_READ_REPLICA_URL") for part, pod in external.pods.items()}
    assert {part: one["valueFrom"]["secretKeyRef"] for part, one in env.items() if one} == {
        "store": {"name": "store-replica", "key": "dsn"}
    }
