"""Which requests are simple enough to be answered without the library that knows all of HTTP."""

from __future__ import annotations

import time

import pytest

from notifyx_common.serving.direct_request import DirectRequest, read_direct

HEAD = b"POST /api/v1/topics/a/notifications?limit=2&q= HTTP/1.1\r\nHost: x\r\nContent-Type: Application/JSON; a=b\r\n"
BODY = b"Content-Length: 2\r\n\r\n{}"


def read(data: bytes) -> tuple[DirectRequest, int] | None:
    return read_direct(data, "192.0.2.1", "http")


def test_a_simple_request_is_read() -> None:
    found = read(HEAD + BODY + b"GET /next")
    assert found is not None
    request, size = found
    assert size == len(HEAD + BODY)
    assert (request.method, request.path, request.remote_addr) == (
        "POST",
        "/api/v1/topics/a/notifications",
        "192.0.2.1",
    )
    assert dict(request.args) == {"limit": "2", "q": ""}
    assert (request.mimetype, request.mimetype_params) == ("application/json", {"a": "b"})
    assert (request.body, request.content_length) == (b"{}", 2)
    assert (request.headers.get("HOST"), request.headers.get("Origin")) == ("x", None)
    assert request.headers.getlist("Content-length") == ["2"]


def test_the_size_says_what_of_a_body_is_missing() -> None:
    found = read(HEAD + BODY[:-1])
    assert found is not None
    assert found[1] == len(HEAD + BODY)
    assert found[0].content_length == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD.replace(b"1.1", b"1.0") + BODY,
        HEAD.replace(b"1.1", b"2.0") + BODY,
        HEAD.replace(b"POST", b"HEAD") + BODY,
        HEAD.replace(b"POST", b"post") + BODY,
        HEAD.replace(b"POST ", b"POST  ") + BODY,
        HEAD.replace(b"/api", b"http://x/api") + BODY,
        HEAD.replace(b"/a/", b"/a%2Fb/") + BODY,
        HEAD.replace(b"/a/", b"/\xc3\xa4/") + BODY,
        HEAD.replace(b"q=", b"q=%41") + BODY,
        HEAD.replace(b"q=", b"q=a+b") + BODY,
        HEAD.replace(b"q=", b"q=a#b") + BODY,
        HEAD.replace(b"q=", b"q=" + b"x" * 600) + BODY,
        HEAD.replace(b"\r\n", b"\n") + BODY,
        HEAD.replace(b"Host: x\r\n", b"") + BODY,
        HEAD.replace(b"Host:", b"Host :") + BODY,
        HEAD.replace(b"Host:", b" Host:") + BODY,
        HEAD + b"Host: y\r\n" + BODY,
        HEAD + b"host: x\r\n" + BODY,
        HEAD + b"X-A: a\r\n b\r\n" + BODY,
        HEAD + b"X-A: \xe4\r\n" + BODY,
        HEAD + b"X-A: \x00\r\n" + BODY,
        HEAD + b"X-A: a\rb\r\n" + BODY,
        HEAD + b": a\r\n" + BODY,
        HEAD + b"Content-Length: 2\r\n" + BODY,
        HEAD + b"Transfer-Encoding: chunked\r\n" + BODY,
        HEAD + b"Expect: 100-continue\r\n" + BODY,
        HEAD + b"Connection: close\r\n" + BODY,
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + BODY,
        HEAD + BODY.replace(b" 2", b" +2"),
        HEAD + BODY.replace(b" 2", b" 2, 2"),
        HEAD + BODY.replace(b" 2", b" "),
        HEAD + BODY.replace(b" 2", b" -1"),
        HEAD + BODY.replace(b" 2", b" 0x2"),
    ],
)
def test_all_else_is_left_to_the_library(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize("part", [b"a: " + b" " * 60_000 + b"\x00", b"a:\r\n" * 15_000 + b"\x00", b"a" * 60_000])
def test_what_is_not_simple_takes_no_longer(part: bytes) -> None:
    started = time.process_time()
    assert read(HEAD + part + b"\r\n" + BODY) is None
    assert time.process_time() - started < 1  # one step a byte takes a millisecond, one for each pair of bytes 5 s
