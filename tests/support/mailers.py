"""Real ``notifyx-mailer`` processes, and clients to reach them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import Discovery, StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.call import Call, Raw
from notifyx_common.contracts.mailer import (
    MAILER_STATUS,
    SEND_MAILS,
    MailBatch,
    MailerStatus,
    MailResult,
    MailResults,
)
from notifyx_common.metrics import Metrics
from support.forked import Forked, program
from support.patience import PATIENCE
from support.smtp import Mailbox

TOKEN = "internal-token-of-the-tests"


@dataclass
class MailerProcess:
    """One mailer of its own process."""

    instance: str
    process: Forked
    ready_file: Path
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("", ""))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ready(self, timeout: float = PATIENCE) -> None:
        """Wait until it listens."""
        until = time.monotonic() + timeout
        while not self.ready_file.exists():
            assert self.process.returncode is None, f"{self.instance} ended with {self.process.returncode}"
            assert time.monotonic() < until, f"{self.instance} is not ready in time"
            await asyncio.sleep(0.02)
        ports = json.loads(self.ready_file.read_text())
        self.endpoint = Endpoint(
            self.instance, f"http://127.0.0.1:{ports['port']}", f"http://127.0.0.1:{ports['metrics_port']}"
        )


@contextlib.contextmanager
def mailer_process(instance: str, folder: Path, box: Mailbox | None, **settings: str) -> Iterator[MailerProcess]:
    """Run a mailer that sends to ``box``; it is stopped when the block is left, whatever its state."""
    ready_file = folder / f"{instance}.json"
    values = {
        "internal_token": TOKEN,
        "port": "0",
        "metrics_port": "0",
        "instance": instance,
        "ready_file": str(ready_file),
        "log_level": "WARNING",
        "smtp_host": box.host if box is not None else "",
        "smtp_port": str(box.port if box is not None else 25),
        "smtp_tls": "none",
        "smtp_connections": "2",
        **settings,
    }
    environment = {"PATH": os.environ["PATH"], **{f"NOTIFYX_{key.upper()}": value for key, value in values.items()}}
    process = program("notifyx_mailer.app", environment, folder / f"{instance}.log")
    try:
        yield MailerProcess(instance, process, ready_file)
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)


@contextlib.asynccontextmanager
async def fleet(count: int, folder: Path, box: Mailbox | None, **settings: str) -> AsyncIterator[list[MailerProcess]]:
    """``count`` mailers, all listening."""
    with contextlib.ExitStack() as stack:
        mailers = [
            stack.enter_context(mailer_process(f"mailer-{number}", folder, box, **settings)) for number in range(count)
        ]
        await asyncio.gather(*(mailer.ready() for mailer in mailers))
        yield mailers


def client(service: str, discovery: Discovery, metrics: Metrics | None = None) -> ServiceClient:
    """A client with the tests' token."""
    return ServiceClient(service, discovery=discovery, token=TOKEN, metrics=metrics or Metrics(), clock=SystemClock())


def static(**services: list[Endpoint]) -> StaticDiscovery:
    """A fixed discovery."""
    return StaticDiscovery(services)


async def status_of(mailer: ServiceClient, endpoint: Endpoint) -> MailerStatus:
    """Fetch the status of one mailer."""
    return await mailer.send(MAILER_STATUS, None, endpoint=endpoint)


@dataclass(frozen=True)
class RawMails:
    """A batch as bytes, which need not be one that a mailer accepts."""

    body: Raw[MailBatch]
    local: bool = False


SEND_ONCE = Call("POST", SEND_MAILS.path, RawMails, MailResults)
SEND_AGAIN = Call("POST", SEND_MAILS.path, RawMails, MailResults, idempotent=True)


async def send_mails(
    mailer: ServiceClient, body: dict[str, Any] | bytes, *, local: bool = False, repeat: bool = False, **options: Any
) -> list[MailResult]:
    """Send a batch; ``repeat`` sends it again while its outcome is not known."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = SEND_AGAIN if repeat else SEND_ONCE
    return (await mailer.send(call, RawMails(Raw(content), local), **options)).results
