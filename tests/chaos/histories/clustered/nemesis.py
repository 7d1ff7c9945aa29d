"""Injects the faults of a plan into a release on a cluster."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from chaos.histories.clustered.offered import NODE, kind_of
from chaos.histories.clustered.pods import REPLACED, Pod, Pods
from chaos.histories.plan import FaultPlan
from cluster.install import Installed
from cluster.namespaces.cluster import NamespaceCluster
from cluster.waiting import CommandFailed, TimedOut, wait_for

POWER_CUT = 20.0
"""Seconds that a machine is off: after 15 its pods are replaced by others."""

MORE = 1
"""Pods that declared demand adds."""

DEMAND = {
    "gateway": {"connections": 2500},
    "store": {"publishesPerSecond": 2500},
    "mailer": {"emailsPerMinute": 7500},
}
"""What a topic declares so that three pods are needed, by the capacities in the values of the release."""

T = TypeVar("T")


class Nemesis:
    """Breaks a release. ``machines``: those of its cluster that may fail, in the order of their targets' numbers."""

    def __init__(self, installed: Installed, machines: tuple[str, ...]) -> None:
        self._installed = installed
        self._kube = installed.kube
        self._machines = machines
        self._pods = Pods(installed)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fail(self, plan: FaultPlan) -> None:
        """Inject a fault, and return when it is over. Raises :class:`TimeoutError` where that does not come."""
        try:
            if kind_of(plan.target) == NODE:
                async with self._turns[NODE]:  # one machine at a time: the third has the mailbox
                    await self._fail_machine(plan, self._machines[int(plan.target.rpartition("-")[2]) - 1])
            elif plan.fault in ("cut", "scale", "rolling", "stale"):
                async with self._turns[f"{plan.fault} {kind_of(plan.target)}"]:
                    await self._fail_part(plan)
            elif (pod := await aside(self._pods.named, plan.target)) is not None:
                await self._fail_pod(plan, pod)
        except (CommandFailed, TimedOut) as error:
            raise TimeoutError(str(error)) from error

    async def _fail_pod(self, plan: FaultPlan, pod: Pod) -> None:
        match plan.fault:
            case "drain" | "remove":
                await aside(self._pods.delete, pod, grace=plan.fault == "drain")
                await aside(self._pods.wait_replaced, pod)
            case "kill":
                self._reached().send_signal(pod.node, pod.container, signal.SIGKILL)
                await aside(self._pods.wait_replaced, pod)
            case "pause":
                self._reached().send_signal(pod.node, pod.container, signal.SIGSTOP)
                try:
                    await asyncio.sleep(plan.seconds)
                finally:
                    self._reached().send_signal(pod.node, pod.container, signal.SIGCONT)
            case _:
                raise ValueError(f"{plan} is no fault of a pod")

    async def _fail_part(self, plan: FaultPlan) -> None:
        match plan.fault:
            case "rolling":
                workload = f"deployment/{self._installed.name(plan.target)}"
                await aside(self._kube.kubectl, "rollout", "restart", workload, namespace=self._installed.namespace)
                await aside(self._kube.wait_rolled_out, self._installed.namespace, workload)
            case "cut":
                await self._isolate(plan)
            case "stale":
                await self._hide(plan)
            case _:
                await self._scale(plan.target)

    async def _isolate(self, plan: FaultPlan) -> None:
        """Let nothing reach a part, by its own NetworkPolicy; connections that there are do not outlive it."""
        part = {"smtp": "mailbox"}.get(plan.target, plan.target)
        name = self._installed.name(part)
        policy = await aside(self._kube.get, "networkpolicy", name, self._installed.namespace)

        async def allow(rules: list[Any]) -> None:
            patch = {"spec": {"ingress": rules}}
            await aside(self._kube.patch, "networkpolicy", name, patch, self._installed.namespace)

        await allow([])
        try:
            pods = await aside(self._kube.pods, self._installed.namespace, part)
            addresses = [one["ip"] for pod in pods for one in pod["status"].get("podIPs") or ()]
            await asyncio.sleep(1.0)  # the agent looks twice a second
            await aside(self._reached().forget_connections, addresses)
            await asyncio.sleep(plan.seconds)
        finally:
            await allow(policy["spec"].get("ingress", []))

    async def _hide(self, plan: FaultPlan) -> None:
        """Remove a pod while nobody brings EndpointSlices up to date, or replaces it."""
        cluster = self._reached()
        pod = await aside(self._pods.named, plan.target)
        if pod is None:
            return
        await aside(cluster.stop_controllers)
        try:
            await aside(self._pods.delete, pod, grace=False)
            await asyncio.sleep(plan.seconds)
        finally:
            await aside(cluster.resume_controllers)
        await aside(self._pods.wait_replaced, pod)

    async def _scale(self, service: str) -> None:
        """Let a topic declare demand until one more pod is ready, and take it back until that one is gone."""
        topic = {
            "apiVersion": "notifyx.dev/v1alpha1",
            "kind": "NotifyxTopic",
            "metadata": {"name": f"chaos.{service}", "namespace": self._installed.namespace},
            "spec": {"demand": DEMAND[service]},
        }
        before = await aside(self._pods.wanted, service)
        await aside(self._kube.apply, topic)
        try:
            await aside(self._wait_scaled, service, before + MORE)
        finally:
            words = ("delete", "notifyxtopic", f"chaos.{service}", "--timeout=60s")
            await aside(self._kube.kubectl, *words, namespace=self._installed.namespace)
        await aside(self._wait_scaled, service, before)

    def _wait_scaled(self, service: str, count: int) -> None:
        def scaled() -> bool:
            return self._pods.wanted(service) == count == len(self._pods.ready(service))

        wait_for(f"{count} pods of {service}", scaled, deadline=REPLACED, pause=0.3)

    async def _fail_machine(self, plan: FaultPlan, node: str) -> None:
        cluster = self._installed.cluster
        match plan.fault:
            case "drain":
                flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s")
                try:
                    await aside(self._kube.kubectl, "drain", node, *flags, deadline=160.0)
                finally:
                    await aside(self._kube.kubectl, "uncordon", node)
            case "kill":
                await aside(cluster.power_off, node)
                try:
                    await asyncio.sleep(POWER_CUT)
                finally:
                    await aside(cluster.power_on, node)
            case "cut":
                await aside(cluster.cut_off, node)
                try:
                    await asyncio.sleep(plan.seconds)
                finally:
                    await aside(cluster.reconnect, node)
            case "pause":
                self._reached().freeze(node, frozen=True)
                try:
                    await asyncio.sleep(plan.seconds)
                finally:
                    self._reached().freeze(node, frozen=False)
            case _:
                raise ValueError(f"{plan} is no fault of a machine")

    def _reached(self) -> NamespaceCluster:
        """Return the cluster, where its processes can be reached."""
        cluster = self._installed.cluster
        assert isinstance(cluster, NamespaceCluster), "only clusters in network namespaces are offered such faults"
        return cluster


async def aside(work: Callable[..., T], *arguments: object, **options: object) -> T:
    """Run what waits (kubectl, a machine's boot) without holding up the history."""
    return await asyncio.to_thread(work, *arguments, **options)
