"""The Lease of an operator over hours: a lapsed one is acquired anew, and a silent rival's does not count for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from notifyx_operator.kube.cluster import Cluster
from notifyx_operator.kube.operator_lease import OperatorLeases
from support.clock import SetForward
from support.operator_kube import LEASES, PLATFORMS, Kube

SECONDS = 300.0
Rivals = Callable[[str], OperatorLeases]


@pytest.fixture
def clock() -> SetForward:
    return SetForward()


@pytest.fixture
async def rivals(kube: Kube, clock: SetForward) -> AsyncIterator[Rivals]:
    """Makes the Leases of an operator in a namespace that has a NotifyxPlatform."""
    for home in ("first", "second"):
        await kube.apply(PLATFORMS, "notifyx", home, {"spec": {"services": {}}})
    where = kube.login
    async with Cluster(where, namespaces=(), home="", clock=clock, instance="test", timeout=60) as cluster:
        yield lambda home: OperatorLeases(
            cluster, namespaces=(), home=home, deployment="", instance=home, clock=clock, seconds=SECONDS
        )


async def test_who_was_away_for_longer_than_its_lease_comes_after_who_took_over(
    rivals: Rivals, clock: SetForward
) -> None:
    first, second = rivals("first"), rivals("second")
    await first.renew()
    await second.renew()
    assert (first.manages, second.manages) == (True, False)
    for _ in range(4):
        clock.ahead += SECONDS / 3
        await second.renew()
    assert second.manages, "the first has not renewed"
    await first.renew()
    await second.renew()
    assert (first.manages, second.manages) == (False, True)


async def test_a_restart_keeps_the_lease(rivals: Rivals, clock: SetForward) -> None:
    await rivals("first").renew()
    second = rivals("second")
    await second.renew()
    clock.ahead += SECONDS / 2
    again = rivals("first")
    await again.renew()
    await second.renew()
    assert (again.manages, second.manages) == (True, False)


async def test_without_the_right_to_leases_no_other_is_known(rivals: Rivals, kube: Kube) -> None:
    await rivals("first").renew()
    kube.server["list", LEASES] << 403
    second = rivals("second")
    await second.renew()
    assert second.manages
