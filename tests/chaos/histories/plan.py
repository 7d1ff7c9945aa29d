"""Draws work and faults from a seed. Pure: the same seed, the same plan; a plan is JSON and can be run again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from pydantic import Field

from chaos.histories.events import EmailMode, Record, Via
from chaos.histories.targets import SERVICES, FaultKind, Targets

Bus = Literal["postgres", "nats"]
"""What wakes the stores of a platform."""

Standbys = Literal["none", "synchronous", "asynchronous"]
"""Standbys of a platform's PostgreSQL, and whether each commit waits for one of them."""

USERS = ("ada", "bob", "cyd", "dan", "eve")
"""The users of a platform; ``eve`` may read nothing that is private."""

MAX_MESSAGES = 400
"""Messages of one publisher: enough for an outage to end while it is at work."""


class TopicPlan(Record):
    """A topic. ``private``: only some may read it. ``max_count``: its retention."""

    name: str
    private: bool = False
    max_count: int | None = None


class PublisherPlan(Record):
    """Publishes ``messages`` to ``topics`` in turn, up to ``window`` unanswered, ``pause`` seconds apart.

    Without ``keys``, what may have been accepted is not tried again: only the platform may repeat it.
    """

    name: str
    user: str
    topics: tuple[str, ...]
    via: Literal["socket", "rest", "longpoll"]
    messages: int = Field(ge=1, le=MAX_MESSAGES)
    window: int = Field(ge=1)
    pause: float
    keys: bool = True


class ClientPlan(Record):
    """Receives ``topics``. ``naps``: when it disconnects by itself, and for how long, in seconds."""

    name: str
    user: str
    topics: tuple[str, ...]
    via: Via
    from_start: bool
    naps: tuple[tuple[float, float], ...] = ()


class ReaderPlan(Record):
    """Subscribes to ``topic`` and acknowledges by ``devices``, each ``pause`` seconds apart, up to ``share`` of it."""

    user: str
    topic: str
    email: EmailMode
    devices: tuple[Literal["socket", "rest"], ...]
    pause: float
    share: float


class FaultPlan(Record):
    """A fault at ``at`` for ``seconds``. ``target``: a process or a link; ``amount``: seconds, or a share."""

    fault: FaultKind
    target: str
    at: float
    seconds: float
    amount: float = 0.0

    def __str__(self) -> str:
        amount = f"({self.amount:g})" if self.amount else ""
        return f"{self.fault}{amount} {self.target} {self.at:.1f}+{self.seconds:.1f}"


class Plan(Record):
    """One history: what works for ``seconds``, and what goes wrong meanwhile."""

    seed: str
    seconds: float
    topics: tuple[TopicPlan, ...]
    publishers: tuple[PublisherPlan, ...]
    clients: tuple[ClientPlan, ...]
    readers: tuple[ReaderPlan, ...]
    faults: tuple[FaultPlan, ...]


SECONDS = 8.0
"""Seconds of work in a history."""

SECONDS_ON_A_CLUSTER = 20.0
"""The same on a cluster, where a pod takes seconds to start."""

WITH_KEYS = 0.7
"""The share of publishers that give keys."""

UNREAD_AFTER = 3
"""Seconds after which what is unread is mailed."""


PAUSES = (0.02, 0.05, 0.1)
"""Seconds between two messages of a publisher, of which each has one."""


def usual_seconds(*, cluster: bool) -> float:
    """Return the seconds of work in a history where nobody asks for others."""
    return SECONDS_ON_A_CLUSTER if cluster else SECONDS


def draw(
    seed: str,
    targets: Targets,
    seconds: float = SECONDS,
    kinds: Sequence[FaultKind] = (),
    pauses: Sequence[float] = PAUSES,
) -> Plan:
    """Return the plan of ``seed``; ``kinds`` limits the faults."""
    random = Random(seed)
    topics = _topics(random)
    return Plan(
        seed=seed,
        seconds=seconds,
        topics=topics,
        publishers=_some_without_keys(_publishers(random, topics, seconds, pauses), Random(f"{seed}:keys")),
        clients=_clients(random, topics, seconds),
        readers=_readers(random, topics),
        faults=_faults(random, targets, seconds, kinds),
    )


def upgraded(plan: Plan) -> Plan:
    """Return the plan with an upgrade in place of its faults: each service restarts in order, some at once."""
    random = Random(f"{plan.seed}:upgrade")
    begins = [round(random.uniform(0.3, plan.seconds * 0.5), 2) for _ in SERVICES]
    faults = [
        FaultPlan(fault="rolling", target=service, at=at, seconds=0.0)
        for service, at in zip(SERVICES, begins, strict=True)
    ]
    return plan.model_copy(update={"faults": tuple(sorted(faults, key=lambda fault: fault.at))})


def _topics(random: Random) -> tuple[TopicPlan, ...]:
    topics = [TopicPlan(name="main")]
    if random.random() < 0.5:
        topics.append(TopicPlan(name="private", private=True))
    if random.random() < 0.4:
        topics.append(TopicPlan(name="short", max_count=random.choice([5, 20, 60])))
    return tuple(topics)


