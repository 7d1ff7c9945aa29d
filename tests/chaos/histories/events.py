"""What a history consists of: operations of publishers and readers, what clients received, mails, faults. Pure.

Each event is one line of JSON. ``at`` is when it happened or, for an operation, when its outcome was known;
``started`` is when it was begun: seconds since the history began, of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Outcome = Literal["ok", "refused", "unknown"]
"""``refused``: answered that it had no effect. ``unknown``: no answer, or one that says so."""

LAST = "last"
"""The publisher that publishes once to each topic after the faults: the platform accepts again."""

Via = Literal["socket", "sse", "longpoll", "rest"]
EmailMode = Literal["never", "every", "unread"]


class Record(BaseModel):
    """A frozen value that is written as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicFacts(Record):
    """A topic of the history. ``readers``: who may read it (``None``: everybody). ``max_count``: its retention."""

    name: str
    readers: tuple[str, ...] | None = None
    max_count: int | None = None


class SubscriptionFacts(Record):
    """A lasting subscription, made before anything was published. ``delay``: seconds until an email is due."""

    user: str
    topic: str
    email: EmailMode = "never"
    delay: float = 0.0


class Began(Record):
    """The begin of a history: what there is, and how many emails were sent before."""

    kind: Literal["began"] = "began"
    at: float = 0.0
    topics: tuple[TopicFacts, ...]
    subscriptions: tuple[SubscriptionFacts, ...] = ()
    mails_sent: int = 0


class Publish(Record):
    """One attempt to publish ``message``; its idempotency key is the same in all attempts.

    ``connection``: what it was sent on, where those that are sent later come later.
    """

    kind: Literal["publish"] = "publish"
    started: float
    at: float
    publisher: str
    topic: str
    message: str
    via: Via
    outcome: Outcome
    seq: int | None = None
    code: str = ""
    connection: str = ""


class Join(Record):
    """A client joined ``topic`` after ``since`` (``None``: at the head), and was told this."""

    kind: Literal["join"] = "join"
    started: float
    at: float
    client: str
    user: str
    topic: str
    via: Via
    since: int | None
    last_seq: int
    first_seq: int
    missing: int = 0
    truncated: bool = False
    acked_up_to: int = 0
    unread: int = 0
    expired: int = 0


class Receive(Record):
    """A client received a notification, as it came."""

    kind: Literal["receive"] = "receive"
    at: float
    client: str
    topic: str
    seq: int
    message: str


class Missed(Record):
    """A joined client was told that ``missing`` notifications are gone; nothing up to ``up_to`` comes any more."""

    kind: Literal["missed"] = "missed"
    at: float
    client: str
    topic: str
    missing: int
    up_to: int


class Leave(Record):
    """A client's connection ended. ``final``: it does not come back."""

    kind: Literal["leave"] = "leave"
    at: float
    client: str
    topic: str
    reason: str = ""
    final: bool = False


class Ack(Record):
    """A reader acknowledged all up to ``up_to``, or ``seqs``; if it was answered, the position that it was told."""

    kind: Literal["ack"] = "ack"
    started: float
    at: float
    user: str
    device: str
    topic: str
    up_to: int | None = None
    seqs: tuple[int, ...] = ()
    outcome: Outcome
    acked_up_to: int = 0
    unread: int = 0
    expired: int = 0
    code: str = ""


class AckPush(Record):
    """A device was told of the user's acknowledgements."""

    kind: Literal["ack_push"] = "ack_push"
    at: float
    client: str
    user: str
    topic: str
    up_to: int
    unread: int
    expired: int = 0


class UnreadRead(Record):
    """A reader read the own position."""

    kind: Literal["unread"] = "unread"
    started: float
    at: float
    user: str
    topic: str
    acked_up_to: int
    unread: int
    expired: int = 0


class LogRead(Record):
    """The whole log of a topic, at the end: (seq, message) in the order in which it was returned."""

    kind: Literal["log"] = "log"
    at: float
    topic: str
    last_seq: int
    items: tuple[tuple[int, str], ...]


class Mail(Record):
    """An email about one notification that arrived at the mail server."""

    kind: Literal["mail"] = "mail"
    at: float
    user: str
    topic: str
    message: str
    message_id: str


class TopicLedger(Record):
    """The ledger's row of a topic."""

    topic: str
    due: int
    acked: int
    pending: int
    expired: int
    withdrawn: int


class LedgerRead(Record):
    """The ledger; of topics, those of the history. ``sent``, ``mails_pending``, ``dead`` are the emails of all."""

    kind: Literal["ledger"] = "ledger"
    at: float
    balanced: bool
    topics: tuple[TopicLedger, ...] = ()
    sent: int = 0
    mails_pending: int = 0
    dead: int = 0


class SignedOut(Record):
    """A renewal of a session was refused."""

    kind: Literal["signed_out"] = "signed_out"
    at: float
    user: str
    code: str = ""


class Intrusion(Record):
    """Somebody read a topic that they may not read."""

    kind: Literal["intrusion"] = "intrusion"
    at: float
    user: str
    topic: str


class FaultSpan(Record):
    """A fault, from its begin (``started``) to its end."""

    kind: Literal["fault"] = "fault"
    started: float
    at: float
    fault: str
    target: str
    error: str = ""


class Healed(Record):
    """All faults are over, and all services answer."""

    kind: Literal["healed"] = "healed"
    at: float


class Settled(Record):
    """The end of the wait for what was still to come. ``waiting_for``: what did not come in time."""

    kind: Literal["settled"] = "settled"
    at: float
    waiting_for: tuple[str, ...] = ()


Event = Annotated[
    Began
    | Publish
    | Join
    | Receive
    | Missed
    | Leave
    | Ack
    | AckPush
    | UnreadRead
    | LogRead
    | Mail
    | LedgerRead
    | SignedOut
    | Intrusion
    | FaultSpan
    | Healed
    | Settled,
    Field(discriminator="kind"),
]

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def to_lines(events: Iterable[Event]) -> str:
    """Return the events as lines of JSON."""
    return "".join(event.model_dump_json(exclude_defaults=False) + "\n" for event in events)


def from_lines(text: str) -> Sequence[Event]:
    """Return the events in ``text``. Raises :class:`pydantic.ValidationError`."""
    return [_EVENT.validate_json(line) for line in text.splitlines() if line]
