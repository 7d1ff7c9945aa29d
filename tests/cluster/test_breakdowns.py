"""Things break under traffic: nothing answered is lost, doubled or reordered, and every client resumes.

Each test publishes all the while; on leaving the traffic, what every subscriber received is compared with what was
answered to the publishers.
"""

from __future__ import annotations

import pytest

from cluster.install import Installed
from cluster.kube import Kube
from cluster.provider import Cluster
from cluster.traffic import aside, traffic
from cluster.waiting import wait_for

SERVICES = ("gateway", "auth", "store", "mailer")


def kill_one(kube: Kube, installed: Installed, component: str) -> None:
    """End one ready pod with no time to say goodbye, and wait until its successor is ready."""
    pods = kube.ready_pods(installed.namespace, component)
    name, uid = pods[0]["metadata"]["name"], pods[0]["metadata"]["uid"]
    # Not --force: that gives a StatefulSet's name away before its process has ended, and two would share one disk.
    kube.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false", namespace=installed.namespace)
    wait_for(
        f"{component} is complete again",
        lambda: (
            len(ready := kube.ready_pods(installed.namespace, component)) >= len(pods)
            and uid not in [pod["metadata"]["uid"] for pod in ready]
        ),
        deadline=120,
    )


@pytest.mark.parametrize("component", [*SERVICES, "operator", "memcached", "postgres"])
async def test_a_pod_is_killed(installed: Installed, kube: Kube, component: str) -> None:
    async with traffic(installed, f"killed.{component}") as flowing:
        await aside(kill_one, kube, installed, component)
        await flowing.more()


def needs(cluster: Cluster, ability: str) -> None:
    """Skip where the cluster cannot do it, with its reason."""
    reason = cluster.why_not(ability)
    if reason is not None:
        pytest.skip(reason)


async def test_a_node_loses_its_power(installed: Installed, cluster: Cluster, kube: Kube) -> None:
    needs(cluster, "power")
    node = installed.node_without("postgres")
    async with traffic(installed, "power") as flowing:
        await aside(cluster.power_off, node)
        try:
            await flowing.more(deadline=90)
            await aside(installed.wait_complete, node)
        finally:
            await aside(cluster.power_on, node)
        await flowing.more()
    await aside(installed.wait_complete)


async def test_a_node_is_cut_off_and_comes_back(installed: Installed, cluster: Cluster, kube: Kube) -> None:
    needs(cluster, "cut")
    node = installed.node_without("postgres")
    async with traffic(installed, "cut") as flowing:
        await aside(cluster.cut_off, node)
        try:
            await flowing.more(deadline=90)
            await aside(installed.wait_complete, node)
        finally:
            await aside(cluster.reconnect, node)
        await flowing.more()
    await aside(installed.wait_complete)


async def test_a_node_is_drained(installed: Installed, cluster: Cluster, kube: Kube) -> None:
    node = installed.node_without("postgres")
    async with traffic(installed, "drained") as flowing:
        try:
            await aside(drain, kube, node)
            await flowing.more()
        finally:
            await aside(kube.kubectl, "uncordon", node)
    await aside(installed.wait_complete)


def drain(kube: Kube, node: str) -> None:
    """``kubectl drain`` as before maintenance: it keeps to the disruption budgets."""
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s")
    kube.kubectl("drain", node, *flags, deadline=160)
