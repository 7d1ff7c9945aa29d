"""Mails about accounts wait in the database: alike for everybody, leased to one gateway each, with one link each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest

from notifyx_auth.accounts import administrator, pending_mails
from notifyx_auth.base.models import AccountMail, EmailChange, PasswordReset, User, Verification
from notifyx_auth.maintenance import delete_expired
from notifyx_common.contracts.account_mails import RequestedKind
from notifyx_common.principal import Principal
from support.auth import PASSWORD, Answer, RunningAuth, running_auth

ADA, NEW = "ada@example.org", "a new horse battery"


async def ask(auth: RunningAuth, kind: str, email: str = ADA, delay: float = 0.0) -> Answer:
    return await auth.call("POST", "/account-mails", {"kind": kind, "email": email, "delay": delay})


async def leased(auth: RunningAuth, limit: int = 50) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await auth.call("POST", "/account-mails:lease", {"limit": limit})).data["items"]
    return items


async def link(auth: RunningAuth, mail: dict[str, Any]) -> Answer:
    return await auth.call("POST", f"/account-mails/{mail['id']}/link")


async def remove(auth: RunningAuth, mail: dict[str, Any]) -> None:
    assert (await auth.call("DELETE", f"/account-mails/{mail['id']}")).status == 204


async def verified(auth: RunningAuth, email: str = ADA) -> Principal:
    who = await auth.signed_in(await auth.sign_up(email))
    await User.filter(id=who.id).update(email_verified=True)
    return who


@pytest.mark.parametrize("kind", ["password_reset", "claim", "verification"])
async def test_what_waits_does_not_show_whether_there_is_an_account(database: str, kind: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        rows = []
        for email in (ADA, "eve@example.org"):
            assert (await ask(auth, kind, email, 2.5)).status == 204
            size = "SELECT pg_column_size(m) FROM account_mails m WHERE email = $1"
            kept = await auth.service.database.pool.fetchval(size, email)
            row = await AccountMail.get(email=email)
            same = {"linked", "about", "time_zone", "asked_at", "next_at", "expires_at", "kind"}
            rows.append((kept + len(ADA) - len(email), {name: getattr(row, name) for name in same}))
        assert rows[0] == rows[1]
        assert await leased(auth) == [], "not before their moment"
        auth.clock.move(seconds=3)
        known, unknown = sorted(await leased(auth), key=lambda one: str(one["email"]))
        answer = await link(auth, unknown)
        assert (answer.status, answer.data["code"]) == (404, "no_recipient")
        assert (await link(auth, known)).status == 200


async def test_a_link_is_the_same_when_its_mail_is_made_again_and_never_at_rest(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        await ask(auth, "password_reset", "ADA@example.org")
        [mail] = await leased(auth)
        assert (mail["linked"], await leased(auth)) == (False, []), "one gateway has it"
        first, again = [(await link(auth, mail)).data for _ in range(2)]
        assert (first["fresh"], again["fresh"]) == (True, False)
        token = first["token"]
        assert again["token"] == token
        pool = auth.service.database.pool
        for table in ("account_mails", "password_resets"):
            assert token not in str(await pool.fetch(f"SELECT * FROM {table}"))
        auth.clock.move(minutes=30)
        [back] = await leased(auth)
        assert (back["id"], back["linked"]) == (mail["id"], True), "whoever had it has died"
        assert (await link(auth, back)).data["token"] == token
        auth.clock.move(minutes=59)
        use = {"token": token, "new_password": NEW}
        assert (await auth.call("POST", "/password-resets/complete", use)).status == 200, "it lives from its last mail"
        assert (await link(auth, mail)).data["code"] == "no_recipient", "a link that was used does not come back"


async def test_a_request_while_one_waits_is_the_same_mail_and_soon_after_it_none(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        answers = await asyncio.gather(*(ask(auth, "password_reset", email) for email in (ADA, ADA.upper()) * 4))
        assert {answer.status for answer in answers} == {204}
        [mail] = await leased(auth)
        await ask(auth, "password_reset")
        assert await leased(auth) == [], "it is with a gateway"
        assert (await link(auth, mail)).status == 200
        await remove(auth, mail)
        await remove(auth, mail)
        await ask(auth, "password_reset")
        [soon] = await leased(auth)
        assert (await link(auth, soon)).status == 429
        assert await PasswordReset.all().count() == 1, "what was mailed counts still"


async def test_links_that_prove_an_address_are_made_for_those_who_have_not_proved_it(database: str) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        await ask(auth, "verification")
        [mail] = await leased(auth)
        made = (await link(auth, mail)).data
        assert (made["to"], made["fresh"]) == (ADA, True)
        await remove(auth, mail)
        auth.clock.move(minutes=5)
        await ask(auth, "claim")
        [claim] = await leased(auth)
        assert (await link(auth, claim)).status == 429, "a stranger's comes less often"
        proof = {"token": made["token"], "password": PASSWORD}
        assert (await auth.call("POST", "/verify", proof)).status == 200
        auth.clock.move(minutes=20)
        assert (await link(auth, claim)).data["code"] == "already_verified"


async def test_what_follows_from_a_change_waits_in_its_transaction(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await verified(auth)
        await User.filter(id=ada.id).update(time_zone="Europe/Berlin")
        wish = {"email": "new@example.org", "password": PASSWORD}
        asked = await auth.call("PUT", "/me/email", wish, as_=ada)
        assert (asked.status, asked.data["recorded"]) == (202, True)
        mails = {one["kind"]: one for one in await leased(auth)}
        assert set(mails) == {"email_confirmation", "email_change_requested"}
        told = mails["email_change_requested"]
        assert (told["email"], told["about"], told["time_zone"]) == (ADA, "new@example.org", "Europe/Berlin")
        made = (await link(auth, mails["email_confirmation"])).data
        assert (made["to"], made["token"], made["taken"]) == ("new@example.org", asked.data["token"], False)
        await auth.sign_up("NEW@example.org")
        taken = (await link(auth, mails["email_confirmation"])).data
        assert (taken["taken"], taken["token"]) == (True, "")
        await User.filter(email_key="new@example.org").delete()
        confirmed = await auth.call("POST", "/me/email/confirm", {"token": made["token"]}, as_=ada)
        assert confirmed.status == 200
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200
        notices = {(one["kind"], one["email"], one["about"]) for one in await leased(auth)}
        assert notices == {("email_changed", ADA, "new@example.org"), ("password_changed", "new@example.org", "")}
        assert (await link(auth, mails["email_confirmation"])).data["code"] == "no_recipient"


async def spend_reset(auth: RunningAuth) -> None:
    await ask(auth, "password_reset")
    [mail] = [one for one in await leased(auth) if one["kind"] == "password_reset"]
    token = (await link(auth, mail)).data["token"]
    await remove(auth, mail)
    await ask_for_all(auth)
    use = {"token": token, "new_password": NEW}
    assert (await auth.call("POST", "/password-resets/complete", use)).status == 200


async def change_password(auth: RunningAuth) -> None:
    ada = await auth.signed_in(Principal(id=str((await User.get(email=ADA)).id), email=ADA))
    await ask_for_all(auth)
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200


async def verify_by_new_password(auth: RunningAuth) -> None:
    await ask(auth, "verification")
    [mail] = await leased(auth)
    token = (await link(auth, mail)).data["token"]
    await remove(auth, mail)
    await ask_for_all(auth)
    assert (await auth.call("POST", "/verify", {"token": token, "new_password": NEW})).status == 200


async def change_address(auth: RunningAuth) -> None:
    ada = await auth.signed_in(await auth.sign_up("old@example.org"))
    await User.filter(email=ADA).delete()
    wish = {"email": ADA, "password": PASSWORD}
    asked = await auth.call("PUT", "/me/email", wish, as_=ada)
    await ask_for_all(auth)
    await ask_for_all(auth, "old@example.org")
    assert (await auth.call("POST", "/me/email/confirm", {"token": asked.data["token"]}, as_=ada)).status == 200
    await auth.sign_up("old@example.org")


async def leave(auth: RunningAuth) -> None:
    ada = await auth.signed_in(Principal(id=str((await User.get(email=ADA)).id), email=ADA))
    await ask_for_all(auth)
    wish = {"password": PASSWORD, "topics": "keep"}
    assert (await auth.call("POST", f"/me/departure?session={ada.session}", wish, as_=ada)).status == 200
    await auth.sign_up()


async def name_as_administrator(auth: RunningAuth) -> None:
    await ask_for_all(auth)
    await administrator.ensure(ADA, NEW, passwords=auth.auth.passwords, changes=auth.auth.changes, now=auth.clock.now())


async def ask_for_all(auth: RunningAuth, email: str = ADA) -> None:
    for kind in get_args(RequestedKind):
        await ask(auth, kind, email.upper())
    await ask(auth, "password_reset", "eve@example.org")


@pytest.mark.parametrize(
    "act", [spend_reset, change_password, verify_by_new_password, change_address, leave, name_as_administrator]
)
async def test_what_was_asked_for_before_a_link_would_end_gets_no_link_after_it(
    database: str, act: Callable[[RunningAuth], Awaitable[None]]
) -> None:
    async with running_auth(database) as auth:
        await auth.sign_up()
        await act(auth)
        auth.clock.move(minutes=20)
        waiting = await leased(auth)
        assert [one["email"] for one in waiting if one["kind"] in get_args(RequestedKind)] == ["eve@example.org"]
        assert "email_confirmation" not in {one["kind"] for one in waiting}
        await ask(auth, "password_reset")
        [mail] = [one for one in await leased(auth) if one["email"] == ADA]
        assert (await link(auth, mail)).status == 200, "what is asked for since is sent"


async def test_a_newer_notice_is_another_mail_though_the_one_before_is_being_sent(database: str) -> None:
    async with running_auth(database) as auth:
        ada = await verified(auth)
        for old, new in ((PASSWORD, NEW), (NEW, PASSWORD)):
            change = {"current_password": old, "new_password": new}
            assert (await auth.call("PUT", "/me/password", change, as_=ada)).status == 200
            [mail] = await leased(auth)
            if new == NEW:
                first = mail
            auth.clock.move(seconds=1)
        assert mail["id"] != first["id"]
        await remove(auth, first)
        assert await AccountMail.all().count() == 1


async def test_what_is_over_the_bound_is_refused_and_changes_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_auth(database) as auth:
        ada = await verified(auth)
        monkeypatch.setattr(pending_mails, "MAX_OF_KIND", 1)
        assert (await ask(auth, "password_reset", "eve@example.org")).status == 204
        refused = await ask(auth, "password_reset")
        assert (refused.status, refused.data["code"]) == (429, "too_many_mails")
        assert refused.data["retry_after"] > 0
        assert (await ask(auth, "verification", "eve@example.org")).status == 204, "each kind has its own bound"
        wish = {"email": "new@example.org", "password": PASSWORD}
        assert (await auth.call("PUT", "/me/email", wish, as_=ada)).status == 202
        bob = await verified(auth, "bob@example.org")
        wish = {**wish, "email": "newer@example.org"}
        assert (await auth.call("PUT", "/me/email", wish, as_=bob)).data["code"] == "too_many_mails"
        assert [one.email for one in await EmailChange.all()] == ["new@example.org"], "as if it was not asked for"


async def test_what_serves_nobody_any_more_is_deleted(database: str) -> None:
    async with running_auth(database, password_reset_minutes=60, verification_hours=48) as auth:
        await auth.sign_up()
        await ask(auth, "password_reset")
        await ask(auth, "verification")
        auth.clock.move(minutes=61)
        assert [one["kind"] for one in await leased(auth)] == ["verification"]
        await delete_expired(auth.service.database, auth.clock.now())
        assert [one.kind for one in await AccountMail.all()] == ["verification"]
        auth.clock.move(days=2)
        assert await leased(auth) == []
        await delete_expired(auth.service.database, auth.clock.now())
        assert await AccountMail.all().count() == await Verification.all().count() == 0
