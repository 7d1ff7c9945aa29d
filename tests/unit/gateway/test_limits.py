"""Whom the gateway's limits are for."""

from __future__ import annotations

import pytest

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.limits import Limits, mailbox
from notifyx_gateway.settings import GatewaySettings

UNVERIFIED = Principal(id="u")
VERIFIED = Principal(id="v", email_verified=True)
ADMINS_KEY = Principal(id="a", kind="api_key", role="admin", key_id="k")
WORKLOAD = Principal(id="system:serviceaccount:shop:orders", kind="service_account")


def limits(**changes: object) -> Limits:
    settings = GatewaySettings.model_validate({"internal_token": "internal-token-of-tests", **changes})
    metrics = Metrics()
    return Limits(settings, clock=SystemClock(), metrics=metrics, background=Background(metrics), shared=None)


async def sent(counted: Limits, principal: Principal, recipients: list[str]) -> int:
    """How many direct messages to ``recipients`` pass, one after the other."""
    for number, recipient in enumerate(recipients):
        try:
            await counted.direct_message(principal, recipient)
        except RateLimited:
            return number
    return len(recipients)


async def test_who_is_not_verified_sends_few_direct_messages_and_services_as_many_as_they_must() -> None:
    counted = limits()
    one, many = ["r"] * 200, [str(number) for number in range(200)]
    assert [await sent(counted, UNVERIFIED, one), await sent(limits(), UNVERIFIED, many)] == [10, 20]
    assert [await sent(counted, VERIFIED, one), await sent(limits(), VERIFIED, many)] == [50, 100]
    for service in (ADMINS_KEY, WORKLOAD):
        assert await sent(counted, service, one + many) == 400
    assert await sent(counted, UNVERIFIED, ["u"] * 200) == 200, "one's own inbox"


async def test_an_api_key_has_a_limit_of_its_own_and_5000_publishes_a_second_never_wait() -> None:
    counted = limits()
    assert not any(counted.publish_wait(VERIFIED) for _ in range(20_000))
    key = Principal(id="v", kind="api_key", key_id="k")
    assert not any(counted.publish_wait(key) for _ in range(20_000))
    assert counted._publishes._bucket.interval <= 1 / 5000
    while counted.publish_wait(key) < 1:
        pass
    with pytest.raises(RateLimited) as rejected:
        await counted.publish(key, "t")
    assert (rejected.value.retry_after or 0) > 0.9


async def test_topics_are_limited_by_user_and_not_for_services() -> None:
    counted = limits(topic_burst=2)
    for principal in (VERIFIED, UNVERIFIED):
        for _ in range(2):
            await counted.create_topic(principal)
        with pytest.raises(RateLimited) as rejected:
            await counted.create_topic(principal)
        assert rejected.value.quota is not None
        assert rejected.value.quota.name == "topics"
    for _ in range(5):
        await counted.create_topic(ADMINS_KEY)
        await counted.create_topic(WORKLOAD)


async def test_whoever_forgot_a_password_counts_alone_and_invented_tags_together() -> None:
    counted = limits(verification_mailbox_burst=2)

    async def mails(email: str, *, verified: bool) -> int:
        user = ResolvedUser(id="x", email=email, name="", email_verified=verified)
        for number in range(5):
            try:
                await counted.reset_mail(user, count=False)
                await counted.reset_mail(user)
            except RateLimited:
                return number
        return 5

    for _ in range(5):
        await counted.mail_to("ada@example.org", count=False)
    assert [await mails(f"ada+{one}@example.org", verified=False) for one in range(2)] == [2, 0]
    assert [await mails(f"{one}@example.org", verified=False) for one in ("ada", "Ada")] == [2, 0]
    assert [await mails(f"ada+{one}@example.org", verified=True) for one in range(2)] == [2, 2]


@pytest.mark.parametrize("email", ["ADA+news@Example.org", "ada++@example.org", "ada+@example.org"])
def test_a_mailbox_is_one_whatever_follows_the_plus_and_another_without_it(email: str) -> None:
    assert mailbox(email) == "ada+@example.org"
    assert mailbox("Ada@example.org") == "ada@example.org"


async def test_both_spellings_of_a_mailbox_have_one_limit() -> None:
    both = ("x@ex\u00e4mple.com", "X@XN--exmple-cua.com")
    counted = limits(verification_mailbox_burst=1, recipient_burst=1)
    await counted.mail_to(both[0])
    with pytest.raises(RateLimited):
        await counted.mail_to(both[1])
    first, second = (ResolvedUser(id="u", email=one, name="", email_verified=True) for one in both)
    await counted.reset_mail(first)
    with pytest.raises(RateLimited):
        await counted.reset_mail(second)
    await counted.recipient(VERIFIED, both[0])
    counted.recipient_found(VERIFIED, both[0])
    await counted.recipient(VERIFIED, both[1])
    with pytest.raises(RateLimited):
        await counted.recipient(VERIFIED, "another@example.org")
