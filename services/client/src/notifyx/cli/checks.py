"""The checks of ``notifyx doctor``, in order: each depends on earlier ones."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from notifyx import frames
from notifyx.channel_connection import USER_CHANNEL
from notifyx.cli.exits import Exit, exit_code
from notifyx.cli.session import refused_advice
from notifyx.client import Client
from notifyx.errors import NotifyxError, NotLoggedIn
from notifyx.publishing import new_key
from notifyx.transport import to_error

CHECK_TIMEOUT = 10.0
"""Timeout of one connection attempt or request of a check, in seconds."""

DELIVERY_TIMEOUT = 15.0
SLOW_SECONDS = 2.0
SKEW_SECONDS = 30.0
CERTIFICATE_DAYS = 14
API_VERSION = "1"

State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: ``detail`` is one sentence, ``advice`` what to do. ``exit`` applies if it failed."""

    state: State
    detail: str
    advice: str = ""
    exit: Exit = Exit.UNREACHABLE
    check: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding for JSON output."""
        return {"check": self.check, "state": self.state, "detail": self.detail, "advice": self.advice}


Check = Callable[["DoctorRun"], Awaitable[Finding]]


class DoctorRun:
    """One run of the checks, with the facts that earlier checks found."""

    def __init__(self, notifyx: Client) -> None:
        self.notifyx = notifyx
        parts = urlsplit(notifyx.url)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.socket_url = ""
        self.date = ""
        self.user_id = ""
        self._stopped = ""

    async def run(self, name: str, check: Check) -> Finding:
        """Run ``check``; skip it if a check that it depends on has failed."""
        if self._stopped:
            return Finding("skipped", f"{self._stopped} has to work first.", check=name)
        try:
            found = await check(self)
        except NotifyxError as error:
            found = Finding("failed", error.reason, _LOGS, exit_code(error))
        if found.state == "failed" and name not in INDEPENDENT:
            self._stopped = name
        return replace(found, check=name)


async def name(it: DoctorRun) -> Finding:
    """Check that the name can be resolved."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(it.host, it.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return Finding(
            "failed", f"The name {it.host} cannot be resolved.",
            "Check the spelling; for an ingress, add a DNS record (or a line in /etc/hosts) for its host.",
        )  # fmt: skip
    addresses = sorted({str(one[4][0]) for one in found})
    return Finding("ok", f"{it.host} is {', '.join(addresses)}.")


async def tcp(it: DoctorRun) -> Finding:
    """Check that the port accepts connections."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            _, writer = await asyncio.open_connection(it.host, it.port)
    except (OSError, TimeoutError) as error:
        answer = getattr(error, "strerror", None) or "no answer"
        return Finding(
            "failed", f"{it.host} does not take connections on port {it.port} ({answer}).",
            "Is Notifyx (or the ingress controller) running there? Is a firewall in between? Is the port right?",
        )  # fmt: skip
    took = time.monotonic() - started
    writer.close()
    return Finding("ok", f"Port {it.port} takes connections ({took * 1000:.0f} ms).")


async def tls(it: DoctorRun) -> Finding:
    """Check that the connection is encrypted, with a trusted certificate."""
    if not it.secure:
        if _local(it.host):
            return Finding("ok", "Not used; the connection does not leave this machine.")
        return Finding(
            "warning", "Passwords, tokens and notifications are not encrypted on their way.",
            "Use https: give the ingress a certificate.",
        )  # fmt: skip
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            context = ssl.create_default_context()
            _, writer = await asyncio.open_connection(it.host, it.port, ssl=context, server_hostname=it.host)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "failed", f"The certificate is not trusted: {error.verify_message}.",
            "Renew it, or name your own authority's certificates in SSL_CERT_FILE.",
        )  # fmt: skip
    except (OSError, TimeoutError) as error:
        return Finding("failed", f"There is no TLS on port {it.port} ({error}).", "Is this an http address?")
    certificate = writer.get_extra_info("peercert")
    writer.close()
    writer.transport.abort()  # without the closing handshake of TLS, whose answer could take long
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (until - datetime.now(UTC)).days
    if days < CERTIFICATE_DAYS:
        return Finding("warning", f"The certificate ends in {days} days.", "Renew it.")
    return Finding("ok", f"The certificate is trusted, for {days} days yet.")


async def health(it: DoctorRun) -> Finding:
    """Check that a Notifyx gateway answers."""
    status, kind, body = await _get(it, "/healthz")
    if status == 200 and kind == "application/json" and '"ok"' in body:
        return Finding("ok", "The gateway answers.")
    advice = "Is the address right? It is that of the gateway (in make run port 4000), or of the ingress."
    if status in (502, 503, 504):
        advice = "A proxy in front answers, the gateway does not: look at its pods (kubectl get pods) and their logs."
    return Finding("failed", f"/healthz answers {status} ({kind}), which is not what a gateway says.", advice)


async def ready(it: DoctorRun) -> Finding:
    """Check the gateway's readiness."""
    found = await it.notifyx.readiness()
    if found.status == "ok":
        return Finding("ok", "The gateway has all it needs.")
    failed = "; ".join(f"{part}: {why}" for part, why in found.failed.items())
    return Finding("failed", f"The gateway lacks: {failed}", "Look at the logs of the parts it names.")


