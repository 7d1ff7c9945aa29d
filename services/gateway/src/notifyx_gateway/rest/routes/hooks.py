"""``/api/v1/topics/{name}/hooks``: webhooks of other software, and the secrets with which it sends them.

A webhook is authenticated by a Bearer token, by a secret in its URL or in the sender's own header, or by the sender's
signature, where the URL holds only an id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quart import Blueprint, Response, request

from notifyx_common.clock import Clock
from notifyx_common.contracts.hooks import CreatedHook, HookRotation, NewHook, OpenedHook, TopicHook
from notifyx_common.errors import Forbidden, InvalidRequest, NotFound
from notifyx_common.principal import Principal
from notifyx_common.serving.current import current_state
from notifyx_common.serving.web import json_response
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import SMALL_BODY, query, read_bytes, read_model, read_optional_model
from notifyx_gateway.rest.hooks.kinds import Kind, kind_of
from notifyx_gateway.rest.hooks.publication import Delivery
from notifyx_gateway.rest.hooks.signatures import require_signature, verify, with_standard_names
from notifyx_gateway.rest.large_bodies import LargeBodies
from notifyx_gateway.rest.parameters import topic_name
from notifyx_gateway.rest.publish_request import PublishRequest, read_hook
from notifyx_gateway.rest.publishing import Publishing
from notifyx_gateway.sizes import Sizes
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.hooks import HOOK_ID, SECRET, HookSecrets, InvalidHook
from notifyx_gateway.upstream.identity import bearer_token
from notifyx_gateway.upstream.recipients import Recipients
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX

EACH = ("alert", "group")
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class HookCaller:
    """Who sends a webhook, and whether a signature proved it."""

    principal: Principal
    signed: bool = False


class HookCallers:
    """Finds out who sends the webhook of the current request."""

    def __init__(self, request_auth: RequestAuthenticator, secrets: HookSecrets, clock: Clock) -> None:
        self._request_auth = request_auth
        self._secrets = secrets
        self._clock = clock

    async def caller(self, name: str, kind: Kind, credential: str | None, headers: dict[str, str]) -> HookCaller:
        """Return the caller. Raises :class:`~notifyx_common.errors.Unauthenticated`."""
        shown = credential or headers.get(kind.credential_header, "")
        if not shown:
            token = bearer_token(headers.get("authorization"))
            if SECRET.fullmatch(token) is None:
                return HookCaller(await self._request_auth.principal())
            shown = token
        if HOOK_ID.fullmatch(shown) is None or kind.signature is None:
            return HookCaller(_checked(await self._secrets.by_secret(shown), name, kind))
        if kind.credential_header and (token := headers.get(kind.credential_header, "")):
            return HookCaller(_checked(await self._secrets.by_secret(token), name, kind))
        require_signature(kind.signature, headers)
        opened = await self._secrets.by_id(shown)
        principal = _checked(opened, name, kind)
        now = self._clock.now().timestamp()
        verify(kind.signature, headers, await read_bytes(), opened.signing_secret or "", now)
        await self._secrets.record_use(shown)
        return HookCaller(principal, signed=True)


def hook_routes(
    *,
    request_auth: RequestAuthenticator,
    secrets: HookSecrets,
    publishing: Publishing,
    sizes: Sizes,
    large_bodies: LargeBodies,
    clock: Clock,
) -> Blueprint:
    """Return the routes that receive webhooks."""
    blueprint = Blueprint("hooks", __name__, url_prefix="/api/v1")
    callers = HookCallers(request_auth, secrets, clock)

    async def receive(name: str, kind: str, credential: str | None = None) -> Response:
        wanted = kind_of(kind)
        headers = with_standard_names({header.lower(): value for header, value in request.headers.items()})
        caller = await callers.caller(name, wanted, credential, headers)
        principal = current_state().caller = caller.principal
        topic = topic_name(name, inbox_of=principal.id)
        principal.require_scope("publish", topic)
        each = query("each").get("each", EACH[0])
        if each not in EACH:
            raise InvalidRequest.of_field("each", "This is alert or group: what becomes one notification.")
        body = await read_bytes()
        sender = principal.key_id or ""
        delivery = Delivery(None, headers, each, sender=sender, signed=caller.signed, sizes=sizes)
        media = request.content_type or ""
        parts = await large_bodies.read(body, lambda: read_hook(wanted, media, body, delivery))
        reply = await publishing.answer(principal, topic, PublishRequest(parts, "webhook", by_key=True))
        return reply.response()

    blueprint.add_url_rule("/topics/<name>/hooks/<kind>", "receive", receive, methods=["POST"])
    blueprint.add_url_rule("/topics/<name>/hooks/<kind>/<credential>", "receive_secret", receive, methods=["POST"])
    return blueprint


def hook_secret_routes(
    *,
    request_auth: RequestAuthenticator,
    auth: Auth,
    store: Store,
    recipients: Recipients,
    changes: CredentialChanges,
    base_url: str,
) -> Blueprint:
    """Return the routes with which people make, list, rotate and delete secrets of webhooks."""
    blueprint = Blueprint("hook_secrets", __name__, url_prefix="/api/v1")

    async def require_publish(principal: Principal, topic: str) -> None:
        """Raise what a publish would, so that nobody enters an address in a sender that never takes anything."""
        principal.require_scope("publish", topic)
        if topic.startswith(INBOX_PREFIX):
            await recipients.require(principal, topic)
        elif not (await store.topic(principal, topic)).can_publish:
            raise Forbidden(f"You may not publish to '{topic}'.", code="not_a_publisher")

    @blueprint.post("/topics/<name>/hooks")
    async def create(name: str) -> Response:
        principal = await request_auth.principal("manage")
        topic = topic_name(name, inbox_of=principal.id)
        wanted = await read_model(NewHook, SMALL_BODY)
        kind = kind_of(wanted.kind)
        if wanted.signing_secret is not None and kind.signature is None:
            raise InvalidRequest.of_field("signing_secret", "Senders of this kind do not sign.")
        await require_publish(principal, topic)
        created = await auth.create_hook(principal, TopicHook(topic=topic, **dict(wanted)))
        request_auth.record("hook_created", "succeeded", subject=created.id, reason=f"{created.kind} of {topic}")
        await changes.refresh_now()
        return json_response(_with_urls(created, base_url), 201, NO_STORE)

    @blueprint.get("/topics/<name>/hooks")
    async def of_topic(name: str) -> Response:
        principal = await request_auth.principal("read")
        topic = topic_name(name, inbox_of=principal.id)
        query()
        found = await auth.list_hooks(principal)
        return json_response({"items": [hook for hook in found.items if hook.topic == topic]})

    @blueprint.get("/hooks")
    async def of_all_topics() -> Response:
        query()
        return json_response(await auth.list_hooks(await request_auth.principal("read")))

    @blueprint.post("/hooks/<hook_id>/rotate")
    async def rotate(hook_id: str) -> Response:
        principal = await request_auth.principal("manage")
        wanted = await read_optional_model(HookRotation, SMALL_BODY)
        created = await auth.rotate_hook(principal, _hook_id(hook_id), wanted)
        request_auth.record("hook_rotated", "succeeded", subject=created.id)
        await changes.refresh_now()
        return json_response(_with_urls(created, base_url), 200, NO_STORE)

    @blueprint.delete("/hooks/<hook_id>")
    async def delete(hook_id: str) -> Response:
        principal = await request_auth.principal("manage")
        await auth.delete_hook(principal, _hook_id(hook_id))
        request_auth.record("hook_deleted", "succeeded", subject=hook_id)
        await changes.refresh_now()
        return Response(status=204)

    return blueprint


def _checked(opened: OpenedHook, name: str, kind: Kind) -> Principal:
    if (opened.topic, opened.kind) != (topic_name(name, inbox_of=opened.principal.id), kind.name):
        raise InvalidHook("This secret is that of another topic, or of another kind of webhook.")
    return opened.principal


def _hook_id(text: str) -> str:
    if HOOK_ID.fullmatch(text) is None:
        raise NotFound("You have no such secret of a webhook.")
    return text


def _with_urls(created: CreatedHook, base_url: str) -> dict[str, Any]:
    address = f"{base_url}/api/v1/topics/{created.topic}/hooks/{created.kind}"
    signed = f"{address}/{created.id}" if created.signing_secret is not None else None
    return {**created.model_dump(mode="json"), "url": f"{address}/{created.secret}", "signed_url": signed}
