"""Accounts for other people's addresses, and what answers tell about accounts."""

from __future__ import annotations

import asyncio
import json

import pytest

from notifyx_auth.base.models import Device, Session, User
from notifyx_auth.users.hash_turns import Turn
from notifyx_auth.users.passwords import Passwords
from notifyx_common.contracts.auth import SIGN_UP, NewApiKey
from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_common.contracts.store.topics import CHANGE_TOPIC
from notifyx_common.errors import InvalidRequest
from notifyx_common.principal import PRINCIPAL_HEADER, Principal
from notifyx_common.reading import parse_json, parse_model
from notifyx_gateway.rest.publish_request import read_publish_request
from notifyx_gateway.rest.requests import PublishBatch
from notifyx_gateway.socket.frames import decode_text
from notifyx_local.postgres import Cluster
from support.auth import PASSWORD, running_auth
from support.gateway import running_stack, service_token
from support.patience import PATIENCE
from support.smtp import running_smtp

THIEF = "the password of a thief"
OWNER = "the password of the owner"


async def test_an_account_that_a_stranger_made_is_not_verified_with_the_strangers_password(database: str) -> None:
    async with running_auth(database) as auth:
        thief = await auth.signed_in(await auth.sign_up("ada@example.org", THIEF), THIEF)
        refresh_token = (await auth.sign_in("ada@example.org", THIEF)).data["refresh_token"]
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=thief)).data["key"]
        hook = (await auth.call("POST", "/hooks", {"topic": "t", "kind": "github", "name": "h"}, as_=thief)).data
        opening = {"hook_id": hook["id"], "secret": hook["secret"].rpartition(f"{hook['id']}_")[2]}
        assert (await auth.call("POST", "/hooks:open", opening)).status == 200
        token = (await auth.call("POST", "/me/verification", as_=thief)).data["token"]
        # The mailbox alone proves nothing about the password, and a wrong one does not spend the link.
        for proof in ({}, {"password": "a guess"}, {"new_password": "password1"}):
            refused = await auth.call("POST", "/verify", {"token": token, **proof})
            assert refused.data["code"] in ("wrong_password", "weak_password")
            assert not (await User.get(id=thief.id)).email_verified
        verified = await auth.call("POST", "/verify", {"token": token, "new_password": OWNER})
        assert (verified.status, verified.data["email_verified"]) == (200, True)
        assert (await auth.sign_in("ada@example.org", THIEF)).status == 400
        assert (await auth.refresh(refresh_token)).status == 400
        assert (await auth.call("POST", "/api-keys:verify", {"key": key})).status == 401
        assert (await auth.call("POST", "/hooks:open", opening)).status == 401
        # An access token of before is still signed, and makes nothing that lasts.
        for old in (thief, thief.model_copy(update={"session": None}), thief.model_copy(update={"session": "x"})):
            refused = await auth.call("POST", "/api-keys", {"name": "k"}, as_=old)
            assert (refused.status, refused.data["code"]) == (401, "session_ended")
        owner = await auth.signed_in(thief, OWNER)
        assert (await auth.call("POST", "/api-keys", {"name": "k"}, as_=owner)).status == 201
        assert (await auth.call("POST", "/verify", {"token": token, "new_password": THIEF})).status == 400


@pytest.mark.parametrize("everywhere", [False, True])
async def test_an_access_token_makes_no_key_after_its_session_was_ended(postgres: Cluster, *, everywhere: bool) -> None:
    async with running_stack(postgres) as stack:
        await stack.person("ada")
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        stolen, own = [await stack.ok("POST", "/token", data=form) for _ in range(2)]
        end = {"token": own["refresh_token"], "everywhere": "true" if everywhere else "false"}
        assert (await stack.call("POST", "/token/revoke", data=end)).status == 204
        again = await stack.ok("POST", "/token", data=form)
        statuses = [
            (await stack.call("POST", "/api-keys", held["access_token"], json={"name": "k"})).status
            for held in (stolen, own, again)
        ]
        assert statuses == [401 if everywhere else 201, 401, 201]