async def platform(it: DoctorRun) -> Finding:
    """Check what the gateway has found to be wrong with the parts behind it."""
    status, kind, body = await _get(it, "/dashboard/state")
    if status != 200 or kind != "application/json":
        why = "the dashboard is switched off" if status == 404 else f"/dashboard/state answers {status}"
        return Finding("skipped", f"The parts behind the gateway are not known here: {why}.")
    problems = json.loads(body)["problems"]
    if not problems:
        return Finding("ok", "The parts behind the gateway report no problem.")
    sentences = [_sentence(problem) for problem in problems]
    advice = dict.fromkeys(_advice(problem["key"]) for problem in problems)
    state: State = "failed" if any(problem["severity"] == "down" for problem in problems) else "warning"
    return Finding(state, " ".join(sentences), " ".join(advice))


def _sentence(problem: dict[str, Any]) -> str:
    because = problem["because"].rstrip(".")
    return f"{problem['sentence'].rstrip('.')} ({because})." if because else problem["sentence"]


def _advice(key: str) -> str:
    for kind, advice in ADVICE.items():
        if key.startswith(kind):
            return advice
    return "The dashboard shows more, at /dashboard."


async def api(it: DoctorRun) -> Finding:
    """Check that client and server use the same API version."""
    config = await it.notifyx.config()
    it.socket_url = await it.notifyx.socket_url()
    if config.api_version != API_VERSION:
        return Finding(
            "failed", f"The deployment speaks API version {config.api_version}, this client {API_VERSION}.",
            "Install the notifyx-client of the deployment's version.", Exit.REFUSED,
        )  # fmt: skip
    return Finding("ok", f"API version {config.api_version}, Notifyx {config.version or 'of an unknown version'}.")


async def clock(it: DoctorRun) -> Finding:
    """Check the difference between the clocks."""
    try:
        server = parsedate_to_datetime(it.date)
    except ValueError:
        return Finding("skipped", "The server sends no time.")
    skew = (datetime.now(UTC) - server).total_seconds()
    if abs(skew) <= SKEW_SECONDS:
        return Finding("ok", "The clocks agree.")
    side = "ahead of" if skew > 0 else "behind"
    return Finding(
        "warning", f"This machine's clock is {abs(skew):.0f} s {side} the server's.",
        "Set both by NTP: what expires at a given time expires early or late.",
    )  # fmt: skip


async def upgrade(it: DoctorRun) -> Finding:
    """Check that a WebSocket upgrade reaches the gateway."""
    url = it.socket_url
    if it.secure and url.startswith("ws:"):
        return Finding("failed", f"The socket is {url}, which is not encrypted, while the API is.", _SOCKET_URL)
    address = f"{url.rstrip('/')}/websocket?{frames.QUERY}"
    if not url.startswith(("ws:", "wss:")):
        return Finding("failed", f"{url} is no address of a socket; it begins with ws: or wss:.", _SOCKET_URL)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "bm90aWZ5eCBkb2N0b3IhIQ=="}  # fmt: skip
    http = f"http{address.removeprefix('ws')}"
    try:
        async with (
            asyncio.timeout(CHECK_TIMEOUT),
            aiohttp.ClientSession() as session,
            session.get(http, headers=headers, allow_redirects=False) as response,
        ):
            answer = (await response.content.read(1000)).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Finding("failed", to_error(error, url).reason, _SOCKET_URL)
    if response.status == 403 and "token" in answer:
        return Finding("ok", f"{url} is there, and asks for credentials.")
    return Finding(
        "failed", f"{url} answers {response.status} to an upgrade, and should ask for credentials.",
        "A proxy in between has to pass WebSockets on (headers Upgrade and Connection) to the gateway's socket port.",
    )  # fmt: skip


async def origin(it: DoctorRun) -> Finding:
    """Check that pages of this address may use the socket: those of the web client there."""
    own = f"{urlsplit(it.notifyx.url).scheme}://{urlsplit(it.notifyx.url).netloc}"
    url = f"{it.notifyx.url}/socket/longpoll?{frames.QUERY}"
    try:
        async with (
            asyncio.timeout(CHECK_TIMEOUT),
            aiohttp.ClientSession() as session,
            session.get(url, headers={"Origin": own}, allow_redirects=False) as response,
        ):
            answer = (await response.content.read(1000)).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise to_error(error, url) from error
    if "origin" in answer.lower():
        return Finding(
            "failed", f"Browsers that open {own} are refused by the socket: that origin is not allowed.",
            "Set NOTIFYX_PUBLIC_URL of the gateway (in the chart: publicUrl) to the address that people open, or add "
            "this one to NOTIFYX_ALLOWED_ORIGINS.", Exit.REFUSED,
        )  # fmt: skip
    return Finding("ok", f"Pages of {own} may use the socket.")


