"""Renews the operator's Lease, and reads those of other operators."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from notifyx_common.background import every
from notifyx_common.backoff import Backoff
from notifyx_common.clock import Clock
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_operator.kube.api import ClusterRejected
from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.precedence import LEASE, NAMESPACES, OperatorLease, Precedence, precedence, read_lease

log = get_logger(__name__)


class OperatorLeases:
    """Knows whether this operator manages the NotifyxTopics.

    ``namespaces``: those that it is limited to; without any it manages all, unless another one does. ``deployment``:
    its Deployment in the namespace ``home``, with which the Lease is deleted. ``seconds``: how long a Lease lasts
    without a renewal, which is tried three times within that time.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespaces: tuple[str, ...],
        home: str,
        deployment: str,
        instance: str,
        clock: Clock,
        seconds: float,
    ) -> None:
        self._deployment = deployment
        self._cluster = cluster
        self._namespaces = namespaces
        self._home = home
        self._instance = instance
        self._clock = clock
        self._seconds = seconds
        self._acquired: datetime | None = None
        self._renewed = clock.monotonic()
        self._renewals: dict[str, tuple[str, float]] = {}
        self._changed = asyncio.Condition()
        self._known = False
        self.precedence = Precedence()
        """The precedence as of the last renewal."""

    @property
    def manages(self) -> bool:
        """Whether this operator manages topics."""
        return self._known and not self.precedence.manager

    async def run(self) -> None:
        """Renew for ever."""
        pause = self._seconds / 3
        await every(pause, self.renew, away=(NotifyxError,), backoff=Backoff(min(1.0, pause), pause))

    async def wait(self, *, manages: bool) -> None:
        """Wait until this operator manages topics, or does not."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._known and self.manages == manages)

    async def renew(self) -> None:
        """Renew the own Lease and read the others. Without the rights to, no other operator is known."""
        try:
            found = await self._renew() if self._home else Precedence()
        except ClusterRejected as error:
            if error.status != 403:
                raise
            log.info("operator_lease_not_permitted", reason=error.reason)
            found = Precedence()
        if found != self.precedence or not self._known:
            log.info("operator_precedence", manager=found.manager, overlaps=found.overlaps)
        async with self._changed:
            self.precedence, self._known = found, True
            self._changed.notify_all()

    async def _renew(self) -> Precedence:
        own = await self._write_own()
        if self._namespaces:
            return Precedence()  # it may not read what other namespaces have
        leases = [lease for one in await self._cluster.leases(LEASE) if (lease := read_lease(one)) is not None]
        others = [one for one in leases if one.home != self._home and self._is_held(one)]
        if not others:
            return Precedence()
        return precedence(own, others, await self._cluster.platform_namespaces())

    async def _write_own(self) -> OperatorLease:
        """Create or renew the own Lease. One that has ended is acquired anew: others may have begun meanwhile."""
        document = await self._cluster.lease(self._home, LEASE)
        before = read_lease(document) if document is not None else None
        now, lapsed = self._clock.now(), self._clock.monotonic() - self._renewed > self._seconds
        if self._acquired is None or lapsed:
            held = before is not None and before.namespaces == self._namespaces and not self._has_ended(document)
            self._acquired = before.acquired if held and before is not None else now
        metadata: dict[str, Any] = {
            "name": LEASE,
            "namespace": self._home,
            "annotations": {NAMESPACES: ",".join(self._namespaces)},
        }
        if document is None and self._deployment:
            metadata["ownerReferences"] = await self._cluster.owned_by(self._home, self._deployment)
        body = {
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._instance,
                "leaseDurationSeconds": max(1, round(self._seconds)),
                "acquireTime": _micro(self._acquired),
                "renewTime": _micro(now),
            },
        }
        await self._cluster.write_lease(self._home, LEASE, body, create=document is None)
        self._renewed = self._clock.monotonic()
        return OperatorLease(self._home, self._acquired, self._namespaces)

    def _has_ended(self, document: Any) -> bool:
        try:
            renewed = datetime.fromisoformat(str((document.get("spec") or {}).get("renewTime")))
        except ValueError:
            return True
        return (self._clock.now() - renewed).total_seconds() > self._seconds

    def _is_held(self, lease: OperatorLease) -> bool:
        """Whether another operator renews its Lease, by this process's clock: those of machines may differ."""
        now = self._clock.monotonic()
        version, since = self._renewals.get(lease.home, ("", now))
        if version != lease.version:
            since = now
        self._renewals[lease.home] = (lease.version, since)
        return now - since <= self._seconds


def _micro(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
