"""Plans of histories: drawn from a seed, and made smaller while they fail."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.histories.clustered.offered import offered
from chaos.histories.plan import Plan, draw, upgraded
from chaos.histories.shrink import Shrinking, smaller
from chaos.histories.targets import OF_CLUSTERS, SERVICES, of_machine

PROCESSES = {
    "gateway": ("gateway-1", "gateway-2"), "store": ("store-1", "store-2"), "auth": ("auth-1", "auth-2"),
    "mailer": ("mailer-1", "mailer-2"), "postgres": ("postgres",), "memcached": ("memcached",),
}  # fmt: skip
LINKS = ("client", "store-1", "store-1-postgres", "memcached")
TARGETS = of_machine(PROCESSES, LINKS, clocks=["store-1"], disk=True)


def test_a_seed_gives_one_plan() -> None:
    plans = [draw(f"1:{number}", TARGETS) for number in range(50)]
    assert plans == [draw(f"1:{number}", TARGETS) for number in range(50)]
    assert len(set(plans)) == 50
    assert all(Plan.model_validate_json(plan.model_dump_json()) == plan for plan in plans)


def test_all_kinds_of_faults_and_of_clients_are_drawn() -> None:
    plans = [draw(f"2:{number}", TARGETS) for number in range(300)]
    faults = Counter(fault.fault for plan in plans for fault in plan.faults)
    assert set(faults) == {
        "kill", "pause", "drain", "rolling", "cut", "stall", "stall_answers", "delay", "lossy", "corrupt", "clock",
        "full",
    }  # fmt: skip
    assert {fault.target for plan in plans for fault in plan.faults if fault.fault == "corrupt"} == {"memcached"}
    assert all({client.via for client in plan.clients} == {"socket", "sse", "longpoll"} for plan in plans)
    assert all(0 <= fault.at < plan.seconds for plan in plans for fault in plan.faults)


def test_a_platform_without_some_targets_has_other_faults() -> None:
    few = of_machine({"store": ("store",)}, links=())
    plans = [draw(f"3:{number}", few) for number in range(100)]
    assert {fault.fault for plan in plans for fault in plan.faults} == {"kill", "pause", "drain", "rolling"}
    assert draw("3", few, kinds=("full",)).faults == ()
    stores = [draw(f"3:{number}", TARGETS.having("store")) for number in range(100)]
    assert {fault.target for plan in stores for fault in plan.faults} == {
        "store", "store-1", "store-2", "store-1-postgres",
    }  # fmt: skip


def test_only_a_database_with_standbys_fails_over() -> None:
    replicated = of_machine(PROCESSES, LINKS, standbys=True)
    plans = [draw(f"6:{number}", replicated) for number in range(50)]
    faults = [fault for plan in plans for fault in plan.faults]
    assert {"failover", "switchover"} < {fault.fault for fault in faults}
    assert {fault.target for fault in faults if fault.fault in ("failover", "switchover")} == {"postgres"}
    assert draw("6", TARGETS, kinds=("failover",)).faults == ()
    assert replicated.having("postgres").of("failover")
    assert not replicated.having("store").of("failover")


def test_a_cluster_has_faults_of_its_own() -> None:
    everywhere = offered(2, machines=True, policies=True)
    plans = [draw(f"7:{number}", everywhere, pauses=(0.4,)) for number in range(300)]
    faults = {(fault.fault, fault.target) for plan in plans for fault in plan.faults}
    assert {kind for kind, _ in faults} == {"kill", "pause", "drain", "rolling", "cut", *OF_CLUSTERS}
    assert {(kind, "node-2") for kind in ("kill", "pause", "drain", "cut")} < faults
    assert {publisher.pause for plan in plans for publisher in plan.publishers} == {0.4}
    by_api = offered(2, machines=False, policies=False)
    assert {kind for kind, names in by_api.by_kind.items() if names} == {"drain", "remove", "rolling", "scale"}


def test_an_upgrade_restarts_each_service_in_an_order_of_the_seed() -> None:
    plans = [upgraded(draw(f"5:{number}", TARGETS)) for number in range(20)]
    assert all(sorted(fault.target for fault in plan.faults) == sorted(SERVICES) for plan in plans)
    assert len({plan.faults[0].target for plan in plans}) == len(SERVICES)


def test_a_plan_is_shrunk_to_what_fails() -> None:
    plan = next(
        plan
        for number in range(100)
        if len((plan := draw(f"4:{number}", TARGETS)).faults) == 4 and len(plan.topics) == 3
    )
    guilty = plan.faults[2]
    shrinking = Shrinking(plan, tries=200)
    while (candidate := shrinking.next()) is not None:
        shrinking.tell(failed=guilty in candidate.faults and bool(candidate.publishers))
    found = shrinking.smallest
    assert found.faults == (guilty,)
    assert len(found.topics) == 1
    assert (len(found.publishers), found.publishers[0].messages) == (1, 1)
    assert (found.clients, found.readers) == ((), ())


@pytest.mark.parametrize("tries", [0, 3])
def test_shrinking_ends_after_so_many_tries(tries: int) -> None:
    plan = draw("5", TARGETS)
    shrinking, tried = Shrinking(plan, tries), 0
    while shrinking.next() is not None:
        shrinking.tell(failed=False)
        tried += 1
    assert (shrinking.smallest, tried) == (plan, tries)


def test_what_is_smaller_is_another_plan() -> None:
    plan = draw("6", TARGETS)
    assert all(one != plan for one in smaller(plan))
