"""Mailers among themselves: a large batch is shared, a node joins and leaves, and bad requests are told so."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifyx_common.background import Background
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import RegistryDiscovery
from notifyx_common.contracts.mailer import DigestContext, Mail, MailBatch, MailedNotification, MailResult
from notifyx_common.errors import InvalidRequest, NotifyxError, Unavailable
from notifyx_common.metrics import Metrics
from support.mailers import TOKEN, MailerProcess, client, fleet, mailer_process, send_mails, static, status_of
from support.patience import PATIENCE
from support.registry import running_registry
from support.smtp import Mailbox, running_smtp


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with running_smtp() as mailbox:
        yield mailbox


def batch(count: int, deadline: float = 60.0, *, name: str = "mail") -> dict[str, Any]:
    mails = [
        Mail(
            id=f"{name}-{number}",
            message_id=f"<{name}-{number}@notifyx.test>",
            to=f"user-{number}@example.org",
            context=DigestContext(
                topic="ops", notifications=[MailedNotification(title="one"), MailedNotification(body="two")], more=1
            ),
        )
        for number in range(count)
    ]
    return MailBatch(mails=mails, deadline=deadline).model_dump(mode="json")


async def test_a_large_batch_is_shared_with_peers_and_a_killed_one_costs_nothing(box: Mailbox, tmp_path: Path) -> None:
    box.delay = 0.02
    async with (
        running_registry() as registry,
        fleet(3, tmp_path, box, registry_urls=json.dumps([registry.url]), task_timeout="5") as mailers,
    ):
        await box.wait_until(lambda: len(registry.alive("mailer")) == 3)
        entry = mailers[0].endpoint
        async with client("mailer", static(mailer=[entry])) as mailer:

            async def send(count: int, *, local: bool = False) -> list[MailResult]:
                return await send_mails(
                    mailer, batch(count), local=local, deadline=2 * PATIENCE, try_timeout=2 * PATIENCE
                )

            # A node polls the registry; until it has seen its peers it keeps a batch to itself.
            nodes: set[str] = set()
            until = time.monotonic() + PATIENCE
            while nodes != {"mailer-0", "mailer-1", "mailer-2"}:
                assert time.monotonic() < until, nodes
                nodes = {result.node for result in await send(80)}
            box.received.clear()
            sending = asyncio.create_task(send(500))
            await box.wait_until(lambda: len(box.received) >= 120)
            mailers[2].signal(signal.SIGKILL)
            results = await sending
            assert [result.id for result in results] == [f"mail-{number}" for number in range(500)]
            assert {result.status for result in results} == {"sent"}
            assert (await status_of(mailer, entry)).in_flight == 0
            alone = await send(60, local=True)
            assert {result.node for result in alone} == {"mailer-0"}
        found: dict[str, Counter[str]] = {}
        for one in box.received:
            found.setdefault(one.recipient, Counter())[str(one.message["Message-ID"])] += 1
        assert all(ids.keys() == {f"<{to.replace('user', 'mail').split('@')[0]}@notifyx.test>"}
                   for to, ids in found.items())  # fmt: skip


async def test_what_a_hung_peer_holds_is_sent_by_another_within_the_same_batch(box: Mailbox, tmp_path: Path) -> None:
    async with (
        running_registry() as registry,
        fleet(3, tmp_path, box, registry_urls=json.dumps([registry.url]), task_timeout="3") as mailers,
        client("mailer", static(mailer=[mailers[0].endpoint])) as mailer,
    ):

        async def send() -> list[MailResult]:
            return await send_mails(mailer, batch(60), deadline=2 * PATIENCE, try_timeout=2 * PATIENCE)

        nodes: set[str] = set()
        until = time.monotonic() + PATIENCE
        while nodes != {"mailer-0", "mailer-1", "mailer-2"}:
            assert time.monotonic() < until, nodes
            nodes = {result.node for result in await send()}
        box.received.clear()
        mailers[2].signal(signal.SIGSTOP)
        results = await send()
    assert {result.status for result in results} == {"sent"}
    assert {result.node for result in results} <= {"mailer-0", "mailer-1"}


async def test_a_mailer_started_by_hand_joins_and_leaves_with_its_lease(box: Mailbox, tmp_path: Path) -> None:
    async with (
        running_registry() as registry,
        fleet(1, tmp_path, box, registry_urls=json.dumps([registry.url])),
        RegistryDiscovery([registry.url], TOKEN, background=Background(Metrics())) as discovery,
        client("mailer", discovery) as peer,
        client("mailer", registry.registry.discovery) as mailer,
    ):

        def rotation(of: ServiceClient) -> set[str]:
            return {endpoint.instance for endpoint in of.endpoints}

        with mailer_process("by-hand", tmp_path, box, registry_urls=json.dumps([registry.url])) as another:
            await another.ready()
            await box.wait_until(lambda: "by-hand" in rotation(mailer) & rotation(peer))
            for _ in range(2):
                await send_mails(mailer, batch(1), repeat=True)
            assert (await status_of(mailer, another.endpoint)).sent == 1, "it has its turn"
            another.signal(signal.SIGKILL)
            await box.wait_until(lambda: "by-hand" not in rotation(mailer) | rotation(peer))


async def test_a_stop_withdraws_the_lease_at_once_and_finishes_what_is_on_its_way(box: Mailbox, tmp_path: Path) -> None:
    box.delay = 0.3
    async with running_registry() as registry, fleet(
        1, tmp_path, box, registry_urls=json.dumps([registry.url])
    ) as mailers:  # fmt: skip
        await box.wait_until(lambda: bool(registry.alive("mailer")))
        async with client("mailer", static(mailer=[mailers[0].endpoint])) as mailer:
            call = asyncio.create_task(send_mails(mailer, batch(4), deadline=2 * PATIENCE, try_timeout=2 * PATIENCE))
            await box.wait_until(lambda: len(box.received) >= 1)
            mailers[0].signal(signal.SIGTERM)
            results = await call
            assert {result.status for result in results} == {"sent"}
        assert not registry.alive("mailer")
        assert await asyncio.to_thread(mailers[0].process.wait, PATIENCE) == 0
    assert len(box.received) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"mails": 1}',
        b'{"mails": [{"id": "x"}]}',
        b'{"mails": [], "deadline": -1}',
        b'{"mails": [], "unknown": 1}',
        json.dumps(batch(1)).replace("<mail-0@notifyx.test>", "<a\\r\\nBcc: x@y>").encode(),
    ],
)
async def test_bad_requests_are_refused_in_words_and_the_node_lives_on(one_mailer: MailerProcess, body: bytes) -> None:
    async with client("mailer", static(mailer=[one_mailer.endpoint])) as mailer:
        with pytest.raises(InvalidRequest):
            await send_mails(mailer, body)
        assert (await status_of(mailer, one_mailer.endpoint)).email == "on"


@pytest.mark.parametrize("count", [3, 60], ids=["sent by one node", "shared in chunks"])
async def test_one_bad_email_of_a_batch_is_refused_alone(one_mailer: MailerProcess, count: int) -> None:
    body = batch(count, name=f"of-{count}")
    body["mails"][1]["context"] = {"template": "digest", "more": -1}
    async with client("mailer", static(mailer=[one_mailer.endpoint])) as mailer:
        results = await send_mails(mailer, body)
    assert [result.id for result in results if result.status != "sent"] == [f"of-{count}-1"]
    assert results[1].status == "refused"
    assert "does not fit the template" in results[1].reason
    assert not results[1].address_refused


async def test_only_services_may_ask_and_the_metrics_are_there(one_mailer: MailerProcess) -> None:
    async with client("mailer", static(mailer=[one_mailer.endpoint])) as mailer:

        async def sent() -> float:
            async with mailer.session.get(f"{one_mailer.endpoint.metrics_url}/metrics") as response:
                text = await response.text()
            found = re.search(r'^notifyx_mails_total{result="sent"} (\S+)$', text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        before = await sent()
        outsider = {"Authorization": "Bearer of nothing at all"}
        with pytest.raises(Unavailable, match="does not accept the token"):
            await send_mails(mailer, batch(1, name="asked"), headers=outsider)
        results = await send_mails(mailer, batch(1, name="asked"))
        assert [result.status for result in results] == ["sent"]
        async with mailer.session.get(f"{one_mailer.endpoint.url}/readyz") as response:
            assert response.status == 200
        assert await sent() == before + 1


@pytest.fixture(scope="module")
def one_mailer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailerProcess]:
    """A mailer that the tests which change nothing of it share."""
    with running_smtp() as box, mailer_process("mailer-0", tmp_path_factory.mktemp("mailer"), box) as mailer:
        asyncio.run(mailer.ready())
        yield mailer


async def test_wrong_settings_end_in_one_sentence_and_status_two(tmp_path: Path) -> None:
    with mailer_process("wrong", tmp_path, None, smtp_port="99999999", internal_token="short") as wrong:
        assert await asyncio.to_thread(wrong.process.wait, PATIENCE) == 2
    said = (tmp_path / "wrong.log").read_text()
    assert said.count("\n") == 1
    assert "NOTIFYX_SMTP_PORT" in said
    assert "NOTIFYX_INTERNAL_TOKEN" in said
    assert "Traceback" not in said


async def test_no_mailer_at_all_is_unavailable() -> None:
    async with client("mailer", static(mailer=[])) as mailer:
        with pytest.raises(Unavailable) as caught:
            await send_mails(mailer, batch(1), deadline=0.3)
    assert isinstance(caught.value, NotifyxError)
