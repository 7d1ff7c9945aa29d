"""The outbox's routes: lease, confirm and results for the dispatcher; for users the state of their email."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from quart import Blueprint

from notifyx_common.contracts.store.addresses import EMAIL_STATE, RESUME_EMAIL, EmailResumed, EmailState
from notifyx_common.contracts.store.outbox import (
    ACKNOWLEDGE_MAIL,
    FENCE_MAILS,
    LEASE_MAILS,
    MAIL_TO_ACKNOWLEDGE,
    RELEASE_MAILS,
    REPORT_MAILS,
    AcknowledgedMail,
    AcknowledgeToken,
    FenceRequest,
    FenceResponse,
    LeasedMails,
    MailToAcknowledge,
    OutboxLeaseRequest,
    OutboxResults,
    ReleasedMails,
    VerifiedUser,
)
from notifyx_common.errors import InvalidRequest
from notifyx_common.metrics import Metrics
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.background_settings import BackgroundSettings
from notifyx_store.base.context import StoreContext
from notifyx_store.base.metrics import StoreMetrics
from notifyx_store.mail import acknowledge_link, addresses, outbox, unverified
from notifyx_store.mail.acknowledge_link import MailedSeqs
from notifyx_store.mail.bundle_rules import HourlyLimit
from notifyx_store.mail.inbox_limits import InboxLimits
from notifyx_store.mail.outbox_rules import AddressPolicy, RetryPolicy, UnverifiedPolicy
from notifyx_store.mail.results import record_results
from notifyx_store.readers import acks
from notifyx_store.readers.acks import TopicUser


def outbox_routes(context: StoreContext, metrics: StoreMetrics) -> Blueprint:
    """Return the routes of the outbox, for the platform only."""
    blueprint = Blueprint("outbox", __name__)
    config = outbox_config(context.settings, context.metrics)

    @handle(blueprint, LEASE_MAILS)
    async def claim(request: OutboxLeaseRequest) -> LeasedMails:
        now = context.clock.now()
        async with context.pool.acquire() as connection:
            mails = await outbox.lease_due(
                connection, config, owner=request.owner, limit=request.limit, lease=request.lease_seconds, now=now
            )
        return LeasedMails(mails=mails)

    @handle(blueprint, FENCE_MAILS)
    async def confirm(request: FenceRequest) -> FenceResponse:
        ids = parse_ids(request.ids)
        async with context.pool.acquire() as connection:
            wanted = await outbox.confirm(connection, ids, owner=request.owner, now=context.clock.now())
        return FenceResponse(ids=[str(mail) for mail in wanted])

    @handle(blueprint, REPORT_MAILS)
    async def results(reported: OutboxResults) -> None:
        ids = parse_ids(result.id for result in reported.results)
        async with context.pool.acquire() as connection:
            await record_results(
                connection,
                list(zip(ids, reported.results, strict=True)),
                owner=reported.owner,
                now=context.clock.now(),
                policy=config.policy,
            )

    @handle(blueprint, RELEASE_MAILS)
    async def release(verified: VerifiedUser) -> ReleasedMails:
        async with context.pool.acquire() as connection:
            async with connection.transaction():
                released = await unverified.release(connection, [verified.user], context.clock.now())
            await addresses.proved(connection, verified.user, config.policy.address, context.clock.now())
        return released

    @handle(blueprint, ACKNOWLEDGE_MAIL)
    async def acknowledge(request: AcknowledgeToken) -> AcknowledgedMail:
        mail = acknowledge_link.verify(request.token, context.settings.unsubscribe_secrets, context.clock.now())
        async with context.pool.acquire() as connection:
            mailed = await acknowledge_link.mailed(connection, mail)
        return AcknowledgedMail(
            topics=_topics(mailed), acknowledged=await acks.acknowledge_mailed(context, metrics, _seqs(mailed))
        )

    @handle(blueprint, MAIL_TO_ACKNOWLEDGE)
    async def mail_to_acknowledge(request: AcknowledgeToken) -> MailToAcknowledge:
        mail = acknowledge_link.verify(request.token, context.settings.unsubscribe_secrets, context.clock.now())
        async with context.pool.acquire() as connection:
            mailed = await acknowledge_link.mailed(connection, mail)
            return MailToAcknowledge(topics=_topics(mailed), unread=await acks.count_unread(connection, _seqs(mailed)))

    @handle(blueprint, EMAIL_STATE)
    async def state(_: None) -> EmailState:
        principal = caller()
        principal.require_scope("read")
        async with context.pool.acquire() as connection:
            return await addresses.email_state(connection, principal.id)

    @handle(blueprint, RESUME_EMAIL)
    async def resume(_: None) -> EmailResumed:
        principal = caller()
        principal.require_scope("manage")
        async with context.pool.acquire() as connection:
            return await addresses.resume(connection, principal.id, config.policy.address, context.clock.now())

    return blueprint


def _topics(mailed: Iterable[MailedSeqs]) -> list[str]:
    return sorted({one.topic for one in mailed})


def _seqs(mailed: Iterable[MailedSeqs]) -> dict[TopicUser, set[int]]:
    wanted: defaultdict[TopicUser, set[int]] = defaultdict(set)
    for one in mailed:
        wanted[one.topic_id, one.user] |= one.seqs
    return wanted


def outbox_config(settings: BackgroundSettings, metrics: Metrics) -> outbox.OutboxConfig:
    """Return the outbox's configuration from the settings."""
    checks = metrics.counter("notifyx_rate_limit_checks_total")
    policy = RetryPolicy(
        max_attempts=settings.mail_attempts,
        base=settings.mail_retry_base,
        off_delay=settings.mail_off_delay,
        address=AddressPolicy(
            strikes=settings.mail_strikes,
            interval=timedelta(seconds=settings.mail_strike_interval),
            expiry=timedelta(seconds=settings.mail_strike_expiry),
            resume_interval=timedelta(seconds=settings.mail_resume_interval),
            resume_mails=settings.mail_resume_mails,
        ),
        unverified=UnverifiedPolicy(
            keep=settings.mail_unverified_keep,
            age=timedelta(seconds=settings.mail_unverified_age),
            recheck=timedelta(seconds=settings.mail_unverified_recheck),
            dropped=checks.labels("unverified-mails", "database", "refused").inc,
        ),
    )
    inbox = InboxLimits(
        by_sender=settings.inbox_mails_by_sender,
        in_total=settings.inbox_mails,
        postponed=checks.labels("inbox-mails", "database", "refused").inc,
    )
    hourly = HourlyLimit(
        mails=settings.mails_per_hour,
        gather=timedelta(seconds=settings.mail_digest_interval),
        held=checks.labels("mails-per-hour", "database", "refused").inc,
    )
    return outbox.OutboxConfig(
        mail_domain=settings.mail_domain,
        secret=settings.unsubscribe_secret,
        policy=policy,
        inbox=inbox,
        hourly=hourly,
        link_lifetime=timedelta(seconds=settings.keep_emails),
    )


def parse_ids(ids: Iterable[str]) -> list[UUID]:
    """Parse the outbox ids of a request. Raises :class:`InvalidRequest` for a value that is not a UUID."""
    try:
        return [UUID(one) for one in ids]
    except ValueError:
        raise InvalidRequest("An email's id is a UUID.", code="validation_failed") from None
