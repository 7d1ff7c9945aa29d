"""What the nemesis makes of memcached's answers: values that open where nothing is sealed, and mean another thing."""

from __future__ import annotations

import contextlib

import orjson
import pytest

from chaos.histories.forged_values import LATER, ForgedConnection, Forger
from chaos.histories.mutations import BY_NAME
from notifyx_common.caching.sealing import Entry, Seal

NOW = 1_800_000_000.0
SEAL = Seal(b"key")
TOKENS, OTHER = b"sealed:notifyx:limit:tokens:1", b"sealed:notifyx:limit:tokens:2"
ADA, BOB = b"sealed:notifyx:users:a", b"sealed:notifyx:users:b"


def answer(key: bytes, content: bytes, token: bytes = b"") -> bytes:
    stored = SEAL.seal(key, content, NOW + 0.2)
    return b"VALUE %b 0 %d%b\r\n%b\r\nEND\r\n" % (key, len(stored), token, stored)


def read(connection: ForgedConnection, key: bytes, real: bytes, *, gets: bytes = b"get") -> Entry | None:
    """What a gateway opens, after it has checked the key, the length and the token of ``gets``."""
    connection.request(b"%b %b\r\n" % (gets, key))
    forged = connection.forged(real)
    assert forged is not None
    head, _, rest = forged.partition(b"\r\n")
    stored = rest.removesuffix(b"\r\nEND\r\n")
    token = real.partition(b"\r\n")[0].split(b" ")[4:] or [b"0"]
    assert head.split(b" ") == [b"VALUE", key, b"0", b"%d" % len(stored), *(token if gets == b"gets" else [])]
    return SEAL.open(key, stored)


@pytest.mark.parametrize("sealed", [True, False])
def test_only_the_seal_tells_a_forged_value_from_the_right_one(*, sealed: bool) -> None:
    ada, bob = (orjson.dumps({"id": name, "email_verified": True}) for name in ("ada", "bob"))
    with contextlib.nullcontext() if sealed else BY_NAME["seal"].removed("notifyx_common"):
        one, two = (forger := Forger(lambda: NOW)).connection(), forger.connection()
        found = [
            read(one, TOKENS, answer(TOKENS, b"%.6f" % (NOW + 0.5), b" 7"), gets=b"gets"),
            read(two, OTHER, b"END\r\n", gets=b"gets"),
            read(one, ADA, answer(ADA, ada)),
            read(two, BOB, answer(BOB, bob)),
        ]
    until = NOW + 0.2 + LATER
    expected = [
        Entry(b"%.6f" % (NOW + 0.5 + LATER), until),
        Entry(b"%.6f" % (NOW + 0.5 + LATER), until),
        Entry(b'{"id":"ada","email_verified":false}', until),
        Entry(ada, until),
    ]
    assert found == ([None] * 4 if sealed else expected)


def test_what_was_stored_is_forged_where_it_has_expired() -> None:
    with BY_NAME["seal"].removed("notifyx_common"):
        connection = Forger(lambda: NOW).connection()
        stored = SEAL.seal(TOKENS, b"1.500000", 2.0)
        connection.request(b"cas %b 0 1 %d 9\r\n%b\r\n" % (TOKENS, len(stored), stored))
        assert connection.forged(b"STORED\r\n") is None
        found = read(connection, TOKENS, b"END\r\n", gets=b"gets")
    assert found == Entry(b"%.6f" % (NOW + LATER), NOW + LATER)


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (b"get k:1\r\n", b"END\r\n"),
        (b"version\r\n", b"VERSION 1.6\r\n"),
        (b"get %b\r\n" % TOKENS, answer(TOKENS, b"1.5")[:-3]),
        (b"get %b\r\n" % TOKENS, answer(TOKENS, b"1.5") + b"STORED\r\n"),
        (b"get %b\r\n" % OTHER, answer(TOKENS, b"1.5")),
        (b"get %b\r\n" % ADA, answer(ADA, b"null")),
        (b"get %b\r\n" % ADA, answer(ADA, b"no JSON")),
        (b"get %b\r\n" % ADA, answer(ADA, b'{"id": "ada"}')),
        (b"get k\r\n", b"VALUE k 0 3\r\nabc\r\nEND\r\n"),
    ],
)
def test_what_is_no_value_alone_or_has_no_other_stays(request_: bytes, data: bytes) -> None:
    connection = Forger(lambda: NOW).connection()
    connection.request(request_)
    assert connection.forged(data) is None
