"""The CronJob's backup, and the runbook's restore after a mistake, on the built-in PostgreSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.install import CHART, RELEASE, ROOT, SERVICES, Installed
from cluster.kube import Kube
from cluster.waiting import wait_for
from support.platform import person

RUNBOOK = (ROOT / "docs/runbooks/restore.md").read_text()


@pytest.fixture
def cron_job(installed: Installed, kube: Kube) -> Iterator[str]:
    """A CronJob of backups, which runs when it is told to; its volume and archives are gone afterwards."""
    revision, name = installed.revision(), installed.name("backup")
    # Without --wait: where volumes are bound at their first use, the claim is pending until a backup runs.
    given = "backup.enabled=true,backup.schedule=0 0 1 1 *,backup.persistence.size=1Gi"
    kube.helm("upgrade", RELEASE, str(CHART), "--reuse-values", "--set", given, namespace=installed.namespace)
    try:
        yield name
    finally:
        installed.rollback(revision)
        claim = f"{name}s"
        volume = kube.get("persistentvolumeclaim", claim, installed.namespace)["spec"].get("volumeName")
        kube.kubectl("delete", "persistentvolumeclaim", claim, "--timeout=60s", namespace=installed.namespace)
        if volume and kube.exists("persistentvolume", volume):
            # Where nobody provisions another one, this is for the next claim.
            kube.patch("persistentvolume", volume, {"spec": {"claimRef": None}})


def job_of(installed: Installed, cron_job: str, name: str) -> dict[str, Any]:
    """The job that the CronJob makes, by another name."""
    words = ("create", "job", name, f"--from=cronjob/{cron_job}", "--dry-run=client", "-o", "json")
    found: dict[str, Any] = json.loads(installed.kube.kubectl(*words, namespace=installed.namespace))
    found["metadata"].pop("creationTimestamp", None)  # of some versions of kubectl, null
    return found


def scale(installed: Installed, replicas: int, *parts: str) -> None:
    names = [installed.name(part) for part in parts]
    installed.kube.kubectl("scale", "deployment", *names, f"--replicas={replicas}", namespace=installed.namespace)


def serving(kube: Kube, installed: Installed) -> list[str]:
    """The pods of services, also those that are on their way out."""
    pods = kube.objects("pods", installed.namespace, "notifyx.dev/metrics=yes")
    return [pod["metadata"]["name"] for pod in pods]


async def test_a_backup_is_restored_by_the_runbook(installed: Installed, kube: Kube, cron_job: str) -> None:
    async with person(installed, "archivist") as user:
        await user.call("POST", "/topics", json={"name": "backup.kept"})
        for number in range(3):
            await user.call("POST", "/topics/backup.kept/notifications", json={"body": f"number {number}"})
        said = installed.run_job(job_of(installed, cron_job, "backup-by-hand"))
        assert "Backup of " in said
        await user.call("DELETE", "/topics/backup.kept")

        scale(installed, 0, "operator")
        scale(installed, 0, *SERVICES)
        wait_for("nothing serves", lambda: not serving(kube, installed), deadline=120)
        kube.kubectl("rollout", "restart", f"deployment/{installed.name('memcached')}", namespace=installed.namespace)
        job = job_of(installed, cron_job, "restore-by-hand")
        arguments = re.search(r"\.args = (\[.*?\])", RUNBOOK)
        assert arguments is not None
        job["spec"]["backoffLimit"] = 0
        job["spec"]["template"]["spec"]["containers"][0]["args"] = json.loads(arguments[1])
        installed.run_job(job)
        scale(installed, 2, *SERVICES)
        scale(installed, 1, "operator")
        installed.wait_complete()
        installed.wait_reached()

        kept = {
            one["seq"]: one["body"] for one in (await user.call("GET", "/topics/backup.kept/notifications"))["items"]
        }
        assert [kept[seq] for seq in sorted(kept)] == [f"number {number}" for number in range(3)]
        published = await user.call("POST", "/topics/backup.kept/notifications", json={"body": "after"})
        assert published["seq"] > max(kept)
