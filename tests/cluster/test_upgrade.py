"""``helm upgrade`` to other images and settings, and ``helm rollback``, under traffic: nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from cluster.install import CHART, SERVICES, Installed, upgrade
from cluster.kube import Kube
from cluster.traffic import traffic
from support.platform import person

NEWER = {"podAnnotations": {"notifyx.dev/test": "newer"}}
"""Rolls every pod, as new images do."""


def started(kube: Kube, installed: Installed) -> set[str]:
    """The names of all pods of the services."""
    return {pod["metadata"]["name"] for part in SERVICES for pod in kube.pods(installed.namespace, part)}


async def test_upgrade_and_rollback_lose_nothing(installed: Installed, kube: Kube) -> None:
    secrets = installed.secret
    before = started(kube, installed)
    revision = installed.revision()
    async with person(installed, "upgrader") as user:
        await user.call("POST", "/topics", json={"name": "upgrade.kept"})
        await user.call("POST", "/topics/upgrade.kept/notifications", json={"body": "from before"})
    async with traffic(installed, "upgrade.up") as flowing:
        await asyncio.to_thread(upgrade, installed, NEWER)
        await asyncio.to_thread(installed.wait_complete)
        await flowing.more()
    assert not before & started(kube, installed), "every pod was replaced"
    assert installed.secret == secrets, "an upgrade keeps the generated secrets"
    async with traffic(installed, "upgrade.back") as flowing:
        await asyncio.to_thread(installed.rollback, revision)
        await asyncio.to_thread(installed.wait_complete)
        await flowing.more()
    async with person(installed, "upgrader") as user:
        history = await user.call("GET", "/topics/upgrade.kept/notifications")
        assert [item["body"] for item in history["items"]] == ["from before"]


def test_definitions_are_upgraded_with_the_chart(installed: Installed, kube: Kube, tmp_path: Path) -> None:
    """What is in a chart's own ``crds/`` would never be."""
    older = tmp_path / "notifyx"
    shutil.copytree(CHART, older)
    definition = older / "files" / "crds" / "notifyx.dev_notifyxtopics.yaml"
    definition.write_text(definition.read_text().replace("shortNames: [nxt]", "shortNames: [nxt, older]"))

    def short_names() -> list[str]:
        found: list[str] = kube.get("crd", "notifyxtopics.notifyx.dev")["spec"]["names"]["shortNames"]
        return found

    upgrade(installed, chart=older)
    assert short_names() == ["nxt", "older"]
    upgrade(installed)
    assert short_names() == ["nxt"]
