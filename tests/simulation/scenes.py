"""Plans for what is rare among drawn ones: each is about one race, and differs by its seed in times and delays."""

from __future__ import annotations

from random import Random
from typing import Any

from simulation.plan import ClientPlan, Kind, Plan, Step, SubscriptionPlan, TopicPlan


def two_devices(seed: int) -> Plan:
    """A device joins while another one of its user acknowledges, over a slow link to one store of two."""
    random = Random(f"two devices {seed}")
    main = (("main", True),)
    return Plan(
        seed=seed,
        seconds=2.0,
        gateways=("gateway-0",),
        stores=("store-0", "store-1"),
        topics=(TopicPlan("main"),),
        clients=(
            ClientPlan("p0", "publisher", "bob", (("main", False),)),
            ClientPlan("c0", "socket", "ada", main),
            ClientPlan("c1", "socket", "ada", main),
        ),
        subscriptions=(SubscriptionPlan("ada", "main", "never"),),
        steps=(
            Step(0.0, "slow", f"gateway-0 {random.choice(('store-0', 'store-1'))}", amount=1.8),
            Step(0.01, "client", "p0"),
            Step(0.02, "client", "c0"),
            Step(0.2, "publish", "p0", "main", "keyed"),
            Step(0.9, "client", "c1"),
            Step(0.9 + random.uniform(0.0, 0.2), "ack", "c0", "main", amount=1.0),
        ),
    )


def slow_reader(seed: int) -> Plan:
    """A client resumes two topics over a link on which little passes for a while."""
    random = Random(f"slow reader {seed}")
    return Plan(
        seed=seed,
        seconds=2.0,
        gateways=("gateway-0",),
        stores=("store-0",),
        topics=(TopicPlan("main"), TopicPlan("other")),
        clients=(
            ClientPlan("p0", "publisher", "bob", (("main", False), ("other", False))),
            ClientPlan("c0", "socket", "ada", (("main", True), ("other", True))),
        ),
        subscriptions=(),
        steps=(
            Step(0.01, "client", "p0"),
            *(
                Step(0.1 + 0.01 * n, "publish", "p0", random.choice(("main", "other")), "keyed long")
                for n in range(random.randint(10, 24))
            ),
            Step(0.6, "client", "c0"),
            Step(0.6 + random.uniform(0.0, 0.03), random.choice(("stall", "slow")), "clients gateway-0", amount=0.3),
        ),
    )


def late_position(seed: int) -> Plan:
    """A device joins after a notification, while the feed still holds an acknowledgement from before it."""
    random = Random(f"late position {seed}")
    kinds: tuple[Kind, ...] = ("longpoll", "stream")
    return Plan(
        seed=seed,
        seconds=2.0,
        gateways=("gateway-0",),
        stores=("store-0", "store-1"),
        topics=(TopicPlan("main"),),
        clients=(
            ClientPlan("p0", "publisher", "bob", (("main", False),)),
            ClientPlan("c0", "socket", "ada", (("main", True),)),
            ClientPlan("c1", random.choice(kinds), "ada", (("main", True),)),
        ),
        subscriptions=(SubscriptionPlan("ada", "main", "never"),),
        steps=(
            Step(0.01, "client", "p0"),
            Step(0.02, "client", "c0"),
            *(Step(0.3 + 0.1 * n, "publish", "p0", "main", "keyed") for n in range(3)),
            Step(0.8, "stall", f"gateway-0 {random.choice(('store-0', 'store-1'))}", what="answers", amount=0.8),
            Step(0.81, "ack_one", "c0", "main", amount=1.0),
            Step(0.9, "publish", "p0", "main", "keyed"),
            Step(1.0, "client", "c1"),
        ),
    )


