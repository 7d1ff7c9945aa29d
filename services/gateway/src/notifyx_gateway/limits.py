"""The gateway's rate limits on people and programs: which there are, and what counts in each.

docs/limits.md lists them with their defaults. Service principals (``Principal.is_service``) may write to as many users
as they have to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from notifyx_common.background import Background
from notifyx_common.caching.cache import MemoryTier
from notifyx_common.clock import Clock
from notifyx_common.contracts.auth import ResolvedUser
from notifyx_common.limiting.limiter import RateLimiter, SharedTable
from notifyx_common.limiting.pacer import Pacer
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.serving.replies import quota_headers
from notifyx_gateway.errors import RateLimited
from notifyx_gateway.settings import GatewaySettings
from notifyx_topics.email_addresses import address_key
from notifyx_topics.names import INBOX_PREFIX

RateLimitHeaders: TypeAlias = Mapping[str, str]
"""The caller's rate limit after an action that was counted, as headers of the answer."""

PATIENCE = 0.5
"""Seconds that a REST request waits for its turn to publish, rather than be rejected."""

MAX_WAIT = 3600.0
"""Patience of a socket: it is not read while it waits."""


_MAILED = "Too many mails were sent to this email address"

FOUND_TTL = 86400.0
MAX_FOUND = 20_000
"""How long, and for how many pairs of users, it is known that one has found the other by email."""


class Limits:
    """All rate limits of one gateway. Methods raise :class:`RateLimited`."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        clock: Clock,
        metrics: Metrics,
        background: Background,
        shared: SharedTable | None,
    ) -> None:
        def limiter(name: str, burst: int, interval: float, shared: SharedTable | None = shared) -> RateLimiter:
            return RateLimiter(name, burst, interval, clock=clock, metrics=metrics, shared=shared)

        self._sign_ups = limiter("sign-ups", settings.sign_up_burst, settings.sign_up_interval)
        self._tokens = limiter("tokens", settings.token_burst, settings.token_interval)
        self._mails_by_address = limiter(
            "verification-mails-by-address", settings.verification_address_burst, settings.verification_address_interval
        )
        self._mails_by_mailbox = limiter(
            "verification-mails-by-mailbox", settings.verification_mailbox_burst, settings.verification_mailbox_interval
        )
        self._reset_mails = limiter(
            "password-reset-mails", settings.verification_mailbox_burst, settings.verification_mailbox_interval
        )
        self._exports = limiter("exports", settings.export_burst, settings.export_interval)
        # It shows what is wrong, so it depends on nothing; what it costs is this gateway's.
        self._dashboard = limiter("dashboard", settings.dashboard_burst, settings.dashboard_interval, None)
        self._topics = limiter("topics", settings.topic_burst, settings.topic_interval)
        self._direct = {
            True: limiter("direct-messages", settings.direct_burst, settings.direct_interval),
            False: limiter(
                "direct-messages-unverified", settings.direct_unverified_burst, settings.direct_unverified_interval
            ),
        }
        self._direct_to_one = {
            True: limiter("direct-messages-to-one", settings.direct_to_one_burst, settings.direct_to_one_interval),
            False: limiter(
                "direct-messages-to-one-unverified",
                settings.direct_to_one_unverified_burst,
                settings.direct_to_one_unverified_interval,
            ),
        }
        self._direct_unverified_to_one_total = limiter(
            "direct-messages-unverified-to-one-total",
            settings.direct_unverified_to_one_total_burst,
            settings.direct_unverified_to_one_total_interval,
        )
        self._recipients = {
            True: limiter("recipients", settings.recipient_burst, settings.recipient_interval),
            False: limiter(
                "recipients-unverified", settings.recipient_unverified_burst, settings.recipient_unverified_interval
            ),
        }
        self._found: MemoryTier[None] = MemoryTier(MAX_FOUND)
        self._clock = clock
        self._publishes = Pacer(
            "publishes",
            settings.publish_burst,
            settings.publish_rate,
            clock=clock,
            metrics=metrics,
            background=background,
            shared=shared,
        )

    async def sign_up(self, address: str) -> RateLimitHeaders:
        """Count a sign-up from ``address``, before it is read."""
        return await _count(self._sign_ups, address, "Too many sign-ups came from this address")

    async def token_request(self, address: str) -> RateLimitHeaders:
        """Count a token request from ``address``."""
        return await _count(self._tokens, address, "Too many sign-ins were tried from this address")

    async def verification_mail(self, email: str, address: str) -> None:
        """Count a mail to the unproved ``email`` that the client at ``address`` asks for."""
        await self.mail_to(email)
        await self.mail_from(address)

    async def mail_to(self, email: str, *, count: bool = True) -> None:
        """Count a mail to ``email`` with a link that somebody asked for, who may be a stranger.

        Without ``count`` it is checked alone: what nobody is mailed must not use up what others are.
        """
        await _count(self._mails_by_mailbox, mailbox(email), _MAILED, count=count)

    async def reset_mail(self, user: ResolvedUser, *, count: bool = True) -> None:
        """Count, or check alone, a mail to ``user`` who has forgotten the password.

        Nobody but the owner of a mailbox has made a verified account with its address: such a one counts for itself.
        """
        key = address_key(user.email) if user.email_verified else mailbox(user.email)
        await _count(self._reset_mails, key, _MAILED, count=count)

    async def mail_from(self, address: str) -> None:
        """Count a mail with a link that the client at ``address`` asks for."""
        await _count(self._mails_by_address, address, "Too many mails with links were asked for from this address")

    async def dashboard(self, address: str) -> RateLimitHeaders:
        """Count a request for the dashboard from ``address``, before anything is read or rendered for it."""
        return await _count(self._dashboard, address, "This address asks for the dashboard too often")

    async def create_topic(self, principal: Principal) -> RateLimitHeaders:
        """Count a topic that ``principal`` creates."""
        if principal.is_service:
            return {}
        return await _count(self._topics, principal.id, "You created too many topics in a short time")

    async def export(self, principal: Principal) -> RateLimitHeaders:
        """Count an export of all of the caller's data."""
        return await _count(self._exports, principal.id, "You exported your data a moment ago")

    async def direct_message(self, principal: Principal, recipient: str) -> None:
        """Count a message from ``principal`` to the inbox of the user ``recipient``."""
        if principal.id == recipient or principal.is_service:
            return
        verified, advice = principal.email_verified, _advice(principal)
        pair = f"{principal.id} {recipient}"
        to_one = f"You sent too many messages to this user in a short time{advice}"
        await _count(self._direct_to_one[verified], pair, to_one)
        to_all = f"You sent too many direct messages in a short time{advice}"
        await _count(self._direct[verified], principal.id, to_all)
        if not verified:
            # Accounts are cheap: strangers together must not fill an inbox that others write to.
            sentence = "Users without a verified email address sent too many messages to this user in a short time"
            await _count(self._direct_unverified_to_one_total, recipient, sentence + advice)

    async def recipient(self, principal: Principal, who: str) -> None:
        """Count a search for the user ``who`` by email, unless this user has found them before.

        Counted before the search: beyond the limit the answer does not tell who has an account.
        """
        if "@" not in who or principal.is_service:
            return
        if self._found.get(_pair(principal, who), self._clock.monotonic()) is None:
            limiter = self._recipients[principal.email_verified]
            sentence = f"You wrote to too many new email addresses in a short time{_advice(principal)}"
            await _count(limiter, principal.id, sentence)

    def recipient_found(self, principal: Principal, who: str) -> None:
        """Record that ``principal`` has found the user ``who``."""
        if "@" in who:
            self._found.set(_pair(principal, who), None, self._clock.monotonic() + FOUND_TTL)

    def publish_wait(self, principal: Principal, patience: float = MAX_WAIT) -> float:
        """Count a publish; return for how long its sender has to slow down, in seconds."""
        wait = self._publishes.take(principal.key_id or principal.id, patience=patience)
        if wait > patience:
            raise _limited("You publish faster than this deployment allows", wait, self._publishes)
        return wait

    async def publish(self, principal: Principal, topic: str) -> float:
        """Count a publish to ``topic``, which may be an inbox; return the seconds to wait before it."""
        if topic.startswith(INBOX_PREFIX):
            await self.direct_message(principal, topic.removeprefix(INBOX_PREFIX))
        return self.publish_wait(principal, PATIENCE)


