"""A platform under test in a cluster: the chart, installed with helm, reached by its ingress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaos.histories.clustered.mailbox import MailboxMails
from chaos.histories.clustered.nemesis import Nemesis, aside
from chaos.histories.clustered.offered import EACH, offered
from chaos.histories.clustered.pods import Pods
from chaos.histories.plan import FaultPlan
from chaos.histories.targets import Targets
from cluster.images.build import notifyx_images, peer_images
from cluster.install import Installed, install
from cluster.kube import Kube
from cluster.namespaces.cluster import NamespaceCluster
from cluster.provider import Cluster, choose, wanted_families, wanted_provider
from cluster.waiting import CommandFailed, TimedOut, wait_for
from notifyx_common.contracts.callers import token_headers
from notifyx_common.contracts.store.ledger import LEDGER
from notifyx_common.principal import PRINCIPAL_HEADER, system_principal

HOSTNAME = "kubernetes.io/hostname"

SETTLE = 300.0
"""Seconds in which everything has to come after the faults: nodes come back, pods start, and emails' leases end."""

HEALTHY = 200.0
"""Seconds in which all pods are ready after the last fault."""

PAUSES = (0.1, 0.2, 0.4)
"""Publishers are slower than on one machine: a fault takes as long as a pod takes to start."""

ASK = (
    "import json, sys, urllib.request as u; "
    "print(u.urlopen(u.Request(sys.argv[1], headers=json.loads(sys.argv[2])), timeout=10).read().decode())"
)

T = TypeVar("T")


def values(mailbox_on: str, postgres_on: str) -> dict[str, Any]:
    """Return the chart's values: limits that histories do not meet, times that come in one, and who is on which node.

    The node of the mailbox is the one that never fails: what is in it is in its pod alone.
    """
    quick: dict[str, Any] = {"stabilizationSeconds": 5, "minimum": EACH}
    return {
        "gateway": {
            **quick,
            "capacity": {"connections": 1000},
            "settings": {
                "signUpBurst": 1000, "tokenBurst": 100000, "topicBurst": 100000, "streamKeepAlive": 2,
                "mailLeaseSeconds": 30,
            },
        },
        "auth": {**quick, "settings": {"accessTokenSeconds": 20}},
        "store": {
            **quick,
            "capacity": {"publishesPerSecond": 1000},
            "settings": {"maxTopics": 1000000, "retentionEvery": 1, "mailRetryBase": 0.5},
        },
        "mailer": {**quick, "capacity": {"emailsPerMinute": 3000}},
        "operator": {"settings": {"resyncSeconds": 10, "platformSeconds": 2, "gatewayStep": 3, "unseenPatience": 10}},
        "mailbox": {"nodeSelector": {HOSTNAME: mailbox_on}},
        "postgres": {"nodeSelector": {HOSTNAME: postgres_on}},
    }  # fmt: skip


@dataclass(frozen=True)
class ClusterBed:
    """An installed release, as :class:`chaos.histories.system.System`."""

    installed: Installed
    pods: Pods
    nemesis: Nemesis
    mails: MailboxMails
    targets: Targets
    run: str

    settle = SETTLE
    pauses = PAUSES

    @property
    def api(self) -> str:
        """By the ingress."""
        return self.installed.api

    @property
    def socket(self) -> str:
        """By the ingress."""
        return self.installed.socket

    async def fail(self, plan: FaultPlan) -> None:
        """Inject a fault, and return when it is over. Raises :class:`TimeoutError` where that does not come."""
        await self.nemesis.fail(plan)

    async def healthy(self) -> None:
        """Wait until all pods are ready and the ingress reaches them. Raises :class:`TimeoutError`."""
        await aside(self._wait_healthy)
        await self.ledger()

    async def ledger(self) -> dict[str, Any]:
        """Return the store's ledger, as one of its pods gives it to a gateway. Raises :class:`TimeoutError`."""
        token = self.installed.secret["token-gateway-store"]
        headers = {**token_headers(token), PRINCIPAL_HEADER: system_principal("dashboard").to_header()}

        def read() -> dict[str, Any]:
            pod = self.pods.named("store-1")
            if pod is None:
                return {}
            url = f"http://127.0.0.1:4000{LEDGER.path}"
            books: dict[str, Any] = json.loads(self.installed.python(pod.name, ASK, url, json.dumps(headers)))
            return books

        return await aside(_waited, "the ledger is read", read)

    async def outbox_is_filled(self) -> bool:
        """Return whether there is an email for all that was published and is to be mailed: it follows a publish."""
        behind = "SELECT EXISTS (SELECT FROM topics WHERE email_seq < last_seq AND kind <> 'deleted')"

        def read() -> str:
            return self.installed.sql("store", behind).strip()

        return str(await aside(_waited, "PostgreSQL answers", read)) == "f"

    async def take_out(self, protection: str) -> None:
        """Nothing can be taken out of images. Always raises :class:`ValueError`."""
        raise ValueError(f"A cluster runs images, from which {protection} cannot be taken out.")

    async def keep_logs(self, folder: Path) -> None:
        """Write what the pods have logged to ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (await aside(self.pods.logs)).items():
            (folder / f"{name}.log").write_text(text)

    def _wait_healthy(self) -> None:
        try:
            self.installed.wait_complete(deadline=HEALTHY)
            wait_for("PostgreSQL, memcached and operator are ready", self.pods.complete, deadline=HEALTHY)
            self.installed.wait_reached()
        except (TimedOut, CommandFailed) as error:
            raise TimeoutError(str(error)) from error


def _waited(what: str, look: Callable[[], T]) -> T:
    """Return what ``look`` returns once it is true. Raises :class:`TimeoutError`."""
    try:
        return wait_for(what, look, deadline=HEALTHY, pause=0.2)
    except TimedOut as error:
        raise TimeoutError(str(error)) from error


@contextlib.asynccontextmanager
async def running_cluster_bed() -> AsyncIterator[ClusterBed]:
    """Install the chart in the cluster, which is started where none runs. Both stay.

    Raises :class:`cluster.provider.NoCluster` where this machine can have none.
    """
    cluster, installed = await aside(_installed)
    machines = cluster.nodes[1:]
    reached = isinstance(cluster, NamespaceCluster)
    mails = MailboxMails(installed.with_mailbox)
    async with mails.following():
        bed = ClusterBed(
            installed=installed,
            pods=Pods(installed),
            nemesis=Nemesis(installed, machines),
            mails=mails,
            targets=offered(
                len(machines), machines=reached, policies=reached and cluster.why_not("network-policy") is None
            ),
            run=f"-{int(time.time()):x}",
        )
        await asyncio.wait_for(bed.healthy(), HEALTHY)
        yield bed


def _installed() -> tuple[Cluster, Installed]:
    def say(line: str) -> None:
        print(f"  {line}", flush=True)

    images = [*notifyx_images(say), *peer_images(say)]
    cluster = choose(way=wanted_provider(), families=wanted_families(), images=images, say=say)
    say("installing the chart")
    wanted = values(cluster.nodes[0], cluster.nodes[-1])
    return cluster, install(cluster, Kube(cluster), images, wanted)
