"""The gateway's calls of the store that are sent one by one: of people's topics, subscriptions, pages and emails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from notifyx_common.calls.client import ServiceClient
from notifyx_common.clock import Clock
from notifyx_common.contracts.call import Raw
from notifyx_common.contracts.store.acks import (
    ACK_STATE,
    AcksQuery,
    AckState,
)
from notifyx_common.contracts.store.addresses import EMAIL_STATE, RESUME_EMAIL, EmailResumed, EmailState
from notifyx_common.contracts.store.inbox import INBOXES, InboxOwners
from notifyx_common.contracts.store.incidents import MERGE_INCIDENTS, Incident, ObservedIncidents
from notifyx_common.contracts.store.ledger import LEDGER, Ledger
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.outbox import (
    ACKNOWLEDGE_MAIL,
    MAIL_TO_ACKNOWLEDGE,
    RELEASE_MAILS,
    AcknowledgedMail,
    AcknowledgeToken,
    MailToAcknowledge,
    ReleasedMails,
    VerifiedUser,
)
from notifyx_common.contracts.store.people import PUBLISHED, PublishedPage, PublishedQuery
from notifyx_common.contracts.store.search import SEARCH, SEARCH_DIRECT, DirectSearchQuery, FoundPage, SearchQuery
from notifyx_common.contracts.store.subscriptions import (
    EMAILED_TOPICS,
    STOP_EMAILS,
    SUBSCRIBE,
    SUBSCRIBERS,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    UNSUBSCRIBE,
    EmailedTopic,
    Subscribers,
    SubscribersQuery,
    Subscription,
    SubscriptionRequest,
    Subscriptions,
    SubscriptionSettings,
    UnsubscribeToken,
)
from notifyx_common.contracts.store.threads import THREAD, THREADS, ThreadPage, ThreadQuery, ThreadsPage, ThreadsQuery
from notifyx_common.contracts.store.topics import (
    CHANGE_TOPIC,
    CREATE_TOPIC,
    DELETE_TOPIC,
    LIST_TOPICS,
    READ_TOPIC,
    NewTopic,
    Topic,
    TopicChange,
    TopicPatch,
    Topics,
    TopicsQuery,
)
from notifyx_common.errors import NotFound, TooManyRequests, Unavailable
from notifyx_common.limiting.turns import KeyedTurns
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal, system_principal
from notifyx_gateway.upstream.fair_queue import RETRY_AFTER

DEADLINE = 8.0
"""Timeout of a batched item in seconds, with waiting and retries (a Phoenix client gives up after 10)."""

CONCURRENT_CHANGES = 4
"""Changes of one account that a gateway requests from the store at once, by default."""

CONCURRENT_PAGES = 4
"""Pages of one account that a gateway reads from the store at once, by default."""


class StoreCalls:
    """Each method raises the :class:`~notifyx_common.errors.NotifyxError` that applies to its caller."""

    def __init__(
        self,
        client: ServiceClient,
        *,
        clock: Clock,
        metrics: Metrics,
        concurrent_changes: int = CONCURRENT_CHANGES,
        concurrent_pages: int = CONCURRENT_PAGES,
    ) -> None:
        """``concurrent_changes`` and ``concurrent_pages`` are the numbers of turns of an account (:meth:`turn`,
        :meth:`page_turn`).
        """
        self.client = client
        self._clock = clock
        self._change_turns, self._page_turns = KeyedTurns(concurrent_changes), KeyedTurns(concurrent_pages)
        self._turn_rejections = metrics.counter("notifyx_queue_rejections_total")

    def turn(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Wait for one of the few turns of an account to change something, so that it never holds the connections of a
        store. Raises :class:`TooManyRequests` where none comes in time.
        """
        return self._turn(self._change_turns, "changes", principal)

    def page_turn(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Wait for one of the few turns of an account to read a page of a log, an inbox or a list; as :meth:`turn`."""
        return self._turn(self._page_turns, "pages", principal)

    @asynccontextmanager
    async def _turn(self, turns: KeyedTurns, kind: str, principal: Principal) -> AsyncIterator[None]:
        began, waits = self._clock.monotonic(), turns.busy(principal.id)
        try:
            end = await turns.take(principal.id, DEADLINE)
        except TimeoutError:
            self._turn_rejections.labels(kind).inc()
            raise TooManyRequests(
                "This account has too many requests waiting; try again soon.", retry_after=RETRY_AFTER
            ) from None
        try:
            if waits:
                self.client.check_outage(began)  # whoever waited in turn gets the outage at once
            yield
        finally:
            end()

    async def ack_state(
        self, principal: Principal, topic: str, *, after: int | None = None, before: int | None = None
    ) -> Raw[AckState]:
        """Return what the caller has acknowledged between two seqs."""
        return await self.client.send(ACK_STATE, AcksQuery(topic, after=after, before=before), principal=principal)

    async def threads(self, principal: Principal, *, limit: int, after: str | None = None) -> ThreadsPage:
        """Return a page of those with whom the caller exchanged direct messages, the newest first."""
        return await self.client.send(THREADS, ThreadsQuery(limit=limit, after=after), principal=principal)

    async def thread(self, principal: Principal, user: str, *, limit: int, after: str | None = None) -> Raw[ThreadPage]:
        """Return a page of the direct messages between the caller and ``user``."""
        return await self.client.send(THREAD, ThreadQuery(user, limit=limit, after=after), principal=principal)

    async def search(
        self,
        principal: Principal,
        text: str,
        *,
        topic: str | None = None,
        unread: bool = False,
        limit: int,
        after: str | None = None,
    ) -> Raw[FoundPage]:
        """Return a page of what ``text`` finds in ``topic``, or in the caller's inbox, the newest first."""
        request = SearchQuery(text, topic=topic, unread=unread, limit=limit, after=after)
        with _search_known():
            return await self.client.send(SEARCH, request, principal=principal)

    async def search_direct(
        self, principal: Principal, text: str, *, limit: int, after: str | None = None
    ) -> Raw[FoundPage]:
        """Return a page of what ``text`` finds in both sides of the caller's direct messages, the newest first."""
        request = DirectSearchQuery(text, limit=limit, after=after)
        with _search_known():
            return await self.client.send(SEARCH_DIRECT, request, principal=principal)

    async def published(self, principal: Principal, after: str) -> Raw[PublishedPage]:
        """Return a page of what the caller has published, in all topics."""
        return await self.client.send(PUBLISHED, PublishedQuery(after), principal=principal)

    async def inboxes(self, users: Sequence[str], *, create: bool) -> list[str]:
        """Return those of ``users`` who have an inbox topic; with ``create``, create the missing ones."""
        try:
            return (await self.client.send(INBOXES, InboxOwners(users=list(users), create=create))).users
        except NotFound:
            # A store of the previous release, which is about to be replaced.
            raise Unavailable("The store cannot check recipients right now; try again soon.") from None

    async def topics(self, principal: Principal, *, limit: int, after: str = "", query: str = "") -> Topics:
        """Return a page of the topics that the caller may see."""
        return await self.client.send(LIST_TOPICS, TopicsQuery(limit=limit, after=after, q=query), principal=principal)

    async def topic(self, principal: Principal, topic: str) -> Topic:
        """Return a topic as the caller sees it."""
        return await self.client.send(READ_TOPIC, TopicPath(topic), principal=principal)

    async def create_topic(self, principal: Principal, topic: NewTopic) -> Topic:
        """Create a topic; the caller becomes its creator."""
        async with self.turn(principal):
            return await self.client.send(CREATE_TOPIC, topic, principal=principal)

    async def change_topic(self, principal: Principal, topic: str, patch: TopicPatch) -> Topic:
        """Change a topic."""
        async with self.turn(principal):
            return await self.client.send(CHANGE_TOPIC, TopicChange(topic, patch), principal=principal)

    async def delete_topic(self, principal: Principal, topic: str) -> None:
        """Delete a topic."""
        async with self.turn(principal):
            await self.client.send(DELETE_TOPIC, TopicPath(topic), principal=principal)

    async def subscribe(self, principal: Principal, topic: str, settings: SubscriptionSettings) -> Subscription:
        """Subscribe the caller, or change their settings."""
        async with self.turn(principal):
            return await self.client.send(SUBSCRIBE, SubscriptionRequest(topic, settings), principal=principal)

    async def subscription(self, principal: Principal, topic: str) -> Subscription:
        """Return the caller's subscription to a topic."""
        return await self.client.send(SUBSCRIPTION, TopicPath(topic), principal=principal)

    async def unsubscribe(self, principal: Principal, topic: str) -> None:
        """End the caller's subscription."""
        async with self.turn(principal):
            await self.client.send(UNSUBSCRIBE, TopicPath(topic), principal=principal)

    async def subscriptions(self, principal: Principal) -> list[Subscription]:
        """Return all of the caller's subscriptions, the inbox topic included."""
        return (await self.subscriptions_json(principal)).read(Subscriptions).items

    async def subscriptions_json(self, principal: Principal) -> Raw[Subscriptions]:
        """Return what :meth:`subscriptions` does as JSON: it can be long."""
        return await self.client.send(SUBSCRIPTIONS, None, principal=principal)

    async def subscribers(self, principal: Principal, topic: str, *, limit: int, after: str = "") -> Subscribers:
        """Return a page of a topic's subscribers, for those who may manage it."""
        return await self.client.send(SUBSCRIBERS, SubscribersQuery(topic, limit, after), principal=principal)

    async def email_state(self, principal: Principal) -> EmailState:
        """Return whether email reaches the caller."""
        return await self.client.send(EMAIL_STATE, None, principal=principal)

    async def resume_email(self, principal: Principal) -> EmailResumed:
        """Try the caller's address again, which was refused."""
        return await self.client.send(RESUME_EMAIL, None, principal=principal)

    async def stop_emails(self, token: str, topics: Sequence[str] | None = None) -> None:
        """End the emails about ``topics`` of those in the token of an unsubscribe link; without it of all."""
        chosen = None if topics is None else list(topics)
        await self.client.send(STOP_EMAILS, UnsubscribeToken(token=token, topics=chosen))

    async def emailed_topics(self, token: str) -> list[EmailedTopic]:
        """Return the topics whose emails an unsubscribe link ends."""
        return (await self.client.send(EMAILED_TOPICS, UnsubscribeToken(token=token))).topics

    async def release_mails(self, user: str) -> ReleasedMails:
        """Make the email due that waited for the address of ``user`` to be verified."""
        principal = system_principal("dispatcher")
        return await self.client.send(RELEASE_MAILS, VerifiedUser(user=user), principal=principal)

    async def acknowledge_mail(self, token: str) -> AcknowledgedMail:
        """Acknowledge what the email of that "Acknowledge" link is about."""
        return await self.client.send(ACKNOWLEDGE_MAIL, AcknowledgeToken(token=token))

    async def mail_to_acknowledge(self, token: str) -> MailToAcknowledge:
        """Return what that "Acknowledge" link would do, without doing it. Raises what :meth:`acknowledge_mail` does."""
        return await self.client.send(MAIL_TO_ACKNOWLEDGE, AcknowledgeToken(token=token))

    async def ledger(self, principal: Principal) -> Ledger:
        """Return the deployment's ledger, for admins and services of the platform."""
        return await self.client.send(LEDGER, None, principal=principal)

    async def merge_incidents(self, observed: Sequence[Incident]) -> list[Incident]:
        """Merge what this gateway has observed into the list of all gateways, and return it."""
        principal = system_principal("dashboard")
        wanted = ObservedIncidents(items=list(observed))
        return (await self.client.send(MERGE_INCIDENTS, wanted, principal=principal)).items


@contextmanager
def _search_known() -> Iterator[None]:
    """Raise :class:`Unavailable` where the store is of a previous release, which is about to be replaced."""
    try:
        yield
    except NotFound as error:
        if error.code != NotFound.code:
            raise
        raise Unavailable("The store cannot search right now; try again soon.") from None
