"""A mailer's own sending against a real SMTP server: the pool, refusals, breaks, TLS, login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from notifyx_common.background import Background
from notifyx_common.clock import Clock, SystemClock
from notifyx_common.contracts.mailer import Mail, MailResult, NotificationContext
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.settings import SettingsError, load
from notifyx_mailer.sender import PROBE_INTERVAL, Sender
from notifyx_mailer.settings import MailerSettings
from notifyx_mailer.smtp import tls_context
from support.clock import LoopTime, SetForward
from support.patience import PATIENCE, until
from support.smtp import Mailbox, make_certificate, running_smtp


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as mailbox:
        yield mailbox


def mails(count: int, *, to: str = "ann@example.org", start: int = 0) -> list[Mail]:
    return [
        Mail(
            id=f"mail-{number}",
            message_id=f"<mail-{number}@notifyx.test>",
            to=to,
            context=NotificationContext(topic="ops", title=f"Number {number}", body="Zażółć\n.\nline"),
            unsubscribe_url=f"https://notifyx.test/unsubscribe?token={'t' * 150}",
        )
        for number in range(start, start + count)
    ]


def settings_for(box: Mailbox, **more: Any) -> MailerSettings:
    defaults: dict[str, Any] = {
        "internal_token": "t" * 32,
        "smtp_host": box.host,
        "smtp_port": box.port,
        "smtp_tls": "none",
        "smtp_timeout": PATIENCE,
        "smtp_from": "Notifyx <notifyx@example.org>",
    }
    return load(MailerSettings, **(defaults | more))


@asynccontextmanager
async def sending(box: Mailbox, *, clock: Clock | None = None, **more: Any) -> AsyncIterator[Sender]:
    sender = Sender(
        settings_for(box, **more),
        node="m1",
        metrics=Metrics(),
        clock=clock or SystemClock(),
        background=Background(Metrics()),
    )
    try:
        yield sender
    finally:
        await sender.close()


async def test_mail_arrives_with_its_headers_over_a_few_connections(box: Mailbox) -> None:
    async with sending(box, smtp_connections=3) as sender:
        results = await sender.send(mails(60), PATIENCE)
        assert {result.status for result in results} == {"sent"}
        assert [result.id for result in results] == [f"mail-{number}" for number in range(60)]
        assert sender.connections_opened <= 3
        assert sender.status().sent == 60
        assert sender.status().reached is True
    assert sorted(box.message_ids()) == sorted(f"<mail-{number}@notifyx.test>" for number in range(60))
    message = next(one.message for one in box.received if "<mail-7@" in str(one.message["Message-ID"]))
    assert message["Subject"] == "[ops] Number 7"
    assert message["From"] == "Notifyx <notifyx@example.org>"
    assert message["To"] == "ann@example.org"
    assert message["List-Unsubscribe"] == f"<https://notifyx.test/unsubscribe?token={'t' * 150}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "Zażółć\n.\nline" in plain.get_content().replace("\r\n", "\n")
    assert "Zażółć<br>" in html.get_content()


async def test_refusals_are_told_apart(box: Mailbox) -> None:
    box.rcpt = {
        "gone@example.org": "550 5.1.1 no such user",
        "later@example.org": "451 4.7.1 greylisted",
        "relay@example.org": "550 5.7.1 relaying denied",
        "full@example.org": "552 5.2.2 mailbox full",
    }
    async with sending(box, smtp_connections=1) as sender:
        batch = [
            *mails(1, to="gone@example.org"),
            *mails(1, to="later@example.org", start=1),
            *mails(1, to="relay@example.org", start=2),
            *mails(1, to="full@example.org", start=3),
            *mails(1, to="no address", start=4),
            *mails(1, start=5),
        ]
        gone, later, relay, full, invalid, fine = await sender.send(batch, PATIENCE)
        assert (gone.status, gone.address_refused) == ("refused", True)
        assert "550 5.1.1 no such user" in gone.reason
        assert (later.status, later.attempted, later.address_refused) == ("failed", False, False)
        assert (relay.status, relay.address_refused) == ("failed", False), "our relay's fault is not the address's"
        assert (full.status, full.address_refused) == ("failed", False)
        assert (invalid.status, invalid.address_refused) == ("refused", True)
        assert fine.status == "sent"
        assert sender.connections_opened == 1, "a refusal does not cost the connection"
    box.content = "554 5.6.0 spam"
    async with sending(box) as sender:
        (content,) = await sender.send(mails(1), PATIENCE)
        assert (content.status, content.address_refused) == ("refused", False)


async def test_a_connection_the_server_closed_is_replaced_before_anything_is_lost(box: Mailbox) -> None:
    async with sending(box, smtp_connections=1) as sender:
        assert (await sender.send(mails(1), PATIENCE))[0].status == "sent"
        box.drop = 1
        (lost,) = await sender.send(mails(1, start=1), PATIENCE)
        assert (lost.status, lost.attempted) == ("failed", True), "its content was on the way: the outcome is unknown"
        assert (await sender.send(mails(1, start=2), PATIENCE))[0].status == "sent"
        assert sender.connections_opened == 2


async def test_a_restarted_server_is_met_over_a_fresh_connection() -> None:
    with running_smtp() as first:
        pool = sending(first, smtp_connections=2)
        sender = await pool.__aenter__()
        assert {result.status for result in await sender.send(mails(4), PATIENCE)} == {"sent"}
    try:
        with running_smtp(port=first.port) as second:
            assert {result.status for result in await sender.send(mails(4, start=4), PATIENCE)} == {"sent"}
            assert len(second.received) == 4
    finally:
        await pool.__aexit__(None, None, None)


async def test_a_hanging_server_is_timed_out_and_the_mail_may_have_been_taken(box: Mailbox) -> None:
    box.hang = True
    async with sending(box, smtp_timeout=0.3) as sender:
        (result,) = await sender.send(mails(1), PATIENCE)
    assert (result.status, result.attempted) == ("failed", True)
    assert "in time" in result.reason


async def test_what_has_no_turn_before_the_deadline_was_not_attempted(box: Mailbox) -> None:
    box.delay = 0.2
    clock, time = SetForward(), LoopTime()
    async with sending(box, smtp_connections=1, clock=clock) as sender:
        call = asyncio.create_task(sender.send(mails(40), PATIENCE / 2))
        await box.wait_until(lambda: len(box.received) >= 3)
        clock.ahead = time.ahead = PATIENCE / 2
        results = await call
        sent = [result for result in results if result.status == "sent"]
        waiting = [result for result in results if result.status == "failed" and not result.attempted]
        assert sent
        assert waiting
        assert len(sent) + len(waiting) >= 39, "at most the one on its way has an unknown end"
        await sender.drain()
        assert {result.status for result in await sender.send(mails(len(sent)), PATIENCE)} == {"sent"}
    assert len(box.message_ids()) == len(set(box.message_ids()))


async def test_no_server_means_failed_and_none_configured_means_off() -> None:
    clock = SetForward()
    with running_smtp() as box:
        pass
    async with sending(box, clock=clock) as sender:
        (away,) = await sender.send(mails(1), PATIENCE)
        assert (away.status, away.attempted) == ("failed", False)
        assert sender.status().reached is False
        assert sender.status().problem == f"SMTP server 127.0.0.1:{box.port}: connection refused."
        with running_smtp(port=box.port):
            # No email has to be sent to find that it is back.
            clock.ahead += PROBE_INTERVAL
            await until(lambda: not sender.status().problem, "the mail server is tried again")
    async with sending(box, smtp_host="") as sender:
        assert [result.status for result in await sender.send(mails(2), PATIENCE)] == ["off", "off"]
        assert sender.status().email == "off"


async def test_the_same_mail_again_is_answered_and_not_sent(box: Mailbox) -> None:
    async with sending(box) as sender:
        batch = mails(3)
        await sender.send([*batch, *batch], PATIENCE)
        again = await sender.send(batch, PATIENCE)
        assert {result.status for result in again} == {"sent"}
        both = await asyncio.gather(sender.send(mails(2, start=9), 10), sender.send(mails(2, start=9), PATIENCE))
        assert {result.status for results in both for result in results} == {"sent"}
    assert len(box.received) == 5


async def test_a_caller_that_goes_away_leaves_nothing_half_sent(box: Mailbox) -> None:
    box.delay = 0.1
    async with sending(box, smtp_connections=2) as sender:
        call = asyncio.create_task(sender.send(mails(50), PATIENCE))
        await box.wait_until(lambda: len(box.received) >= 4)
        assert (sender.connections().limit, sender.queue().used) == (2, 50)
        assert sender.connections().used + sender.connections().waiting == 50
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await sender.drain()
        assert (sender.connections().used, sender.queue().used) == (0, 0)
        done = len(box.received)
        assert done < 50
        assert sender.status().sent == done, "what had started was finished"
        box.delay = 0
        assert {result.status for result in await sender.send(mails(50), PATIENCE)} == {"sent"}
    assert sorted(box.message_ids()) == sorted(f"<mail-{number}@notifyx.test>" for number in range(50))


async def test_more_than_the_queue_holds_is_refused_as_a_whole(box: Mailbox) -> None:
    async with sending(box, queue_limit=10) as sender:
        with pytest.raises(Unavailable):
            await sender.send(mails(11), PATIENCE)
        assert len(await sender.send(mails(10), PATIENCE)) == 10


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_tls_is_verified(tmp_path: Path, mode: str) -> None:
    certificate = make_certificate(tmp_path)

    async def send(box: Mailbox, **more: Any) -> MailResult:
        async with sending(box, smtp_tls=mode, **more) as sender:
            return (await sender.send(mails(1), PATIENCE))[0]

    with running_smtp(certificate=certificate, implicit_tls=mode == "tls", login=("bob", "s3cret-word")) as box:
        good = {"smtp_username": "bob", "smtp_password": "s3cret-word"}
        unknown = await send(box, **good)
        assert (unknown.status, unknown.attempted) == ("failed", False), "a certificate nobody vouches for"
        assert not box.received
        assert (await send(box, smtp_ca_file=certificate.path, **good)).status == "sent"
        assert box.logins == ["bob"]
        assert box.tls_sessions >= 1
        wrong = await send(box, smtp_ca_file=certificate.path, smtp_username="bob", smtp_password="wr0ng-word")
        assert wrong.status == "failed"
        assert "it refused the login, 535 " in wrong.reason
        assert "wr0ng-word" not in wrong.reason
        assert (await send(box, smtp_verify=False, **good)).status == "sent"


async def test_starttls_never_falls_back_to_plain_text(box: Mailbox) -> None:
    async with sending(box, smtp_tls="starttls") as sender:
        (result,) = await sender.send(mails(1), PATIENCE)
    assert result.status == "failed"
    assert not box.received


async def test_a_name_the_certificate_does_not_hold_is_refused(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "127.0.0.9")
    with running_smtp(certificate=certificate) as box:
        async with sending(box, smtp_tls="starttls", smtp_ca_file=certificate.path) as sender:
            assert (await sender.send(mails(1), PATIENCE))[0].status == "failed"
    assert not box.received


async def test_wrong_settings_are_one_sentence(box: Mailbox, tmp_path: Path) -> None:
    for wrong in ({"smtp_ca_file": tmp_path / "none.pem"}, {"smtp_from": "nobody"}, {"smtp_password": "x"}):
        with pytest.raises(SettingsError):
            settings_for(box, **wrong)
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(SettingsError, match="NOTIFYX_SMTP_CA_FILE"):
        tls_context(settings_for(box, smtp_tls="tls", smtp_ca_file=broken))


async def test_an_address_beyond_ascii_goes_where_the_server_speaks_it(box: Mailbox) -> None:
    async with sending(box) as sender:
        results = await sender.send(
            [
                *mails(1, to="jürgen@exämple.org"),
                *mails(1, to="bob@exämple.org", start=1),
                *mails(1, to="ada@straße.de", start=2),  # the mailbox of another domain than strasse.de
            ],
            PATIENCE,
        )
    assert {result.status for result in results} == {"sent"}
    recipients = {"jürgen@xn--exmple-cua.org", "bob@xn--exmple-cua.org", "ada@xn--strae-oqa.de"}
    assert {one.recipient for one in box.received} == recipients
