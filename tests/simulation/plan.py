"""Draws a history from its seed. Pure: the same seed, the same plan; what happens is a list of steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from chaos.histories.events import EmailMode

Kind = Literal["socket", "longpoll", "stream", "library", "publisher", "polling publisher"]
Action = Literal[
    "client", "publish", "ack", "ack_one", "nap", "kill", "cut", "stall", "slow",
    "lose_wakeups", "lose_commits", "drop_listener", "restrict",
]  # fmt: skip

USERS = ("ada", "bob", "eve")
PRIVATE = "private"
ALLOWED = ("ada", "bob")
"""Who may read the private topic after it was restricted."""

UNREAD_AFTER = 1.0
"""Seconds after which what is unread is mailed."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic. ``max_count``: its retention."""

    name: str
    max_count: int | None = None


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """A client. ``topics``: those that it receives, each from its beginning or from its head."""

    name: str
    kind: Kind
    user: str
    topics: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """A lasting subscription."""

    user: str
    topic: str
    email: EmailMode


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at ``at``. ``who``: a client, a process, or the two ends of a link."""

    at: float
    action: Action
    who: str = ""
    topic: str = ""
    what: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        parts = (
            f"{self.at:.3f}",
            self.action,
            self.who,
            self.topic,
            self.what,
            f"{self.amount:g}" if self.amount else "",
        )
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Plan:
    """A history: its fixed parts, and its steps during ``seconds``."""

    seed: int
    seconds: float
    gateways: tuple[str, ...]
    stores: tuple[str, ...]
    topics: tuple[TopicPlan, ...]
    clients: tuple[ClientPlan, ...]
    subscriptions: tuple[SubscriptionPlan, ...]
    steps: tuple[Step, ...]
    nats: tuple[str, ...] = ()
    """The server that carries wake-ups; none: the database does."""


def draw(seed: int) -> Plan:
    """Return the plan of ``seed``."""
    random = Random(f"plan {seed}")
    gateways = tuple(f"gateway-{n}" for n in range(random.choice((1, 2))))
    stores = tuple(f"store-{n}" for n in range(random.choice((1, 2, 2))))
    topics = [TopicPlan("main")]
    if random.random() < 0.25:
        topics.append(TopicPlan("short", random.choice((2, 4, 8))))
    if random.random() < 0.3:
        topics.append(TopicPlan(PRIVATE))
    seconds = random.choice((0.6, 1.0, 1.0, 2.0))
    clients = _clients(random, topics)
    subscriptions = _subscriptions(random, topics)
    steps = _with_brief_cuts(seed, _faults(random, gateways, stores, seconds))
    for one in clients:
        late = 0.1 if one.kind == "publisher" else seconds * 0.9
        steps.append(Step(_time(random, late), "client", one.name))
        if random.random() < 0.3:
            steps.append(Step(_time(random, seconds), "nap", one.name, amount=_time(random, 1.0)))
    moments = [moment for step in steps for moment in (step.at, step.at + step.amount) if moment <= seconds]
    for publisher in (one for one in clients if one.kind == "publisher"):
        steps += _publishes(random, publisher, topics, seconds)
    readers = {(one.user, one.topic) for one in subscriptions}
    for client in clients:
        if client.kind in ("socket", "longpoll"):
            steps += _acks(random, client, readers, topics, moments, seconds)
    if any(topic.name == PRIVATE for topic in topics):
        steps.append(Step(_about(random, moments, seconds), "restrict", topic=PRIVATE))
    return Plan(
        seed,
        seconds,
        gateways,
        stores,
        tuple(topics),
        _with_polling_publishers(seed, clients),
        subscriptions,
        tuple(sorted(steps, key=lambda one: one.at)),
    )


def over_nats(plan: Plan) -> Plan:
    """Return ``plan`` with a NATS that carries the wake-ups, and faults of it."""
    random = Random(f"nats {plan.seed}")
    actions: tuple[Action, ...] = ("kill", "cut", "stall")
    steps = list(plan.steps)
    for _ in range(random.choice((0, 1, 1, 2))):
        action, length = random.choice(actions), _time(random, 6.0 if random.random() < 0.2 else 1.5)
        who = "nats" if action == "kill" else f"{random.choice(plan.stores)} nats"
        steps.append(Step(_time(random, plan.seconds), action, who, amount=length))
    return replace(plan, nats=("nats",), steps=tuple(sorted(steps, key=lambda one: one.at)))


def _with_brief_cuts(seed: int, steps: list[Step]) -> list[Step]:
    """Let some cuts of clients end as soon as the connections are broken: what is repeated reaches the same gateway."""
    # A generator of its own: what else is drawn is as it was before there were these.
    random = Random(f"brief cuts {seed}")
    return [
        replace(step, amount=0.0)
        if step.action == "cut" and step.who.startswith("clients") and random.random() < 0.5
        else step
        for step in steps
    ]


def _with_polling_publishers(seed: int, clients: tuple[ClientPlan, ...]) -> tuple[ClientPlan, ...]:
    random = Random(f"polling publishers {seed}")
    return tuple(
        replace(client, kind="polling publisher") if client.kind == "publisher" and random.random() < 0.25 else client
        for client in clients
    )


def _time(random: Random, most: float) -> float:
    return round(random.uniform(0.01, most), 3)


def _about(random: Random, moments: list[float], seconds: float) -> float:
    """Draw a time, often just after something began or ended: a join, and the watch after it, are on their way then."""
    if random.random() < 0.3:
        return _time(random, seconds)
    return min(seconds, round(random.choice(moments) + random.choice((0.005, 0.02, 0.3)) * random.random(), 4))


def _clients(random: Random, topics: list[TopicPlan]) -> tuple[ClientPlan, ...]:
    names = [topic.name for topic in topics]
    clients = [
        ClientPlan(f"p{n}", "publisher", random.choice(USERS[:2]), tuple((name, False) for name in names))
        for n in range(random.choice((1, 1, 1, 2)))
    ]
    kinds: tuple[Kind, ...] = ("socket", "socket", "longpoll", "stream", "library")
    for n in range(random.randint(1, 3)):
        kind = random.choice(kinds)
        chosen = random.sample(names, 1 if kind in ("stream", "library") else random.randint(1, len(names)))
        received = tuple((name, random.random() < 0.6) for name in chosen)
        clients.append(ClientPlan(f"c{n}", kind, random.choice((*USERS[:2], *USERS)), received))
    return tuple(clients)


def _subscriptions(random: Random, topics: list[TopicPlan]) -> tuple[SubscriptionPlan, ...]:
    modes: tuple[EmailMode, ...] = ("never", "never", "every", "unread")
    return tuple(
        SubscriptionPlan(user, topic.name, random.choice(modes) if topic.max_count is None else "never")
        for user in USERS
        for topic in topics
        if topic.name != PRIVATE and random.random() < 0.6
    )


def _publishes(random: Random, publisher: ClientPlan, topics: list[TopicPlan], seconds: float) -> list[Step]:
    keyed, long = random.random() < 0.8, random.random() < 0.2
    steps = []
    for _ in range(random.choice((1, 3, 6, 12))):
        topic = random.choice(topics)
        # Of what is tried once, only the log knows what became of it, and retention may remove that.
        what = ("keyed" if keyed or topic.max_count is not None else "once") + (" long" if long else "")
        steps.append(Step(_time(random, seconds), "publish", publisher.name, topic.name, what))
    return steps


def _acks(
    random: Random,
    client: ClientPlan,
    readers: set[tuple[str, str]],
    topics: list[TopicPlan],
    moments: list[float],
    seconds: float,
) -> list[Step]:
    # Where retention removes, an acknowledgement may come too late for what it names: nobody acknowledges.
    limited = {topic.name for topic in topics if topic.max_count is not None}
    steps = []
    for topic, _ in client.topics:
        if (client.user, topic) in readers and topic not in limited:
            for _ in range(random.choice((0, 1, 2, 4))):
                action: Action = random.choice(("ack", "ack", "ack_one"))
                at = _about(random, moments, seconds)
                steps.append(Step(at, action, client.name, topic, amount=random.choice((0.5, 1.0))))
    return steps


def _faults(random: Random, gateways: tuple[str, ...], stores: tuple[str, ...], seconds: float) -> list[Step]:
    links = [f"clients {one}" for one in gateways]
    links += [f"{one} {other}" for one in gateways for other in stores]
    links += [f"{one} postgres" for one in stores] + [f"{one} mailer" for one in gateways]
    actions: tuple[Action, ...] = (
        "kill", "kill", "cut", "stall", "stall", "slow", "slow", "lose_wakeups", "lose_commits", "drop_listener",
    )  # fmt: skip
    steps = []
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        at, action = _time(random, seconds), random.choice(actions)
        length = _time(random, 9.0 if random.random() < 0.05 else 1.5)
        if action == "kill":
            steps.append(Step(at, action, random.choice(gateways + stores), amount=length))
        elif action == "drop_listener":
            steps.append(Step(at, action, random.choice(stores)))
        elif action in ("lose_wakeups", "lose_commits"):
            steps.append(Step(at, action, "postgres", amount=length))
        else:
            one, other = random.choice(links).split(" ")
            what = "answers" if action == "stall" and random.random() < 0.5 else ""
            steps.append(Step(0.0 if action == "slow" else at, action, f"{one} {other}", what=what, amount=length))
    return steps
