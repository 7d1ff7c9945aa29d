"""Kopf's sessions with the API server: one for each credentials, all closed when Kopf has ended."""

from __future__ import annotations

import asyncio
import logging

import kopf
import pytest
from kopf._cogs.clients import api
from kopf._cogs.clients.auth import vault_var

from notifyx_operator.kube.api import Credentials
from notifyx_operator.kube.kopf_sessions import KopfSessions
from notifyx_operator.kube.kopf_thread import kopf_settings, run_kopf
from support.operator_kube import Kube
from support.patience import PATIENCE


async def test_equal_credentials_share_a_session() -> None:
    left = ["one", "one", "two"]
    sessions = KopfSessions(lambda: Credentials(server="http://127.0.0.1:1", token=left.pop(0)))
    first, again, changed = sessions.open(), sessions.open(), sessions.open()
    assert again is first
    assert changed.aiohttp_session.headers["Authorization"] == "Bearer two"
    assert first != changed
    await sessions.close()
    assert first.aiohttp_session.closed
    assert changed.aiohttp_session.closed


async def test_no_request_of_a_kopf_that_ends_opens_a_session(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = kopf.OperatorRegistry()
    late: list[asyncio.Task[object]] = []

    @kopf.on.cleanup(registry=registry)
    async def clean_up(**_: object) -> None:
        """Leave a request that starts once Kopf has closed its sessions."""
        vault = vault_var.get()
        close = vault.close

        async def close_and_request() -> None:
            await close()
            request = api.get("/api", settings=kopf_settings(scan=True), logger=logging.getLogger(__name__))
            late.append(asyncio.create_task(request))
            rejected = asyncio.create_task(vault.wait_for_emptiness())
            await asyncio.wait({late[0], rejected}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)

        monkeypatch.setattr(vault, "close", close_and_request)

    async with run_kopf(registry, login=kube.login, namespaces=[], died=lambda: None):
        pass
    assert late[0].cancelled(), "it has neither an answer nor a session"
