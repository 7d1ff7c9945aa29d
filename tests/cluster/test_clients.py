"""Clients come in through the ingress: page, API and socket under one host."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from cluster.install import Installed
from cluster.kube import Kube
from notifyx_common.contracts.registry import LIST_LEASES
from notifyx_common.contracts.store.topics import LIST_TOPICS
from support.mail import verify, wait_for_mail
from support.official_client import install_client, make_journey
from support.phoenix import Channel, PhoenixClient
from support.platform import person


async def test_the_official_client_through_the_ingress(installed: Installed, tmp_path: Path) -> None:
    install_client(tmp_path)
    await make_journey(installed, tmp_path, topic="clients.journey")


async def test_one_host_for_page_api_and_socket(installed: Installed) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{installed.url}/") as page:
            assert page.status == 200
            assert "text/html" in page.headers["Content-Type"]
        async with session.get(f"{installed.api}/openapi.json") as document:
            assert document.status == 200
            assert installed.url in await document.text()


@pytest.mark.parametrize("path", ["/metrics", LIST_LEASES.path, LIST_TOPICS.path, "/socket/../metrics"])
async def test_what_is_internal_is_not_behind_the_ingress(installed: Installed, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{installed.url}{path}") as answer:
        assert answer.status in (401, 403, 404)


async def test_two_gateways_are_one_platform(installed: Installed, kube: Kube) -> None:
    """Sockets of one user, spread over the gateways, all receive, and all see the same unread count."""
    assert len(kube.ready_pods(installed.namespace, "gateway")) >= 2
    async with AsyncExitStack() as stack:
        gina = await stack.enter_async_context(person(installed, "gina"))
        otto = await stack.enter_async_context(person(installed, "otto"))
        await otto.call("POST", "/topics", json={"name": "clients.two"})
        await gina.call("PUT", "/topics/clients.two/subscription", json={"email": "never"})
        sockets = [await stack.enter_async_context(PhoenixClient(installed.socket, gina.token)) for _ in range(6)]
        channels = [await one.channel("topic:clients.two") for one in sockets]
        await otto.call("POST", "/topics/clients.two/notifications", json={"body": "to all"})
        for channel in channels:
            await channel.until(lambda it: [one["body"] for one in it.received] == ["to all"])
        devices = [await one.channel("user:me") for one in sockets]
        await channels[0].push("ack", {"up_to": 1})
        for device in devices:
            await device.until(lambda it: _unread(it, "clients.two") == 0)


def _unread(device: Channel, topic: str) -> int | None:
    """The unread count of a topic as the device was last told."""
    told = [payload["unread"] for event, payload in device.events if event == "unread" and payload["topic"] == topic]
    return told[-1] if told else None


async def test_a_pod_publishes_as_its_service_account(installed: Installed, kube: Kube) -> None:
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clients-shop"}},
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "clients-shop"}}
            for name in ("till", "door")
        ),
        {
            "apiVersion": "notifyx.dev/v1alpha1",
            "kind": "NotifyxTopic",
            "metadata": {"name": "clients.sales", "namespace": "clients-shop"},
            "spec": {"publishers": ["system:serviceaccount:clients-shop:till"]},
        },
    )
    kube.wait_condition("nxt", "clients.sales", "clients-shop", "Ready")

    def token(name: str, *audience: str) -> dict[str, str]:
        made = kube.kubectl("create", "token", name, *audience, namespace="clients-shop").strip()
        return {"Authorization": f"Bearer {made}"}

    async with aiohttp.ClientSession() as session, person(installed, "sara") as sara:
        url = f"{installed.api}/topics/clients.sales/notifications"
        for who, status in (
            (token("till", "--audience=notifyx"), 201),
            (token("door", "--audience=notifyx"), 403),
            (token("till"), 401),
        ):
            async with session.post(url, data="sold", headers=who) as answer:
                assert answer.status == status, await answer.text()
        (read,) = (await sara.call("GET", "/topics/clients.sales/notifications"))["items"]
        assert read["publisher"]["name"] == "clients-shop/till"
    kube.kubectl("delete", "namespace", "clients-shop", "--wait=false")


async def test_email_of_a_notification(mailed: Installed) -> None:
    async with person(mailed, "mary") as mary:
        await verify(mailed, mary)
        await mary.call("POST", "/topics", json={"name": "clients.mail"})
        await mary.call("PUT", "/topics/clients.mail/subscription", json={"email": "every"})
        await mary.call("POST", "/topics/clients.mail/notifications", json={"title": "By email", "body": "one line"})
        (mail,) = await wait_for_mail(mailed, mary.email, "By email")
        assert "one line" in mail["text"]


async def test_the_administrator_logs_in_with_the_password_of_the_secret(installed: Installed) -> None:
    form = {"grant_type": "password", "username": installed.admin_email, "password": installed.admin_password}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{installed.api}/token", data=form) as answer:
            assert answer.status == 200
            token = (await answer.json())["access_token"]
        async with session.get(f"{installed.api}/me", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert (await answer.json())["role"] == "admin"
