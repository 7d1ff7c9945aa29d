"""Guesses of a password: how many there are in an hour, and that they lock nobody out."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from pathlib import Path

import argon2
import asyncpg
import pytest

from notifyx_auth.base.errors import HashingBusy
from notifyx_auth.service import CONCURRENT_DEVICES
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_common.metrics import Metrics, PoolUsage
from notifyx_local.postgres import Cluster
from support.auth import Answer, RunningAuth, auth_settings, running_auth
from support.command import Shell
from support.gateway import running_stack
from support.patience import PATIENCE, until
from support.platform import PASSWORD
from support.postgres import sessions

HOUR = 3600
ALLOWED = 100
"""Wrong passwords for one account in an hour (OWASP ASVS 2.2.1)."""


async def guess(auth: RunningAuth, address: str) -> Answer:
    return await auth.sign_in(password="a wrong password", address=address)


async def test_a_flood_of_guesses_from_one_address_gets_few_and_locks_nobody_out(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        tried = 0
        for _ in range(HOUR // 10):
            tried += (await guess(auth, "192.0.2.1")).status == 400
            auth.clock.move(seconds=10)
        assert tried <= ALLOWED / 2
        while (await guess(auth, "192.0.2.1")).status == 400:
            pass
        assert (await auth.sign_in(address="192.0.2.1")).status == 429, "who shares the stranger's address waits"
        assert (await auth.sign_in(address="198.51.100.7")).status == 200, "a new device of the person"


async def test_guesses_from_everywhere_are_few_and_the_persons_devices_still_sign_in(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        device = (await auth.sign_in(address="198.51.100.7")).data["device_token"]
        assert isinstance(device, str)
        tried = 0
        for second in range(0, HOUR, 10):
            tried += (await guess(auth, f"192.0.2.{second % 200}")).status == 400
            if second % 600 == 0:
                signed_in = await auth.sign_in(address="198.51.100.7", device_token=device)
                assert (signed_in.status, signed_in.data["device_token"]) == (200, device)
            auth.clock.move(seconds=10)
        assert ALLOWED / 2 < tried <= ALLOWED
        while (await guess(auth, "203.0.113.9")).status == 400:
            pass
        assert (await auth.sign_in(address="203.0.113.1")).status == 429, "an unknown device waits with the guesses"


async def test_a_known_device_is_limited_too_and_known_to_its_own_account_alone(database: str) -> None:
    async with running_auth(database, login_account_burst=2) as auth:
        await auth.sign_up()
        await auth.sign_up("eve@example.org")
        device = (await auth.sign_in()).data["device_token"]
        wrong = [(await auth.sign_in(password="wrong one", device_token=device)).status for _ in range(12)]
        assert wrong == [400] * 10 + [429] * 2
        foreign = (await auth.sign_in("eve@example.org")).data["device_token"]
        for token in (foreign, f"nfd_{'x' * 43}", "nonsense", ""):
            auth.clock.move(hours=1)
            guesses = [(await auth.sign_in(password="wrong one", device_token=token)).status for _ in range(3)]
            assert guesses == [400, 400, 429], token
            assert (await auth.sign_in(device_token=device)).status == 200


async def test_signing_out_everywhere_forgets_the_devices(database: str) -> None:
    async with running_auth(database, login_account_burst=1) as auth:
        await auth.sign_up()
        first = await auth.sign_in()
        device = first.data["device_token"]
        assert (await auth.sign_in(device_token=device)).data["device_token"] == device
        body = {"token": first.data["refresh_token"], "everywhere": True}
        assert (await auth.call("POST", "/token/revoke", body)).status == 204
        await guess(auth, "192.0.2.1")
        assert (await auth.sign_in(device_token=device)).status == 429


async def test_retry_after_is_when_the_next_attempt_is_allowed(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        while (refused := await guess(auth, "192.0.2.1")).status == 400:
            auth.clock.move(seconds=0.5)
        wait = int(refused.headers["Retry-After"])
        assert 100 < wait <= 120
        assert refused.data["retry_after"] <= wait == math.ceil(refused.data["retry_after"])
        assert refused.data["limit"] == {"name": "sign-ins-by-address", "burst": 10, "window": 1200.0}
        assert refused.headers["RateLimit-Policy"] == '"sign-ins-by-address";q=10;w=1200'
        assert refused.headers["RateLimit"] == f'"sign-ins-by-address";r=0;t={wait}'
        auth.clock.move(seconds=refused.data["retry_after"] - 0.5)
        assert (await auth.sign_in(address="192.0.2.1")).status == 429
        auth.clock.move(seconds=0.5)
        assert (await auth.sign_in(address="192.0.2.1")).status == 200, "a right password does not count"
        assert (await auth.sign_in(address="192.0.2.1")).status == 200


@pytest.mark.parametrize("addresses", [1, 41])
async def test_a_flood_of_hashes_costs_others_a_doubling_and_one_hash(
    addresses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = auth_settings("postgresql://nobody@localhost/nothing", hash_threads=1, hash_queue=40)
    done: list[str] = []
    all_wait = threading.Event()
    verify = argon2.PasswordHasher.verify

    def verify_later(hasher: argon2.PasswordHasher, stored: str, password: str) -> bool:
        """No hash is done before all who come have their places: otherwise the machine decides who finds one."""
        all_wait.wait(PATIENCE)
        return verify(hasher, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify_later)

    async def hashed(name: str, turn: Turn) -> None:
        try:
            await passwords.verify(None, "a wrong password", turn)
            done.append(name)
        except HashingBusy as busy:
            done.append("refused" if busy.retry_after else "refused without a time")

    async with Passwords(settings, Metrics()) as passwords:
        turns = [Turn(f"192.0.2.{number % addresses}") for number in range(41)]
        flood = [asyncio.create_task(hashed("flood", turn)) for turn in turns]
        await asyncio.sleep(0)
        stranger = asyncio.create_task(hashed("stranger", Turn("198.51.100.1")))
        devices = [asyncio.create_task(hashed("known", Turn(f"user {number}", known=True))) for number in range(5)]
        await asyncio.sleep(0)
        all_wait.set()
        await asyncio.gather(*flood, stranger, *devices)
        assert done.count("refused") == 1, "the newest of one address, else the stranger"
        hashes = [name for name in done if name != "refused"]
        assert [place for place, name in enumerate(hashes) if name == "known"][-1] <= 2 * 5
        if addresses == 1:
            assert hashes.index("stranger") <= 4


async def test_a_known_device_signs_in_through_a_flood_from_everywhere(database: str) -> None:
    async with running_auth(database, argon2_memory_kib=65536, hash_threads=1, hash_queue=1, hash_timeout=60) as auth:
        await auth.sign_up()
        device = (await auth.sign_in()).data["device_token"]
        flood = [auth.sign_in(f"{number}@example.org", address=f"192.0.2.{number}") for number in range(30)]
        known = auth.sign_in(address="203.0.113.5", device_token=device)
        answers = await asyncio.gather(*flood, known)
        assert answers[-1].status == 200
        # How many are refused depends on the machine.
        refused = [answer for answer in answers if answer.status == 429]
        assert all(answer.data["code"] == "busy" for answer in refused)
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)


async def test_who_finds_no_place_is_refused_before_anything_is_read(database: str) -> None:
    blocker = await asyncpg.connect(database)
    async with running_auth(database, hash_threads=1, hash_queue=1, hash_timeout=60) as auth:
        await auth.sign_up()
        device = (await auth.sign_in()).data["device_token"]
        usage = auth.service.passwords.usage
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE users, devices, login_attempts")
            waiting = [asyncio.create_task(auth.sign_in(address=f"192.0.2.{number}")) for number in range(2)]
            await until(lambda: usage() == PoolUsage(1, 1, waiting=1))
            other = {"email": "eve@example.org", "password": PASSWORD, "name": "Eve"}
            async with asyncio.timeout(PATIENCE):
                for refused in [
                    await auth.sign_in(address="198.51.100.1"),
                    await auth.sign_in("nobody@example.org", address="198.51.100.2", device_token="nonsense"),
                    await auth.call("POST", "/users?address=198.51.100.3", other),
                ]:
                    assert (refused.status, refused.data["code"]) == (429, "busy")
                    assert int(refused.headers["Retry-After"]) >= 1
            invented = [
                asyncio.create_task(auth.sign_in(address=f"203.0.113.{number}", device_token=f"nfd_{number:043}"))
                for number in range(10)
            ]
            known = asyncio.create_task(auth.sign_in(address="198.51.100.4", device_token=device))
            await until(lambda: auth.auth.device_turns.usage().waiting == 7)
            assert await sessions(blocker, "wait_event_type = 'Lock'") <= 1 + CONCURRENT_DEVICES
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]
        assert (await known).status == 200
        assert {answer.status for answer in await asyncio.gather(*invented)} <= {200, 429}
    await blocker.close()


async def test_the_command_line_signs_in_on_its_device_through_guesses_from_elsewhere(
    postgres: Cluster, tmp_path: Path
) -> None:
    person, given = ("--email", "ann@example.com", "--password-stdin"), f"{PASSWORD}\n"
    form = {"grant_type": "password", "username": "ann@example.com"}
    async with running_stack(postgres, gateway={"trusted_proxies": ("127.0.0.1",)}) as stack:
        await stack.ready()
        shell = Shell(stack.url, tmp_path)
        await shell.run("login", "--sign-up", *person, "--name", "Ann", stdin=given)
        (stored,) = json.loads(shell.token_file.read_text())["devices"].values()
        for number in range(45):
            await stack.call(
                "POST",
                "/token",
                data={**form, "password": "a wrong password"},
                headers={"X-Forwarded-For": f"192.0.2.{number}"},
            )
        unknown = await stack.call("POST", "/token", data={**form, "password": PASSWORD, "device_token": ""})
        assert unknown.status == 429
        await shell.run("login", *person, stdin=given)
        assert list(json.loads(shell.token_file.read_text())["devices"].values()) == [stored]
