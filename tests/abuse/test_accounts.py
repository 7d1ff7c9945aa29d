"""Accounts for other people's addresses, and what answers tell about accounts."""

from __future__ import annotations

from notifyx_auth.models import User
from notifyx_common.contracts.auth import SIGN_UP
from notifyx_local.postgres import Cluster
from support.auth import PASSWORD, running_auth
from support.gateway import TOKEN, running_stack
from support.smtp import running_smtp

THIEF = "the password of a thief"
OWNER = "the password of the owner"


async def test_an_account_that_a_stranger_made_is_not_verified_with_the_strangers_password(database: str) -> None:
    async with running_auth(database) as auth:
        thief = await auth.sign_up("ada@example.org", THIEF)
        refresh_token = (await auth.sign_in("ada@example.org", THIEF)).data["refresh_token"]
        key = (await auth.call("POST", "/api-keys", {"name": "k"}, as_=thief)).data["key"]
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
        assert (await auth.sign_in("ada@example.org", OWNER)).status == 200
        assert (await auth.call("POST", "/verify", {"token": token, "new_password": THIEF})).status == 400


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
            body = {"email": "ada@example.com", "password": THIEF, "name": "A thief"}
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with stack.session.post(f"{stack.auth_url}{SIGN_UP.path}", json=body, headers=headers) as made:
                assert made.status == 201
            reply = await stack.call("POST", "/users", json={**body, "password": OWNER})
            assert (reply.status, reply.code) == (409, "email_taken")
            assert b"token" not in reply.raw
            await box.wait_until(lambda: len(box.received) == 1)
            assert box.received[0].recipient == "ada@example.com"