def mailbox(email: str) -> str:
    """Return as what the mailbox of an address counts: mail servers deliver ``ada+anything@`` to ``ada@``.

    All that have a tag count together, and apart from the address itself: whoever invents tags takes nothing from it.
    """
    name, _, domain = address_key(email).rpartition("@")
    plain, tag, _ = name.partition("+")
    return f"{plain}{tag}@{domain}"


def _pair(principal: Principal, who: str) -> str:
    return f"{principal.id} {address_key(who)}"


def _advice(principal: Principal) -> str:
    """Return how the caller gets higher limits."""
    if principal.kind != "user" or principal.email_verified:
        return ""
    return " (the limits are higher once your address is verified)"


async def _count(limiter: RateLimiter, key: str, sentence: str, *, count: bool = True) -> RateLimitHeaders:
    state = await limiter.acquire(key, count=count)
    if state.wait:
        raise _limited(sentence, state.wait, limiter)
    return quota_headers(limiter.quota, remaining=state.remaining, reset=state.reset)


def _limited(sentence: str, wait: float, limiter: RateLimiter | Pacer) -> RateLimited:
    return RateLimited(f"{sentence}; try again {_words(wait)}.", retry_after=wait, quota=limiter.quota)


def _words(seconds: float) -> str:
    if seconds < 60:
        return "in a moment" if seconds <= 5 else f"in {round(seconds)} seconds"
    return f"in {round(seconds / 60)} minutes" if seconds >= 90 else "in a minute"
