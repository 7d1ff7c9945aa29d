"""Mail servers that refuse: vaguely, by policy, or because there is no such mailbox. The SMTP server is real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.mailer import Mail, NotificationContext
from notifyx_common.contracts.store.outbox import OutboxResult
from notifyx_common.errors import TooManyRequests
from notifyx_common.metrics import Metrics
from notifyx_common.settings import load
from notifyx_mailer.sender import Sender
from notifyx_mailer.settings import MailerSettings
from notifyx_store.mail import addresses, outbox
from notifyx_store.mail.outbox_fill import fill_outbox
from notifyx_store.mail.results import record_results
from notifyx_store.maintenance.ledger import email_ledger
from support.patience import PATIENCE
from support.smtp import Mailbox
from support.store_database import CONFIG, NOW, Topic, new_topic

POLICY = CONFIG.policy.address
ANN = "ann@example.org"


@dataclass
class Post:
    """An outbox that a mailer works on; time passes as the test says."""

    pool: asyncpg.Pool
    sender: Sender
    metrics: Metrics
    topic: Topic
    now: datetime = NOW
    given: int = field(default=0)

    async def publish(self, count: int = 1) -> None:
        await self.topic.publish(count, at=self.now)
        async with self.pool.acquire() as connection:
            await fill_outbox(connection, [self.topic.id], self.now)

    async def work(self) -> int:
        """Send all that is due now; return how many emails were given to the mail server."""
        given = 0
        async with self.pool.acquire() as connection:
            while due := await outbox.lease_due(connection, CONFIG, owner="me", limit=40, lease=60, now=self.now):
                wanted = await outbox.confirm(connection, [UUID(mail.id) for mail in due], owner="me", now=self.now)
                mails = [
                    Mail(id=f"{mail}-{self.now}", message_id=f"<{mail}@test>", to=ANN, context=NotificationContext())
                    for mail in wanted
                ]
                given += len(mails)
                results = [
                    (
                        id_,
                        OutboxResult(
                            id=str(id_), status=one.status, reason=one.reason, address_refused=one.address_refused
                        ),
                    )
                    for id_, one in zip(wanted, await self.sender.send(mails, PATIENCE), strict=True)
                ]
                await record_results(connection, results, owner="me", now=self.now, policy=CONFIG.policy)
            ledger = await email_ledger(connection, self.now)
            assert ledger.balanced
        return given

    async def state(self) -> str:
        async with self.pool.acquire() as connection:
            state = await addresses.email_state(connection, "ann")
            assert state.state == "on" or state.reason.startswith("The SMTP server refused the recipient: 550 5.1.1")
            return f"{state.state} {state.held}"

    async def resume(self) -> tuple[int, int]:
        async with self.pool.acquire() as connection:
            done = await addresses.resume(connection, "ann", POLICY, self.now)
        return done.resumed, done.dropped


@pytest.fixture
async def post(pool: asyncpg.Pool, box: Mailbox) -> AsyncIterator[Post]:
    metrics = Metrics()
    values = {"internal_token": "t" * 32, "smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none",
              "smtp_timeout": str(PATIENCE)}  # fmt: skip
    settings = load(MailerSettings, **values)
    sender = Sender(settings, node="m", metrics=metrics, clock=SystemClock(), background=Background(metrics))
    topic = await new_topic(pool)
    await topic.subscribe("ann", "every")
    try:
        yield Post(pool, sender, metrics, topic)
    finally:
        await sender.close()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ("550 no", "policy"),
        ("550 5.7.1 blocked, see our web site", "policy"),
        ("554 5.4.14 hop count exceeded", "system"),
        ("552 5.2.2 mailbox full", "mailbox"),
        ("550 5.1.8 sender rejected", "sender"),
    ],
)
async def test_a_refusal_that_is_not_about_the_address_never_stops_mail(
    post: Post, box: Mailbox, answer: str, cause: str
) -> None:
    box.rcpt[ANN] = answer
    for _ in range(POLICY.strikes + 1):
        await post.publish()
        assert await post.work() == 1
        assert await post.state() == "on 0"
        post.now += timedelta(days=1)
        box.rcpt.clear()
        # It is tried again, and arrives.
        assert await post.work() == 1
        box.rcpt[ANN] = answer
    assert len(box.received) == POLICY.strikes + 1
    refusals = post.metrics.registry.get_sample_value("notifyx_mail_refusals_total", {"cause": cause})
    assert refusals == POLICY.strikes + 1


async def test_mail_stops_after_several_refusals_of_the_address_and_can_be_resumed(post: Post, box: Mailbox) -> None:
    box.rcpt[ANN] = "550 5.1.1 no such user"
    await post.publish(50)
    # However much is due: a mail server that knows no such mailbox is asked once, not fifty times.
    assert await post.work() <= 40
    assert await post.state() == "paused 50"
    assert await post.work() == 0
    for strikes in range(2, POLICY.strikes + 1):
        post.now += POLICY.interval
        assert await post.work() == 1
        assert (await post.state()).startswith("paused" if strikes < POLICY.strikes else "stopped")
    await post.publish()
    post.now += timedelta(hours=13)
    assert await post.work() == 0
    assert await post.state() == "stopped 51"

    # Trying again costs one email when the mailbox is still not there.
    assert await post.resume() == (51, 0)
    assert await post.work() == 1
    assert (await post.state()).startswith("stopped")
    with pytest.raises(TooManyRequests):
        await post.resume()

    post.now += POLICY.resume_interval
    await post.work()
    box.rcpt.clear()
    assert await post.resume() == (51, 0)
    assert await post.work() == 1
    assert await post.state() == "on 0"
    post.now += timedelta(minutes=2)
    assert await post.work() == 50
    assert len(set(box.message_ids())) == len(box.received) == 51


async def test_what_is_sent_after_a_long_stop_is_bounded_and_the_rest_is_counted(post: Post, box: Mailbox) -> None:
    box.rcpt[ANN] = "550 5.1.1 no such user"
    for _ in range(POLICY.strikes):
        await post.publish()
        await post.work()
        post.now += POLICY.interval
    await post.publish(POLICY.resume_mails + 5)
    post.now += timedelta(minutes=2)  # the last refused one is due after the others
    assert await post.work() == 0
    waiting = POLICY.resume_mails + 5 + POLICY.strikes
    assert await post.state() == f"stopped {waiting}"
    assert await post.resume() == (POLICY.resume_mails, waiting - POLICY.resume_mails)
    assert (await post.topic.outbox("to_seq, state"))[: POLICY.strikes + 5] == [
        (seq, "dead") for seq in range(1, POLICY.strikes + 6)
    ]


async def test_an_accepted_mail_clears_the_strikes_and_old_ones_are_forgotten(post: Post, box: Mailbox) -> None:
    for pause in (POLICY.interval, POLICY.expiry):
        for _ in range(POLICY.strikes - 1):
            box.rcpt[ANN] = "550 5.1.1 no such user"
            await post.publish()
            await post.work()
            post.now += POLICY.interval
        assert (await post.state()).startswith("paused")
        if pause == POLICY.interval:
            box.rcpt.clear()
        post.now += pause
        await post.publish()
        await post.work()
        post.now += timedelta(minutes=2)
        await post.work()
        assert (await post.state()).startswith("on" if pause == POLICY.interval else "paused")