async def test_a_sign_in_that_was_under_way_does_not_outlive_the_password(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_auth(database) as auth:
        thief = await auth.sign_up("ada@example.org", THIEF)
        token = (await auth.call("POST", "/me/verification", as_=thief)).data["token"]
        proved, claimed = asyncio.Event(), asyncio.Event()
        verify = Passwords.verify

        async def held(passwords: Passwords, stored: str | None, password: str, turn: Turn) -> bool:
            right = await verify(passwords, stored, password, turn)
            proved.set()
            await claimed.wait()
            return right

        monkeypatch.setattr(Passwords, "verify", held)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            signing_in = tasks.create_task(auth.sign_in("ada@example.org", THIEF))
            await proved.wait()
            proof = {"token": token, "new_password": OWNER}
            assert (await auth.call("POST", "/verify", proof)).status == 200
            claimed.set()
        answer = signing_in.result()
        assert (answer.status, answer.data["code"]) == (400, "invalid_grant")
        assert not await Session.exists(ended_at=None)
        assert not await Device.exists()


async def test_who_knows_the_password_stays_signed_in(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await auth.sign_up()
        refresh_token = (await auth.sign_in()).data["refresh_token"]
        token = (await auth.call("POST", "/me/verification", as_=ada)).data["token"]
        assert (await auth.call("POST", "/verify", {"token": token, "password": PASSWORD})).status == 200
        assert (await auth.refresh(refresh_token)).status == 200


async def test_the_owner_of_an_address_gets_in_whoever_signed_up_first(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up("ada@example.org", THIEF)
        body = {"email": "Ada@example.org"}
        assert (await auth.call("POST", "/users", {**body, "password": OWNER})).data["code"] == "email_taken"
        claimed = await auth.call("POST", "/users:claim", body)
        assert (claimed.status, claimed.data["email"]) == (202, "ada@example.org")
        # A stranger who signs up again and again does not replace the link that was just sent.
        assert (await auth.call("POST", "/users:claim", body)).status == 429
        proof = {"token": claimed.data["token"], "new_password": OWNER}
        assert (await auth.call("POST", "/verify", proof)).status == 200
        assert (await auth.call("POST", "/users:claim", body)).data["code"] == "already_verified"
        assert (await auth.call("POST", "/users:claim", {"email": "nobody@example.org"})).status == 404


async def test_the_link_to_claim_an_account_goes_to_the_mailbox_alone(postgres: Cluster) -> None:
    with running_smtp() as box:
        mailer = {"smtp_host": box.host, "smtp_port": box.port, "smtp_tls": "none"}
        async with running_stack(postgres, mailer=mailer) as stack:
            body = {"email": "ada@example.com", "password": THIEF, "name": "Mallory"}
            headers = {"Authorization": f"Bearer {service_token('gateway', 'auth')}"}
            async with stack.session.post(f"{stack.auth_url}{SIGN_UP.path}", json=body, headers=headers) as made:
                assert made.status == 201
            reply = await stack.call("POST", "/users", json={**body, "password": OWNER})
            assert (reply.status, reply.code) == (409, "email_taken")
            assert b"token" not in reply.raw
            await box.wait_until(lambda: len(box.received) == 1)
            assert box.received[0].recipient == "ada@example.com"


async def test_strangers_learn_few_email_addresses(postgres: Cluster) -> None:
    limits = {"recipient_unverified_burst": 4, "recipient_unverified_interval": 3600}
    async with running_stack(postgres, gateway=limits) as stack:
        eve = await stack.person("eve")
        for name in ("bob", "ada"):
            await stack.person(name)

        async def send(email: str) -> int:
            reply = await stack.call("POST", f"/users/{email}/notifications", eve, json={"title": "Hello"})
            return reply.status

        # Somebody who was found is not counted again.
        assert [await send("bob@example.com") for _ in range(3)] == [201] * 3
        assert [await send(f"nobody{n}@example.com") for n in range(3)] == [404] * 3
        # From now on the answer is the same for an address with an account and for one without.
        assert [await send(email) for email in ("ada@example.com", "nobody9@example.com")] == [429, 429]
        assert [await send(email) for email in ("BOB@example.com", await stack.id_of("ada"))] == [201, 201]

        # The creators' addresses are for those who manage the topic.
        ada, creators = await stack.person("ada"), [await stack.id_of("ada"), "grace@example.com"]
        await stack.ok("POST", "/topics", ada, json={"name": "t"})
        appointed_by = Principal(id="root", role="admin").to_header()
        headers = {"Authorization": f"Bearer {service_token('gateway', 'store')}", PRINCIPAL_HEADER: appointed_by}
        url = f"{stack.store_url}{CHANGE_TOPIC.path.format(name='t')}"
        async with stack.session.patch(url, json={"creators": creators}, headers=headers) as changed:
            assert changed.status == 200
        for who, expected in ((ada, creators), (eve, creators[:1])):
            assert (await stack.ok("GET", "/topics/t", who))["creators"] == expected
            assert (await stack.ok("GET", "/topics", who))["items"][0]["creators"] == expected


async def test_a_sign_in_costs_the_same_whether_the_account_exists(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        answers, hashes = [], []
        for email in ("ada@example.org", "nobody@example.org"):
            before = auth.service.metrics.registry.get_sample_value("notifyx_password_hash_seconds_count") or 0
            answers.append((await auth.sign_in(email, "a wrong password")).data)
            after = auth.service.metrics.registry.get_sample_value("notifyx_password_hash_seconds_count") or 0
            hashes.append(after - before)
        assert hashes == [1, 1]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_a_number_that_would_change_is_refused_by_every_reader(number: int) -> None:
    data = {"n": [1, number]}
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    binary = {f"ce-{name}": value for name, value in event.items()}
    for read in (
        lambda: read_publish_request({}, "application/json", encoded({"data": data})),
        lambda: read_publish_request({}, "application/cloudevents+json", encoded({**event, "data": data})),
        lambda: read_publish_request(binary, "application/json", encoded(data)),
        lambda: parse_model(PublishBatch, parse_json(encoded({"items": [{"topic": "t", "data": data}]}))),
        lambda: parse_model(KeyedNotification, decode_text(encoded(["1", "2", "t", "e", {"data": data}])).payload),
    ):
        with pytest.raises(InvalidRequest, match=r"n\.1: .* 64 bits"):
            read()
    exact = {"n": [2**64 - 1, -(2**63)], "text": str(number)}
    (kept,) = read_publish_request({}, "application/json", encoded({"data": exact})).parts
    assert isinstance(kept, KeyedNotification)
    assert kept.data == exact


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_utc_does_not_have_is_refused_by_every_reader(time: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": "d", "expirytime": time}
    for read in (
        lambda: parse_model(NewApiKey, {"name": "k", "expires_at": time}),
        lambda: parse_model(KeyedNotification, {"title": "t", "expires_at": time}),
        lambda: read_publish_request({}, "application/json", encoded({"title": "t", "expires_at": time})),
        lambda: read_publish_request({}, "application/cloudevents+json", encoded(event)),
    ):
        with pytest.raises(InvalidRequest, match="in UTC"):
            read()


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()
