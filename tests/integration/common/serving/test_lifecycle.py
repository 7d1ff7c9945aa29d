"""How a service stops: what it is answering is answered, within its drain."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from cluster.namespaces.pki import Authority
from notifyx_common.internal_tls import InternalTls, call_options
from support.measured import python
from support.patience import PATIENCE

SERVICE = Path(__file__).parent / "slow_service.py"


@asynccontextmanager
async def stopped_while_it_answers(
    folder: Path, *, drain: float, seconds: float, tls: InternalTls | None = None
) -> AsyncIterator[asyncio.Task[int]]:
    """The status of a request that takes ``seconds``, in the middle of which the service was told to stop.

    With ``tls``, whose files are in ``folder``, it is asked on the port of internal calls.
    """
    ready, begun = folder / "ready", folder / "begun"
    environment = {
        "NOTIFYX_PORT": "0",
        "NOTIFYX_METRICS_PORT": "0",
        "NOTIFYX_INTERNAL_TOKEN": "internal-token-of-tests",
        "NOTIFYX_READY_FILE": str(ready),
        "NOTIFYX_DRAIN_SECONDS": str(drain),
    }
    if tls is not None:
        environment |= {
            "NOTIFYX_INTERNAL_TLS_CA_FILE": str(folder / "ca.crt"),
            "NOTIFYX_INTERNAL_TLS_CERT_FILE": str(folder / "tls.crt"),
            "NOTIFYX_INTERNAL_TLS_KEY_FILE": str(folder / "tls.key"),
            "NOTIFYX_INTERNAL_TLS_PORT": "0",
        }
    process = await asyncio.create_subprocess_exec(*python(), str(SERVICE), str(begun), env=environment)

    async def ask() -> int:
        ports = json.loads(ready.read_text())
        base = f"http://127.0.0.1:{ports['port']}" if tls is None else f"https://127.0.0.1:{ports['internal_tls_port']}"
        url = f"{base}/slow?seconds={seconds}"
        async with aiohttp.ClientSession() as session, session.get(url, **call_options(tls, "")) as answer:
            return answer.status

    async def there(file: Path) -> None:
        async with asyncio.timeout(PATIENCE):
            while not file.exists():
                await asyncio.sleep(0.02)

    try:
        await there(ready)
        asked = asyncio.create_task(ask())
        await there(begun)
        process.send_signal(signal.SIGTERM)
        yield asked
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_request_in_flight_has_as_long_as_the_drain(tmp_path: Path) -> None:
    async with stopped_while_it_answers(tmp_path, drain=PATIENCE, seconds=4) as asked:
        assert await asked == 200


async def test_so_has_one_over_internal_tls(tmp_path: Path) -> None:
    Authority(tmp_path).issue("tls", "service", names=("127.0.0.1",))
    tls = InternalTls(tmp_path / "ca.crt")
    async with stopped_while_it_answers(tmp_path, drain=PATIENCE, seconds=1, tls=tls) as asked:
        assert await asked == 200


async def test_a_request_that_takes_longer_than_the_drain_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with stopped_while_it_answers(tmp_path, drain=0, seconds=10 * PATIENCE) as asked:
        assert await asked == 500
