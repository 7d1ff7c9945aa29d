"""Three mailers and many emails: shared, one killed, one hung; everything arrives, and once by its id."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_gateway.mail.dispatch import Dispatcher
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.mailer import Mailer
from notifyx_gateway.upstream.outbox import Outbox as OutboxCalls
from support.mailers import MailerProcess, client, fleet, static, status_of
from support.outbox import Outbox, running_outbox
from support.patience import PATIENCE, until
from support.registry import running_registry
from support.smtp import Mailbox, running_smtp

MANY = 500


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as mailbox:
        yield mailbox


@asynccontextmanager
async def dispatching(
    outbox: Outbox,
    discovery: StaticDiscovery,
    metrics: Metrics,
    *,
    task_timeout: float = PATIENCE,
    lease_seconds: float = 2 * PATIENCE,
) -> AsyncIterator[tuple[Dispatcher, ServiceClient]]:
    here = [Endpoint("store", outbox.url)]
    discovery.replace("store", here)
    discovery.replace("auth", here)
    store, auth = client("store", discovery), client("auth", discovery)
    mailer = client("mailer", discovery, metrics)
    async with store, auth, mailer:
        dispatcher = Dispatcher(
            background=Background(Metrics()),
            outbox=OutboxCalls(store, "gateway-1"),
            auth=Auth(auth),
            mailer=Mailer(mailer),
            public_url="https://notifyx.test",
            metrics=metrics,
            clock=SystemClock(),
            task_timeout=task_timeout,
            lease_seconds=lease_seconds,
            poll_seconds=0.2,
        )
        async with dispatcher:
            yield dispatcher, mailer


def ids_by_recipient(box: Mailbox) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for one in list(box.received):
        found.setdefault(one.recipient, Counter())[str(one.message["Message-ID"])] += 1
    return found


async def each_has_sent(mailer: ServiceClient, mailers: list[MailerProcess]) -> bool:
    return min(await shares(mailer, mailers)) > 0


async def shares(mailer: ServiceClient, mailers: list[MailerProcess]) -> list[int]:
    return [(await status_of(mailer, one.endpoint)).sent for one in mailers]


@pytest.mark.slow
async def test_all_emails_arrive_though_one_mailer_is_killed_and_one_hangs(box: Mailbox, tmp_path: Path) -> None:
    box.delay = 0.02
    metrics = Metrics()

    def tasks(outcome: str) -> float:
        labels = {"kind": "mail", "outcome": outcome}
        return metrics.registry.get_sample_value("notifyx_tasks_total", labels) or 0.0

    async with running_outbox() as outbox, fleet(3, tmp_path, box) as mailers:
        outbox.fill(MANY)
        discovery = static(mailer=[mailer.endpoint for mailer in mailers])
        async with dispatching(outbox, discovery, metrics, task_timeout=2.0) as (_, mailer):
            await until(lambda: each_has_sent(mailer, mailers), "each node sends a share")
            mailers[0].signal(signal.SIGKILL)
            await box.wait_until(lambda: len(box.received) > MANY * 0.4)
            mailers[1].signal(signal.SIGSTOP)
            await box.wait_until(lambda: outbox.states()["sent"] == MANY)
            assert tasks("timed_out"), "the hung node was timed out"
            # Awake again it must not send what others have sent meanwhile, beyond what was on its way.
            at_wake = len(box.received)
            mailers[1].signal(signal.SIGCONT)
            while (await status_of(mailer, mailers[1].endpoint)).in_flight:
                await asyncio.sleep(0.05)
        found = ids_by_recipient(box)
        assert found.keys() == {f"user-{number}@example.org" for number in range(MANY)}
        for number in range(MANY):
            assert found[f"user-{number}@example.org"].keys() == {f"<mail-{number}@notifyx.test>"}
        assert len(box.received) - at_wake <= 2, "one for each connection of the hung mailer at most"
        assert len(box.received) <= MANY + tasks("reassigned"), "only what was on its way when a node broke comes twice"


async def test_an_acknowledgement_fences_what_waits_for_its_turn(box: Mailbox, tmp_path: Path) -> None:
    box.delay = 0.05
    async with running_outbox() as outbox, fleet(1, tmp_path, box) as mailers:
        outbox.fill(150)
        discovery = static(mailer=[mailers[0].endpoint])
        async with dispatching(outbox, discovery, Metrics()):
            await box.wait_until(lambda: len(box.received) >= 5)
            for number in range(100, 150):
                outbox.acknowledge(f"mail-{number}")
            await box.wait_until(lambda: outbox.states()["sent"] == 100)
        assert outbox.states() == {"sent": 100, "fenced": 50}
    assert {one.recipient for one in box.received} == {f"user-{number}@example.org" for number in range(100)}
    message = box.received[0].message
    first = box.received[0].recipient.removeprefix("user-").removesuffix("@example.org")
    assert message["List-Unsubscribe"] == f"<https://notifyx.test/unsubscribe?token=token%2F{first}>"


async def test_addresses_that_are_not_verified_or_refused_are_reported(box: Mailbox, tmp_path: Path) -> None:
    box.rcpt = {"user-2@example.org": "550 5.1.1 no such user"}
    async with running_outbox() as outbox, fleet(1, tmp_path, box) as mailers:
        outbox.unverified, outbox.unknown = {"user-0"}, {"user-1"}
        outbox.fill(4)
        async with dispatching(outbox, static(mailer=[mailers[0].endpoint]), Metrics()):
            await box.wait_until(lambda: outbox.states() == {"pending": 1, "dead": 2, "sent": 1})
    results = [outbox.rows[f"mail-{number}"].result for number in range(3)]
    assert [result.status for result in results if result] == ["unverified", "gone", "refused"]
    assert results[2] is not None
    assert results[2].address_refused


async def test_results_wait_for_a_store_that_is_away_and_nothing_is_sent_twice(box: Mailbox, tmp_path: Path) -> None:
    async with running_outbox() as outbox, fleet(1, tmp_path, box) as mailers:
        outbox.away = {"results"}
        outbox.fill(30)
        async with dispatching(outbox, static(mailer=[mailers[0].endpoint]), Metrics()):
            await box.wait_until(lambda: len(box.received) == 30 and outbox.calls["results"] >= 3)
            assert outbox.states() == {"leased": 30}
            outbox.away = set()
            await box.wait_until(lambda: outbox.states() == {"sent": 30})
            claims = outbox.calls["claim"]
            await box.wait_until(lambda: outbox.calls["claim"] > claims)
    assert len(box.received) == 30


async def test_lost_results_mean_the_same_message_id_again(box: Mailbox, tmp_path: Path) -> None:
    """The gateway dies between sending and reporting: another one sends the same mail, recognisable as such."""
    async with running_outbox() as outbox, fleet(2, tmp_path, box) as mailers:
        outbox.away = {"results"}
        outbox.fill(10)
        first = static(mailer=[mailers[0].endpoint])
        async with dispatching(outbox, first, Metrics(), lease_seconds=1.5) as (dispatcher, _):
            await box.wait_until(lambda: len(box.received) == 10 and outbox.calls["results"] >= 1)
            await dispatcher.stop(deadline=0.1)
        outbox.away = set()
        async with dispatching(outbox, static(mailer=[mailers[1].endpoint]), Metrics()):
            await box.wait_until(lambda: outbox.states() == {"sent": 10})
    found = ids_by_recipient(box)
    assert all(set(ids.values()) == {2} and len(ids) == 1 for ids in found.values())
    assert len(found) == 10


async def test_auth_away_counts_nothing_and_email_off_is_said(box: Mailbox, tmp_path: Path) -> None:
    async with running_outbox() as outbox, fleet(1, tmp_path, None) as mailers:
        outbox.away = {"users:resolve"}
        outbox.fill(2)
        async with dispatching(outbox, static(mailer=[mailers[0].endpoint]), Metrics(), lease_seconds=1.5) as (d, _):
            await box.wait_until(lambda: outbox.rows["mail-0"].result is not None)
            result = outbox.rows["mail-0"].result
            assert result is not None
            assert (result.status, result.reason) == ("off", "auth is unavailable")
            outbox.away = set()
            outbox.rows["mail-0"].result = None

            def said() -> bool:
                d.wake()
                return outbox.rows["mail-0"].result is not None

            await box.wait_until(said)
            result = outbox.rows["mail-0"].result
            assert result is not None
            assert (result.status, result.reason) == ("off", "")
    assert not box.received


async def test_without_a_mailer_nothing_is_claimed_and_one_that_joins_gets_the_work(
    box: Mailbox, tmp_path: Path
) -> None:
    async with running_outbox() as outbox, fleet(1, tmp_path, box) as mailers:
        outbox.fill(5)
        discovery = static(mailer=[])
        async with dispatching(outbox, discovery, Metrics()) as (dispatcher, _):
            dispatcher.wake()
            await box.wait_until(lambda: not dispatcher._wake.is_set())
            assert outbox.calls["claim"] == 0
            discovery.replace("mailer", [mailers[0].endpoint])
            await box.wait_until(lambda: outbox.states() == {"sent": 5})


async def test_what_becomes_due_does_not_wait_for_a_mail_server_that_holds_other_mail(
    box: Mailbox, tmp_path: Path
) -> None:
    box.held = {f"user-{number}@example.org" for number in range(3)}
    async with running_outbox() as outbox, fleet(1, tmp_path, box, smtp_connections="4") as mailers:
        outbox.fill(3)
        async with dispatching(outbox, static(mailer=[mailers[0].endpoint]), Metrics()):
            await box.wait_until(lambda: box.holding == 3)
            outbox.fill(1, start=3)
            await box.wait_until(lambda: outbox.states() == {"leased": 3, "sent": 1})
            assert [one.recipient for one in box.received] == ["user-3@example.org"]
            box.held = set()
            await box.wait_until(lambda: outbox.states() == {"sent": 4})


async def test_no_more_is_leased_than_mailers_take(box: Mailbox, tmp_path: Path) -> None:
    box.hang = True
    async with running_outbox() as outbox, fleet(2, tmp_path, box) as mailers:
        outbox.fill(300)
        async with dispatching(outbox, static(mailer=[one.endpoint for one in mailers]), Metrics()):
            await box.wait_until(lambda: outbox.calls["confirm"] == 4)
            assert outbox.states() == {"leased": 100, "pending": 200}
            box.hang = False
            await box.wait_until(lambda: outbox.states() == {"sent": 300})
    assert len(set(box.message_ids())) == 300


async def test_stopping_finishes_what_is_in_flight(box: Mailbox, tmp_path: Path) -> None:
    box.delay = 0.05
    async with running_outbox() as outbox, fleet(1, tmp_path, box) as mailers:
        outbox.fill(40)
        discovery = static(mailer=[mailers[0].endpoint])
        async with dispatching(outbox, discovery, Metrics()) as (dispatcher, _):
            await box.wait_until(lambda: len(box.received) >= 2)
            await dispatcher.stop(deadline=PATIENCE)
            assert outbox.states() == {"sent": 40}, "sent and reported when stop returns"


async def test_what_the_dispatcher_hands_to_one_mailer_is_shared_with_its_peers(box: Mailbox, tmp_path: Path) -> None:
    """With its own sizes: a request is larger than what a mailer keeps to itself."""
    box.delay = 0.02
    async with (
        running_registry() as registry,
        running_outbox() as outbox,
        fleet(3, tmp_path, box, registry_urls=json.dumps([registry.url])) as mailers,
    ):
        await box.wait_until(lambda: len(registry.alive("mailer")) == 3)
        known = static(mailer=[mailers[0].endpoint])
        async with dispatching(outbox, known, Metrics()) as (dispatcher, mailer):
            # A mailer polls the registry; until it has seen its peers it keeps a batch to itself.
            filled = 0
            while min(await shares(mailer, mailers)) == 0:
                assert filled < 1500, await shares(mailer, mailers)
                outbox.fill(50, start=filled)
                filled += 50
                dispatcher.wake()
                await box.wait_until(lambda: outbox.states()["sent"] == filled)  # noqa: B023 - awaited at once
            assert sum(await shares(mailer, mailers)) == filled
    assert sorted(box.message_ids()) == sorted(f"<mail-{number}@notifyx.test>" for number in range(filled))