def old_position(seed: int) -> Plan:
    """A device joins after an acknowledgement, while the feed has read all positions again just before it."""
    random = Random(f"old position {seed}")
    read = random.uniform(0.8, 0.9)
    return Plan(
        seed=seed,
        seconds=1.0,
        gateways=("gateway-0",),
        stores=("store-0",),
        topics=(TopicPlan("main"),),
        clients=(
            ClientPlan("p0", "publisher", "ada", (("main", False),)),
            ClientPlan("c0", "socket", "ada", (("main", True),)),
            ClientPlan("c1", "socket", "ada", (("main", False),)),
        ),
        subscriptions=(SubscriptionPlan("ada", "main", "never"),),
        steps=(
            Step(0.0, "slow", "gateway-0 store-0", amount=1.4),
            Step(0.03, "client", "p0"),
            Step(0.2, "client", "c0"),
            *(Step(0.46 + 0.01 * n, "publish", "p0", "main", "keyed") for n in range(8)),
            Step(random.uniform(0.6, 0.75), "client", "c1"),
            Step(read, "drop_listener", "store-0"),
            Step(read + random.uniform(0.0, 0.03), "ack", "c0", "main", amount=0.5),
        ),
    )


def lost_answers(seed: int) -> Plan:
    """Those who poll, over a slow link, lose the answers to requests that have reached their gateway."""
    random = Random(f"lost answers {seed}")
    return Plan(
        seed=seed,
        seconds=1.0,
        gateways=("gateway-0",),
        stores=("store-0",),
        topics=(TopicPlan("main"),),
        clients=(
            ClientPlan("p0", "polling publisher", "bob", (("main", False),)),
            ClientPlan("c0", "longpoll", "ada", (("main", True),)),
        ),
        subscriptions=(),
        steps=(
            Step(0.01, "client", "p0"),
            Step(0.02, "client", "c0"),
            Step(0.2, "slow", "clients gateway-0", amount=0.8),
            *(Step(random.uniform(0.1, 0.8), "publish", "p0", "main", "once") for _ in range(8)),
            Step(random.uniform(0.3, 0.8), "cut", "clients gateway-0"),
        ),
    )


def lost_announcement(seed: int) -> Plan:
    """A store is killed when it has committed an acknowledgement, and before it announces that."""
    random = Random(f"lost announcement {seed}")
    at = 0.8 + random.uniform(0.002, 0.012)
    return Plan(
        **_OVER_NATS,
        seed=seed,
        steps=(
            *_TWO_DEVICES_READ,
            Step(0.8, "ack", "c0", "main", amount=1.0),
            Step(at, "kill", random.choice(("store-0", "store-1")), amount=1.0),
        ),
    )


def lost_messages(seed: int) -> Plan:
    """The bus loses most messages for a while."""
    random = Random(f"lost messages {seed}")
    return Plan(
        **_OVER_NATS,
        seed=seed,
        steps=(
            *_TWO_DEVICES_READ,
            Step(0.7, "lose_wakeups", "nats", amount=0.6),
            *(Step(0.8 + 0.1 * n, "ack", "c0", "main", amount=random.choice((0.5, 1.0))) for n in range(3)),
        ),
    )


_OVER_NATS: dict[str, Any] = {
    "seconds": 2.0,
    "gateways": ("gateway-0",),
    "stores": ("store-0", "store-1"),
    "nats": ("nats",),
    "topics": (TopicPlan("main"),),
    "clients": (
        ClientPlan("p0", "publisher", "bob", (("main", False),)),
        ClientPlan("c0", "socket", "ada", (("main", True),)),
        ClientPlan("c1", "socket", "ada", (("main", True),)),
    ),
    "subscriptions": (SubscriptionPlan("ada", "main", "never"),),
}

_TWO_DEVICES_READ = (
    Step(0.01, "client", "p0"),
    Step(0.02, "client", "c0"),
    Step(0.03, "client", "c1"),
    *(Step(0.2 + 0.1 * n, "publish", "p0", "main", "keyed") for n in range(3)),
)
