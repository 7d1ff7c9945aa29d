"""The local mailbox: as a process over real SMTP, and its pages."""

from __future__ import annotations

import asyncio
import re
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifyx_common.serving import appearance
from notifyx_local.ports import free_port
from notifyx_mailbox.messages import Mailbox
from notifyx_mailbox.pages import create_mailbox_app
from support.measured import python
from support.patience import PATIENCE


class Running:
    """A mailbox process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp, self.http = free_port(), free_port()
        self.ready = folder.with_name("ready.json")
        self.process = subprocess.Popen(
            [
                *python(), "-m", "notifyx_mailbox.app", "--smtp-port", str(self.smtp),
                "--http-port", str(self.http), "--folder", str(folder),
            ],
            env={"NOTIFYX_READY_FILE": str(self.ready)},
        )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while not self.ready.exists():
            assert self.process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)

    def send(self, message: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=PATIENCE) as client:
            client.send_message(message)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "mail")
    try:
        yield running
    finally:
        running.stop()


def mail(subject: str = "Hello", text: str = "Text", html: str | None = "<p>Html</p>") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Notifyx <notifyx@localhost>"
    message["To"] = "Ada <ada@example.com>"
    message["Subject"] = subject
    message["Message-ID"] = "<1@notifyx>"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


async def test_what_is_sent_can_be_read(mailbox: Running) -> None:
    for number in range(3):
        await asyncio.to_thread(mailbox.send, mail(f"Grüße {number}", "Bonjour à tous"))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{mailbox.http}") as session:
        async with session.get("/api/messages") as response:
            listed = await response.json()
        assert [one["subject"] for one in listed] == ["Grüße 2", "Grüße 1", "Grüße 0"], "newest first"
        assert listed[0]["sender"] == "Notifyx <notifyx@localhost>"
        assert listed[0]["recipients"] == "Ada <ada@example.com>"
        assert listed[0]["message_id"] == "<1@notifyx>"
        async with session.get("/api/messages?limit=1") as response:
            assert [one["id"] for one in await response.json()] == [listed[0]["id"]]
        async with session.get(f"/api/messages/{listed[0]['id']}") as response:
            whole = await response.json()
        assert whole["text"].strip() == "Bonjour à tous"
        assert whole["html"].strip() == "<p>Html</p>"
        assert ["Subject", "Grüße 2"] in whole["headers"]
        for path in ("/", f"/messages/{listed[0]['id']}"):
            async with session.get(path) as response:
                assert "Grüße 2" in await response.text()
        async with session.delete("/api/messages") as response:
            assert response.status == 204
        async with session.get("/api/messages") as response:
            assert await response.json() == []
    assert mailbox.folder.stat().st_mode & 0o077 == 0, "mail holds links that are as good as passwords"


async def test_mail_survives_a_restart_of_the_mailbox(tmp_path: Path) -> None:
    first = Running(tmp_path / "mail")
    await asyncio.to_thread(first.send, mail("Kept"))
    first.process.kill()
    first.process.wait(PATIENCE)
    first.ready.unlink()
    second = Running(tmp_path / "mail")
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{second.http}/api/messages") as response,
        ):
            assert [one["subject"] for one in await response.json()] == ["Kept"]
    finally:
        second.stop()


def test_a_taken_port_is_one_sentence(tmp_path: Path, mailbox: Running) -> None:
    command = [
        sys.executable, "-m", "notifyx_mailbox.app", "--smtp-port", str(mailbox.smtp),
        "--http-port", str(free_port()), "--folder", str(tmp_path / "other"),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 2
    assert f":{mailbox.smtp}" in result.stderr
    assert "--smtp-port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_message_that_is_too_large_is_refused(mailbox: Running) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        mailbox.send(mail("Large", "x" * 900 + "\n" + ("y" * 900 + "\n") * 12_000))
    assert caught.value.smtp_code == 552


EVIL = (
    '<html><head class="x"><title>t</title></head><body><script>alert(1)</script><a href="http://x">y</a></body></html>'
)


async def test_nothing_of_a_message_runs(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    name = box.add(mail("<script>alert(1)</script>", "<b>no</b> http://127.0.0.1/x", EVIL).as_bytes())
    client = create_mailbox_app(box).test_client()
    page = await client.get(f"/messages/{name}", headers={"Host": "127.0.0.1:4025"})
    text = await page.get_data(as_text=True)
    assert "<script>alert" not in text
    assert "&lt;b&gt;no&lt;/b&gt;" in text
    assert re.search(r">[-0-9]{10} [:0-9]{8} UTC</time>", text), "as in the list"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    frame = await client.get(f"/messages/{name}/html", headers={"Host": "localhost:4025"})
    policy = frame.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert '<head class="x"><base target="_blank">' in await frame.get_data(as_text=True)
    assert frame.headers["X-Content-Type-Options"] == "nosniff"


def test_a_decoded_header_stays_one_line(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    name = box.add(b"Subject: =?utf-8?q?Hi=0D=0ABcc:_v=E2=80=A8X:_y@example.com?=\r\nTo: a@b\r\n\r\ntext")
    content = box.get(name)
    assert content is not None
    assert content.summary.subject.split() == ["Hi", "Bcc:", "v", "X:", "y@example.com"]
    assert len(content.summary.subject.splitlines()) == 1
    assert all(len(value.splitlines()) == 1 for _, value in content.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:4025"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Host": ""},
        {"Host": "[::2]:4025"},
        {"Host": "[::1].evil.example"},
        {"Host": "127.0.0.1:evil.example"},
    ],
)
async def test_a_page_from_elsewhere_reads_and_deletes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    box = Mailbox(tmp_path)
    box.add(mail().as_bytes())
    client = create_mailbox_app(box).test_client()
    headers = {"Host": "127.0.0.1:4025", **headers}
    assert (await client.get("/api/messages", headers=headers)).status_code == 403
    assert (await client.delete("/api/messages", headers=headers)).status_code == 403
    assert len(box.newest()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:4025", "localhost", "[::1]:4025", "[::1]"])
async def test_every_name_of_this_machine_is_its_own(tmp_path: Path, host: str) -> None:
    client = create_mailbox_app(Mailbox(tmp_path)).test_client()
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        assert (await client.get("/api/messages", headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["nothing", "1-1", "..", "..%2f..%2fsecrets", "1/../../x", "٣-٣", "-", "1" * 500])
async def test_what_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    client = create_mailbox_app(Mailbox(tmp_path / "mail")).test_client()
    for path in (f"/messages/{name}", f"/messages/{name}/html", f"/api/messages/{name}", f"/static/{name}"):
        response = await client.get(path, headers={"Host": "localhost"})
        assert response.status_code == 404, path


def test_the_oldest_go_past_the_bound(tmp_path: Path) -> None:
    box = Mailbox(tmp_path, limit=3)
    for number in range(5):
        box.add(mail(str(number)).as_bytes())
    assert [one.subject for one in box.newest()] == ["4", "3", "2"]
    assert len(list(tmp_path.iterdir())) == 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.lists(
        st.tuples(
            st.sampled_from([b"From", b"To", b"Subject", b"Message-ID", b"Content-Type", b"Date", b"X", b""]),
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from(
                    [
                        b"text/html; charset=nonsense",
                        b"multipart/alternative; boundary=b",
                        b"=?utf-8?b?!?=",
                        b"<@",
                        b"a@[",
                        b"<",
                    ]
                ),
            ),
        ),
        max_size=5,
    ),
    body=st.binary(max_size=60),
)
async def test_any_bytes_can_be_listed_and_shown(tmp_path: Path, head: list[tuple[bytes, bytes]], body: bytes) -> None:
    box = Mailbox(tmp_path)
    name = box.add(b"".join(key + b": " + value + b"\r\n" for key, value in head) + b"\r\n" + body)
    client = create_mailbox_app(box).test_client()
    for path in ("/", "/api/messages", f"/messages/{name}", f"/api/messages/{name}"):
        response = await client.get(path, headers={"Host": "localhost:1"})
        assert response.status_code == 200, path
    assert (await client.get(f"/messages/{name}/html", headers={"Host": "localhost:1"})).status_code in (200, 404)
    box.clear()


async def test_the_list_is_searched_counted_and_paged(tmp_path: Path) -> None:
    box = Mailbox(tmp_path, limit=60)
    for number in range(65):
        box.add(mail(f"Disk {number}" if number % 2 else f"Version {number}").as_bytes())
    client = create_mailbox_app(box, "http://127.0.0.1:4000").test_client()

    async def shown(path: str) -> str:
        return await (await client.get(path, headers={"Host": "localhost:4025"})).get_data(as_text=True)

    first, last = await shown("/"), await shown("/?page=2")
    assert "60 mails, of which you see 1 to 50. Older ones than the newest 60 were removed." in first
    assert ("Version 64" in first, "Disk 5<" in first, "Disk 5<" in last) == (True, False, True)
    assert 'href="http://127.0.0.1:4000"' in first, "the way back to the web client"
    found = await shown("/?q=DISK%20ada")
    assert ("30 of 60 mails have" in found, "Disk 63" in found, "Version 64" in found) == (True, True, False)
    assert "Page 1 of" not in found
    assert "1 of 60 mails has" in await shown("/?q=Version%2064")
    assert "0 of 60 mails have “&lt;b&gt;”" in await shown("/?q=%3Cb%3E&page=7")
    style = await shown("/static/mailbox.css")
    assert style.startswith(appearance.STYLE)


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/messages/nope", "This mail is gone"),
        ("/messages/nope/html", "This mail is gone"),
        ("/nowhere", "There is nothing at this address"),
    ],
)
async def test_what_is_not_there_is_a_page_with_a_way_back(tmp_path: Path, path: str, heading: str) -> None:
    client = create_mailbox_app(Mailbox(tmp_path / "mail")).test_client()
    response = await client.get(path, headers={"Host": "localhost"})
    page = await response.get_data(as_text=True)
    assert response.status_code == 404
    assert f"<h1>{heading}</h1>" in page
    assert '<a href="/">All mail</a>' in page
    assert appearance.MARK in page
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_a_program_gets_json_for_what_is_not_there(tmp_path: Path) -> None:
    client = create_mailbox_app(Mailbox(tmp_path / "mail")).test_client()
    response = await client.get("/api/messages/nope", headers={"Host": "localhost"})
    assert (response.status_code, response.content_type) == (404, "application/json")
