"""Requests that this server and a proxy in front of it could read in two ways, and those that change the protocol.

Behind a proxy that believes the other reading, what follows would be answered to another client.
"""

from __future__ import annotations

import pytest

from support.http_port import BOTH_WAYS, HEAD, rest, serving

pytestmark = pytest.mark.xdist_group("abuse")

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
END = b"0\r\n\r\n"

AMBIGUOUS = {
    "length-and-coding": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "coding-and-length": CHUNKED + b"Content-Length: 4\r\n\r\n" + END,
    "other-lengths": POST + b"Content-Length: 0\r\nContent-Length: 3\r\n\r\nabc",
    "same-length-twice": POST + b"Content-Length: 3\r\nCONTENT-LENGTH: 3\r\n\r\nabc",
    "length-in-a-list": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "length-with-a-sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "length-in-hex": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "length-with-an-underscore": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "empty-length": POST + b"Content-Length: \r\n\r\n",
    "space-before-the-colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "space-before-a-header": POST + b" Content-Length: 3\r\n\r\nabc",
    "folded-coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END,
    "folded-value": POST + b"X-A: b\r\n\tTransfer-Encoding: chunked\r\n\r\n" + END,
    "bare-lf-in-a-value": POST + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "bare-lf-after-the-request-line": b"POST / HTTP/1.1\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "bare-lf-ends-the-head": POST + b"Content-Length: 3\r\n\n\r\nabc",
    "bare-lf-everywhere": b"POST / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc",
    "bare-cr": POST + b"X-A: b\rTransfer-Encoding: chunked\r\n\r\n" + END,
    "nul": POST + b"X-A: b\0c\r\n\r\n",
    "two-hosts": POST + b"Host: y\r\n\r\n",
    "no-host": b"POST / HTTP/1.1\r\n\r\n",
    "coding-of-1.0": b"POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    + END,
    "other-coding": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "two-codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END,
    "coding-twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n" + END,
    "coding-with-an-odd-space": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + END,
    "chunk-without-length": CHUNKED + b"\r\n;x\r\n\r\n" + END,
    "chunk-with-a-sign": CHUNKED + b"\r\n+3\r\nabc\r\n" + END,
    "chunk-in-0x": CHUNKED + b"\r\n0x3\r\nabc\r\n" + END,
    "chunk-of-bare-lf": CHUNKED + b"\r\n3\nabc\r\n" + END,
    "extension-with-a-bare-lf": CHUNKED + b"\r\n3;a\nb\r\nabc\r\n" + END,
    "long-extension": CHUNKED + b"\r\n3;" + b"a" * 300 + b"\r\nabc\r\n" + END,
    "chunk-that-is-longer": CHUNKED + b"\r\n3\r\nabcd\r\n" + END,
    "chunk-that-ends-with-lf": CHUNKED + b"\r\n3\r\nabc\n" + END,
    "body-that-ends-with-lf": CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\n",
    "trailers-with-a-bare-lf": CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX-A: b\nX-B: c\r\n\r\n",
    "many-small-chunks": CHUNKED + b"\r\n" + b"1\r\na\r\n" * 5000 + END,
    "many-headers": POST + b"".join(b"a%d:\r\n" % number for number in range(200)) + b"\r\n",
    "many-parameters": b"GET /?" + b"a&" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@BOTH_WAYS
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_answered(directly: bool) -> None:
    async with serving(directly=directly) as server:
        for name, sent in AMBIGUOUS.items():
            client = await server.open(sent + SMUGGLED)
            client[1].write_eof()
            got = await rest(client)
            client[1].close()
            assert got.count(b"HTTP/1.1 ") == 1, f"{name}: {got!r}"
            assert got[9:12] in (b"400", b"414", b"431", b"501"), f"{name}: {got!r}"
            assert b"\r\nconnection: close\r\n" in got.lower(), f"{name}: {got!r}"


@BOTH_WAYS
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
async def test_a_body_in_chunks_is_whole_however_it_comes(directly: bool, size: int) -> None:
    sent = (
        CHUNKED
        + b"Trailer: X-A\r\n\r\n3\r\nabc\r\n0005;name=value\r\n\r\n\r\n\r\r\nA ; x\r\n0123456789\r\n"
        + b"2\r\nyz\r\n00\r\nX-A: b\r\nX-B: c\r\n\r\n"
    )
    async with serving(directly=directly) as server:
        reader, writer = await server.open()
        for start in range(0, len(sent + SMUGGLED), size):
            writer.write((sent + SMUGGLED)[start : start + size])
            await writer.drain()
        assert b"\r\n\r\n20" in await reader.readuntil(b"\r\n\r\n20")
        assert b"\r\n\r\nhere" in await reader.readuntil(b"\r\n\r\nhere")
        writer.close()


@BOTH_WAYS
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b"200"),
        (HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"200"),
        (HEAD + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", b"200"),
        (HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", b"200"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b"404"),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n", b"404"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n", b"404"),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n", b"200"),
        (b"PRI * HTTP/2.0\r\nHost: x\r\n", b"505"),
    ],
)  # fmt: skip
async def test_no_request_changes_the_protocol(head: bytes, status: bytes, directly: bool) -> None:
    async with serving(directly=directly) as server:
        reader, writer = await server.open(head + b"\r\n")
        line = await reader.readline()
        assert line.startswith(b"HTTP/1.1 " + status), line
        writer.close()