async def login(it: DoctorRun) -> Finding:
    """Check the credentials."""
    try:
        user = await it.notifyx.me()
    except NotLoggedIn as error:
        advice = f"{refused_advice()} (with --sign-up for a new account)."
        return Finding("failed", error.reason, advice, Exit.NOT_LOGGED_IN)
    it.user_id = user.id
    if not user.email_verified:
        return Finding(
            "warning", f"You are {user.email}, and the address is not verified: email to it waits.",
            "Confirm it: follow the link in the mail you got when you signed up.",
        )  # fmt: skip
    return Finding("ok", f"You are {user.email}.")


async def delivery(it: DoctorRun) -> Finding:
    """Check that a notification is delivered, to the caller's own inbox; it expires after five minutes."""
    key = new_key()
    expires_at = datetime.now(UTC) + timedelta(minutes=5)
    async with it.notifyx.subscribe(USER_CHANNEL) as live:
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT):
                await live.open()
                started = time.monotonic()
                sent = await it.notifyx.send(
                    "me", "Sent by notifyx doctor; nothing to do.", title="Check", priority="low",
                    data={"doctor": key}, expires_at=expires_at,
                )  # fmt: skip
                async for found in live:
                    if found.id == sent.id:
                        break
                took = time.monotonic() - started
        except TimeoutError:
            return Finding(
                "failed", f"What was published did not arrive within {DELIVERY_TIMEOUT:g} s.",
                "Look at the logs of the gateway and the store: the feed between them may be broken.",
            )  # fmt: skip
    await it.notifyx.ack(USER_CHANNEL, seqs=[sent.seq])
    if took > SLOW_SECONDS:
        return Finding("warning", f"Published and delivered, in {took:.1f} s.", "The deployment is busy, or far away.")
    return Finding("ok", f"Published, committed and delivered in {took * 1000:.0f} ms.")


CHECKS: dict[str, Check] = {
    "name": name,
    "tcp": tcp,
    "tls": tls,
    "health": health,
    "ready": ready,
    "platform": platform,
    "api": api,
    "clock": clock,
    "socket": upgrade,
    "origin": origin,
    "login": login,
    "delivery": delivery,
}

INDEPENDENT = frozenset({"ready", "platform", "socket", "origin"})
"""Checks on which no other one depends."""

ADVICE = {
    "mail-server": (
        "Check NOTIFYX_SMTP_HOST, _PORT, _TLS, _CA_FILE, _USERNAME and _PASSWORD of the mailers (in the chart: smtp)."
    ),
    "database": (
        "Check that PostgreSQL runs, and the address and password in NOTIFYX_DATABASE_URL of the services it names (in "
        "the chart: database); their logs have its answer."
    ),
    "memcached": (
        "Check that memcached runs at the address in NOTIFYX_MEMCACHED of the gateways (in the chart: memcached)."
    ),
    "bus": (
        "Check that NATS runs at the address in NOTIFYX_BUS_URL of the stores, and that its user, password, token and "
        "authorities are right (in the chart: bus.nats)."
    ),
    "replica": (
        "Check that the standbys at NOTIFYX_READ_REPLICA_URL of the stores run, follow the primary and are not late, "
        "and that user and password are right (in the chart: database.readReplica)."
    ),
    "service:": (
        "Check that its nodes run and can be reached, that they register where the gateway looks for them "
        "(NOTIFYX_REGISTRY_URLS, or EndpointSlices in a cluster), and that both have the same internal tokens. Their "
        "logs say more."
    ),
    "node:": "Look at the log of that node.",
    "storage": "Give PostgreSQL more disk, or shorten the retention of topics.",
}
"""What to do, by the beginning of a problem's key."""

_LOGS = (
    "Look at the logs of the gateway, and of what it calls: where they say unknown_service, the internal tokens of two "
    "services differ."
)

_SOCKET_URL = (
    "The deployment tells clients this address (NOTIFYX_SOCKET_URL of the gateway, in the chart its ingress and public "
    "URL); where yours differs, by a port-forward say, set NOTIFYX_SOCKET_URL here."
)


async def examine(notifyx: Client) -> AsyncIterator[Finding]:
    """Yield what each check finds, in order."""
    doctor_run = DoctorRun(notifyx)
    for name, check in CHECKS.items():
        yield await doctor_run.run(name, check)


async def _get(it: DoctorRun, path: str) -> tuple[int, str, str]:
    url = it.notifyx.url
    try:
        async with (
            asyncio.timeout(CHECK_TIMEOUT),
            aiohttp.ClientSession() as session,
            session.get(f"{url}{path}", allow_redirects=False) as response,
        ):
            it.date = response.headers.get("Date", "")
            body = (await response.content.read(10_000)).decode("utf-8", "replace")
            return response.status, response.content_type, body
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise to_error(error, url) from error


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
