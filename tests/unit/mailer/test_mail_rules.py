"""Small pure rules of mailer and dispatcher: what an SMTP answer means, what is remembered, what is reported."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.calls.scatter import NotExecuted, TaskResult
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.contracts.mailer import Mail, MailResult, NotificationContext, UnreadableContext
from notifyx_common.contracts.store.outbox import OutboxMail
from notifyx_gateway.mail.dispatch import FENCED, chunk_answer, prepare, result_of
from notifyx_gateway.mail.links import with_links
from notifyx_mailer.errors import MailFailed, MailRejected
from notifyx_mailer.recent_ids import RecentIds
from notifyx_mailer.refusals import Stage, classify_refusal


@pytest.mark.parametrize(
    ("stage", "code", "message", "kind", "cause"),
    [
        ("recipient", 550, "5.1.1 no such user", MailRejected, "address"),
        ("recipient", 550, "5.1.10 null MX", MailRejected, "address"),
        ("recipient", 550, "5.2.1 mailbox disabled", MailRejected, "address"),
        ("recipient", 556, "the domain accepts no mail", MailRejected, "address"),
        ("content", 550, "5.1.1 no such user", MailRejected, "address"),
        ("recipient", 550, "no such user", MailFailed, "policy"),
        ("recipient", 550, "5.0.0 no", MailFailed, "policy"),
        ("recipient", 553, "bad name", MailFailed, "policy"),
        ("recipient", 550, "5.7.1 relaying denied", MailFailed, "policy"),
        ("content", 550, "5.7.26 not authenticated", MailFailed, "policy"),
        ("recipient", 552, "5.2.2 over quota", MailFailed, "mailbox"),
        ("recipient", 552, "over quota", MailFailed, "mailbox"),
        ("recipient", 550, "5.1.8 bad sender", MailFailed, "sender"),
        ("recipient", 554, "5.4.14 loop", MailFailed, "system"),
        ("recipient", 530, "5.7.0 authentication required", MailFailed, "policy"),
        ("recipient", 503, "bad sequence", MailFailed, "system"),
        ("recipient", 450, "busy", MailFailed, None),
        ("recipient", 421, "shutting down", MailFailed, None),
        ("recipient", 550, "4.2.2 over quota", MailFailed, None),
        ("sender", 550, "5.1.8 bad sender", MailFailed, "sender"),
        ("sender", 550, "5.1.1 no", MailFailed, "sender"),
        ("content", 554, "spam", MailRejected, "content"),
        ("content", 554, "5.6.0 spam", MailRejected, "content"),
        ("recipient", 552, "5.3.4 too large", MailRejected, "content"),
        ("content", 451, "try later", MailFailed, None),
    ],
)
def test_what_an_answer_means(stage: Stage, code: int, message: str, kind: type, cause: str | None) -> None:
    error = classify_refusal(stage, code, message)
    assert type(error) is kind
    assert error.about == cause
    assert str(code) in error.reason
    if isinstance(error, MailFailed):
        assert error.answered
        assert error.attempted == (cause is not None), "another mailer would get the same answer"


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=60), st.integers(1, 6), st.integers(1, 20))
def test_remembered_is_exact_within_its_bounds(steps: list[tuple[int, int]], count: int, seconds: int) -> None:
    memory = RecentIds(max_count=count, ttl=seconds)
    model: OrderedDict[str, int] = OrderedDict()
    now = 0
    for key, passed in steps:
        now += passed
        name = str(key)
        memory.add(name, now)
        model.pop(name, None)
        model[name] = now
        while len(model) > count:
            model.popitem(last=False)
        for other in range(13):
            at = model.get(str(other))
            assert memory.contains(str(other), now) == (at is not None and at + seconds > now)
        assert len(memory) <= count


def mail_of(number: int, user: str) -> OutboxMail:
    return OutboxMail(
        id=f"m{number}", message_id=f"<m{number}@x>", user=user, template="notification",
        context={"title": "t", "link": "https://own.link/"}, unsubscribe_token="a/b+c=", attempt=1,
    )  # fmt: skip


def test_only_verified_users_get_mail() -> None:
    def user(name: str, verified: bool) -> ResolvedUser:
        return ResolvedUser(id=name, email=f"{name}@x.org", name="", email_verified=verified, time_zone="Europe/Berlin")

    due = [mail_of(1, "ann"), mail_of(2, "bob"), mail_of(3, "cyd")]
    mails, results = prepare(due, {"ann": user("ann", True), "bob": user("bob", False)}, "https://n.test")
    assert [(mail.id, mail.message_id, mail.to) for mail in mails] == [("m1", "<m1@x>", "ann@x.org")]
    assert mails[0].unsubscribe_url == "https://n.test/unsubscribe?token=a%2Fb%2Bc%3D"
    assert mails[0].context == NotificationContext(title="t", link="https://own.link/", time_zone="Europe/Berlin"), (
        "the store's own link wins"
    )
    assert [(result.id, result.status) for result in results] == [("m2", "unverified"), ("m3", "gone")]


def test_links_lead_to_what_a_mail_is_about() -> None:
    one = {"topic": "a.b", "seq": 7, "title": "t"}
    assert with_links(one, "https://n.test")["link"] == "https://n.test/topics/a.b/n/7"
    assert with_links({"topic": "user:u1", "seq": 7}, "https://n.test")["link"] == "https://n.test/messages/n/7"
    digest = with_links({"topic": "a.b", "notifications": [one]}, "https://n.test")
    assert digest["link"] == "https://n.test/topics/a.b"
    assert digest["notifications"] == [{**one, "link": "https://n.test/topics/a.b/n/7"}]
    several = with_links({"topic": "", "notifications": [one, {"topic": 3}, "odd"]}, "https://n.test")
    assert several["link"] == "https://n.test/inbox"
    assert several["notifications"][1:] == [{"topic": 3, "link": "https://n.test/"}, "odd"]


def test_a_context_the_gateway_cannot_read_goes_to_the_mailer_as_such() -> None:
    """The mailer refuses it, so that the store is told the reason as for any other refusal."""
    ann = ResolvedUser(id="ann", email="ann@x.org", name="", email_verified=True)
    bad = mail_of(2, "ann").model_copy(update={"context": {"title": 3}})
    mails, results = prepare([mail_of(1, "ann"), bad], {"ann": ann}, "https://n.test")
    assert isinstance(mails[0].context, NotificationContext)
    assert isinstance(mails[1].context, UnreadableContext)
    assert results == []


def test_what_a_mailer_says_of_one_mail() -> None:
    mail = Mail(id="m1", message_id="<m1@x>", to="a@b", context=NotificationContext())
    sent = MailResult(id="m1", status="sent")
    certain = MailResult(id="m1", status="failed", reason="no connection", attempted=False)
    unclear = MailResult(id="m1", status="failed", reason="lost", attempted=True)
    assert chunk_answer(mail, None, confirmed=False) == FENCED
    assert chunk_answer(mail, sent, confirmed=True) == sent
    assert chunk_answer(mail, certain, confirmed=True) == NotExecuted("no connection")
    assert chunk_answer(mail, unclear, confirmed=True) == unclear
    assert isinstance(chunk_answer(mail, None, confirmed=True), NotExecuted)


def test_what_the_store_is_told() -> None:
    refused = MailResult(id="m1", status="refused", reason="r" * 900, address_refused=True)
    told = result_of("m1", TaskResult(refused, "n", 1))
    assert told is not None
    assert (told.status, told.address_refused, len(told.reason)) == ("refused", True, 500)
    assert result_of("m1", TaskResult(FENCED, "n", 1)) is None
    nobody = result_of("m1", TaskResult(None, "", 3, "away"))
    assert nobody is not None
    assert (nobody.status, nobody.reason) == ("failed", "away")
