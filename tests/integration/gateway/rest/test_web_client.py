"""The web client as the gateway serves it: its page, its files, its policy, and what it asks first."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from yarl import URL

from notifyx_common.errors import Unavailable
from notifyx_gateway.rest.routes.web import NONCE
from notifyx_gateway.rest.web_files import PAGE, REASON_FILE
from notifyx_local.postgres import Cluster
from support.gateway import PUBLIC_URL, Stack, running_stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that will have a build."""
    return tmp_path / "dist"


@pytest.fixture
async def stack(postgres: Cluster, folder: Path) -> AsyncIterator[Stack]:
    settings = {"web_folder": folder, "socket_url": "wss://sockets.example.com/socket"}
    async with running_stack(postgres, gateway=settings) as running:
        yield running


def build(folder: Path, text: str = "first") -> None:
    """What a build leaves."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(f"<!doctype html><script nonce={NONCE} src=/assets/{text}.js></script>")
    (folder / "favicon.svg").write_text("<svg/>")
    script = folder / "assets" / f"{text}.js"
    script.write_text(text)
    script.with_name(f"{text}.js.br").write_bytes(b"brotli")
    script.with_name(f"{text}.js.gz").write_bytes(b"gzip")


async def get(stack: Stack, path: str, accepts: str = "") -> tuple[int, dict[str, str], bytes]:
    async with stack.session.get(f"{stack.url}{path}", headers={"Accept-Encoding": accepts}) as response:
        return response.status, dict(response.headers), await response.read()


async def test_without_a_build_the_page_says_why(stack: Stack, folder: Path) -> None:
    status, _, body = await get(stack, "/")
    assert (status, b"The web client is not built." in body, b'href="/dashboard"' in body) == (200, True, True)
    _, headers, body = await get(stack, "/")
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self'; connect-src 'self'" in policy, "its script may fetch the page that takes its place"
    assert "unsafe" not in policy
    assert b'<script src="/front.js" defer>' in body
    status, headers, _ = await get(stack, "/front.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    folder.mkdir()
    (folder / REASON_FILE).write_text("npm ci failed: <no network>")
    assert b"npm ci failed: &lt;no network&gt;" in (await get(stack, "/inbox"))[2]
    assert (await get(stack, "/assets/first.js"))[0] == 404


async def test_a_gateway_that_never_has_a_web_client_does_not_wait_for_one(postgres: Cluster) -> None:
    async with running_stack(postgres) as other:
        _, headers, body = await get(other, "/")
        assert b"NOTIFYX_WEB_FOLDER names no build" in body
        assert b"script" not in body
        assert "script-src" not in headers["Content-Security-Policy"]


async def test_its_page_is_at_its_own_addresses_with_a_policy_of_its_own(stack: Stack, folder: Path) -> None:
    build(folder)
    nonces = set()
    for path in ("/", "/sign-in", "/sign-up", "/inbox", "/topics", "/topics/a.b/settings", "/messages", "/account"):
        status, headers, body = await get(stack, path)
        assert (status, headers["Cache-Control"]) == (200, "no-cache"), path
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert "connect-src 'self' wss://sockets.example.com;" in policy
        assert "frame-ancestors 'none'" in policy
        nonce = re.search(r"'nonce-([\w-]+)'", policy)
        assert nonce is not None
        assert f"nonce={nonce.group(1)}".encode() in body
        nonces.add(nonce.group(1))
    assert len(nonces) == 8
    for path in ("/inbox/more", "/anything", "/api/v1/nothing"):
        assert (await get(stack, path))[0] == 404
    await _a_browser_gets_a_page_where_nothing_is(stack)
    await _a_browser_gets_a_page_of_what_is_wrong(stack)
    assert "default-src 'none'; style-src" in (await get(stack, "/verify-email"))[1]["Content-Security-Policy"]


async def _a_browser_gets_a_page_of_what_is_wrong(stack: Stack) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    unavailable = Unavailable("Nobody <knows>.", retry_after=7)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stack.gateway.collector, "snapshot", AsyncMock(side_effect=unavailable))
        for headers, kind in ((browser, "text/html"), ({"Accept": "*/*"}, "application/problem+json")):
            async with stack.session.get(f"{stack.url}/dashboard", headers=headers) as response:
                assert (response.status, response.content_type) == (503, kind)
                assert (response.headers["Retry-After"], response.headers["Cache-Control"]) == ("7", "no-store")
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                text = await response.text()
            if kind == "text/html":
                assert ("Nobody &lt;knows&gt;." in text, '<a href="">Try again</a>' in text) == (True, True), text
    async with stack.session.post(f"{stack.url}/unsubscribe/done", headers=browser) as response:
        assert (response.status, response.content_type, "GET" in response.headers["Allow"]) == (405, "text/html", True)
        assert "Try again" not in await response.text()
    async with stack.session.get(f"{stack.url}/api/v1/me", headers=browser) as response:
        assert (response.status, response.content_type) == (401, "application/problem+json"), "the API is for programs"


async def _a_browser_gets_a_page_where_nothing_is(stack: Stack) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for path in ("/nowhere", "/help", "/inbox/more"):
        async with stack.session.get(f"{stack.url}{path}", headers={"Accept": browser}) as response:
            assert (response.status, response.content_type, response.headers["Vary"]) == (404, "text/html", "Accept")
            text = await response.text()
        assert "There is nothing at this address" in text
        assert '<a href="/">' in text
    for path, location in (
        ("/inbox/", "/inbox"),
        ("/topics//?q=a%20b&x=%C3%A9", "/topics?q=a%20b&x=%C3%A9"),
        ("/api/v1/docs/", "/api/v1/docs"),
        ("/api/v1/topics/%0d%0aX/", "/api/v1/topics/%0D%0AX"),
    ):
        url = URL(f"{stack.url}{path}", encoded=True)
        async with stack.session.get(url, headers={"Accept": browser}, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, location), path
        async with stack.session.post(url, headers={"Accept": browser}, allow_redirects=False) as response:
            assert response.status == 404, path
    for path in ("//", "//evil.example/", "/\\\\evil.example/", "/nowhere/"):  # it leads nowhere else
        url = URL(f"{stack.url}{path}", encoded=True)
        async with stack.session.get(url, headers={"Accept": browser}, allow_redirects=False) as response:
            assert "Location" not in response.headers, path
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        async with stack.session.get(f"{stack.url}/nowhere", headers={"Accept": accept}) as response:
            assert (response.status, response.content_type) == (404, "application/problem+json"), accept


@pytest.mark.parametrize(
    ("accepts", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"brotli"),
        ("gzip;q=0.8, br;q=0", "gzip", b"gzip"),
        ("", None, b"first"),
        ("zstd", None, b"first"),
    ],
)
async def test_its_files_are_kept_for_good_and_sent_compressed(
    stack: Stack, folder: Path, accepts: str, coding: str | None, body: bytes
) -> None:
    build(folder)
    status, headers, answer = await get(stack, "/assets/first.js", accepts)
    assert (status, headers.get("Content-Encoding"), answer) == (200, coding, body)
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Vary"] == "Accept-Encoding"


async def test_nothing_else_is_served_from_its_folder(stack: Stack, folder: Path) -> None:
    build(folder)
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "assets" / "link.txt").write_text("fine")
    for path in ("/assets/../secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/assets//etc/passwd", "/assets/"):
        assert (await get(stack, path))[0] == 404, path


async def test_a_newer_build_is_served_beside_what_windows_of_the_older_one_still_load(
    stack: Stack, folder: Path
) -> None:
    build(folder)
    assert b"/assets/first.js" in (await get(stack, "/"))[2]
    for file in (folder / "assets").iterdir():
        file.unlink()
    build(folder, "second")
    assert b"/assets/second.js" in (await get(stack, "/"))[2]
    assert (await get(stack, "/assets/second.js"))[2] == b"second"
    assert (await get(stack, "/assets/first.js"))[2] == b"first"


async def test_what_a_client_asks_first(postgres: Cluster, stack: Stack) -> None:
    expected = {"socket_url": "wss://sockets.example.com/socket", "sign_up": True, "email": None, "api_version": "1"}
    answer = await stack.ok("GET", "/config")
    assert answer == {**expected, "version": version("notifyx-gateway")}
    mailer = {"smtp_host": "127.0.0.1", "smtp_port": 2525, "smtp_tls": "none"}
    async with running_stack(postgres, gateway={"sign_up": False}, mailer=mailer) as other:
        answer = await other.ok("GET", "/config")
        assert (answer["sign_up"], answer["email"]) == (False, True)
        assert answer["socket_url"].startswith(PUBLIC_URL.replace("http", "ws"))


async def test_what_one_acknowledged_can_be_read_back(stack: Stack) -> None:
    ada, bob = await stack.person("ada"), await stack.person("bob")
    await stack.ok("POST", "/topics", ada, json={"name": "t"})
    await stack.ok("PUT", "/topics/t/subscription", bob, json={})
    for number in range(6):
        await stack.ok("POST", "/topics/t/notifications", ada, json={"title": str(number)})
    await stack.ok("POST", "/topics/t/acks", bob, json={"seqs": [1, 3, 5, 6]})
    assert await stack.ok("GET", "/topics/t/acks", bob) == {
        "acked_up_to": 1,
        "seqs": [3, 5, 6],
        "next": None,
        "revision": 0,
    }
    assert (await stack.ok("GET", "/topics/t/acks?after=3&before=6", bob))["seqs"] == [5]
    assert await stack.ok("GET", "/topics/t/acks", ada) == {"acked_up_to": 0, "seqs": [], "next": None, "revision": 0}
    assert (await stack.call("GET", "/topics/t/acks?after=x", bob)).code == "validation_failed"
    assert (await stack.call("GET", "/topics/none/acks", bob)).status == 404
    await stack.ok("PATCH", "/topics/t", ada, json={"visibility": "private"})
    assert (await stack.call("GET", "/topics/t/acks", bob)).status == 404