def _publishers(
    random: Random, topics: Sequence[TopicPlan], seconds: float, pauses: Sequence[float]
) -> tuple[PublisherPlan, ...]:
    ways: list[Literal["socket", "rest", "longpoll"]] = ["socket", "rest", "longpoll"]
    publishers = []
    for number in range(random.randint(2, 4)):
        own = random.sample([topic.name for topic in topics], random.randint(1, len(topics)))
        pause = random.choice(pauses)
        publishers.append(
            PublisherPlan(
                name=f"p{number}",
                user=random.choice(USERS[:2]),
                topics=tuple(own),
                via=ways[number] if number < len(ways) else random.choice(ways),
                messages=min(MAX_MESSAGES, int(seconds / pause * 0.8)),
                window=random.choice([1, 1, 4, 16]),
                pause=pause,
            )
        )
    return tuple(publishers)


def _some_without_keys(publishers: Sequence[PublisherPlan], random: Random) -> tuple[PublisherPlan, ...]:
    return tuple(one.model_copy(update={"keys": random.random() < WITH_KEYS}) for one in publishers)


def _clients(random: Random, topics: Sequence[TopicPlan], seconds: float) -> tuple[ClientPlan, ...]:
    ways: list[Via] = ["socket", "sse", "longpoll"]
    clients = []
    for number in range(random.randint(4, 7)):
        naps = []
        if random.random() < 0.4:
            naps.append((round(random.uniform(0.5, seconds * 0.6), 2), round(random.uniform(0.2, 3.0), 2)))
        names = [topic.name for topic in topics]
        clients.append(
            ClientPlan(
                name=f"c{number}",
                user=random.choice(USERS[:4]),
                topics=tuple(random.sample(names, random.randint(1, len(names)))),
                via=ways[number % 3],
                from_start=random.random() < 0.7,
                naps=tuple(naps),
            )
        )
    if any(topic.private for topic in topics):
        clients.append(
            ClientPlan(name="outsider", user="eve", topics=("main", "private"), via="socket", from_start=True)
        )
    return tuple(clients)


def _readers(random: Random, topics: Sequence[TopicPlan]) -> tuple[ReaderPlan, ...]:
    readers = []
    for user in USERS[:4]:
        for topic in topics:
            if random.random() < 0.4:
                continue
            # Where retention removes, an acknowledgement may come too late for what it names: nobody acknowledges.
            limited = topic.max_count is not None
            readers.append(
                ReaderPlan(
                    user=user,
                    topic=topic.name,
                    email=random.choice(["never", "never", "every", "unread"]) if not limited else "never",
                    devices=("socket", "rest", "socket")[: random.randint(1, 3)] if not limited else (),
                    pause=random.choice([0.1, 0.3, 0.8]),
                    share=random.choice([0.3, 0.7, 0.95, 1.0]),
                )
            )
    return tuple(readers)


_MAKERS: Sequence[tuple[FaultKind, int]] = (
    ("kill", 5), ("pause", 5), ("drain", 2), ("rolling", 1), ("cut", 4), ("stall", 4), ("stall_answers", 4),
    ("delay", 3), ("lossy", 3), ("corrupt", 1), ("clock", 2), ("full", 1),
    ("failover", 20), ("switchover", 5), ("remove", 4), ("stale", 3), ("scale", 3),
)  # fmt: skip
"""Kinds of faults, and how often each is drawn."""


_AT_ONCE: Sequence[FaultKind] = ("kill", "drain", "rolling", "switchover", "remove", "scale")
"""Kinds that take as long as it takes."""


def _faults(random: Random, targets: Targets, seconds: float, kinds: Sequence[FaultKind]) -> tuple[FaultPlan, ...]:
    possible = [(kind, weight) for kind, weight in _MAKERS if targets.of(kind) and (not kinds or kind in kinds)]
    if not possible:
        return ()
    count = random.choice([1, 1, 2, 2, 3, 4])
    drawn = random.choices([kind for kind, _ in possible], [weight for _, weight in possible], k=count)
    faults = [_fault(random, kind, targets, seconds) for kind in drawn]
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _fault(random: Random, kind: FaultKind, targets: Targets, seconds: float) -> FaultPlan:
    length = round(random.uniform(0.3, seconds * 0.5), 2)
    amounts: dict[FaultKind, Sequence[float]] = {
        "delay": (0.02, 0.1, 0.4),
        "lossy": (0.01, 0.05, 0.2),
        "corrupt": (0.1, 0.5),  # bits at random, or forged values
        "clock": (-600.0, -60.0, -5.0, 5.0, 60.0, 600.0),
    }
    return FaultPlan(
        fault=kind,
        target=random.choice(targets.of(kind)),
        at=round(random.uniform(0.3, seconds * 0.7), 2),
        seconds=0.0 if kind in _AT_ONCE else length,
        amount=random.choice(amounts[kind]) if kind in amounts else 0.0,
    )
