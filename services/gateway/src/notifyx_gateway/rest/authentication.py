"""Authenticates REST requests: the principal, what the credential permits, and rate limits by client address.

What was refused, and what changed a right, goes to the security log with the client and its address.
"""

from __future__ import annotations

import re

from quart import Quart, Response, request

from notifyx_common.contracts.call import INTERNAL
from notifyx_common.errors import Forbidden, NotifyxError
from notifyx_common.limiting.addresses import capped_address, limited_address, may_be_proxy
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal, Scope
from notifyx_common.security_log import Event, Outcome, SecurityLog
from notifyx_common.serving.current import AnyRequest, current_request, current_state
from notifyx_common.serving.direct import DirectSteps, before_each
from notifyx_common.serving.direct_request import DirectRequest
from notifyx_common.tokens import VerifiedToken
from notifyx_gateway.limits import Limits
from notifyx_gateway.settings import GatewaySettings
from notifyx_gateway.upstream.identity import Authenticator, bearer_token

log = get_logger(__name__)

_CREDENTIAL = re.compile(r"(/topics/[^/]*/hooks/[^/]*/)(?:(nfh_[0-9a-f]{16})_.*|([0-9a-f]{16})|.*)\Z", re.DOTALL)
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class RequestAuthenticator:
    """Authenticates and rate-limits the request of the current context."""

    def __init__(
        self,
        authenticator: Authenticator,
        settings: GatewaySettings,
        *,
        limits: Limits,
        security: SecurityLog,
        metrics: Metrics,
    ) -> None:
        self.authenticator = authenticator
        self.limits = limits
        self._security = security
        self._proxies = settings.proxies
        self._private_proxy = settings.private_proxy
        self._untrusted = metrics.counter("notifyx_forwarded_untrusted_total")
        self._warned = False

    async def credential(self) -> VerifiedToken:
        """Return the verified credential. Raises :class:`Unauthenticated`, or :class:`Unavailable` without auth."""
        token = bearer_token(current_request().headers.get("Authorization"))
        verified = await self.authenticator.authenticate(token, self.address())
        current_state().caller = verified.principal
        return verified

    async def principal(self, scope: Scope | None = None, topic: str | None = None) -> Principal:
        """Return the principal. Raises as :meth:`credential`, and :class:`Forbidden` if ``scope`` is missing."""
        principal = (await self.credential()).principal
        if scope is not None:
            principal.require_scope(scope, topic)
        return principal

    async def unrestricted_principal(self, scope: Scope) -> Principal:
        """Return the principal of a call that spans all topics. Raises :class:`Forbidden` for a key of some topics."""
        principal = await self.principal(scope)
        if principal.topics is not None and "*" not in principal.topics:
            raise Forbidden("This credential covers some topics only.", code="topic_not_covered")
        return principal

    async def limit_sign_ups(self) -> None:
        """Raise :class:`RateLimited` if this address signs up too often."""
        current_state().rate_limit = await self.limits.sign_up(self.address())

    async def limit_token_requests(self) -> None:
        """Raise :class:`RateLimited` if this address requests tokens too often."""
        current_state().rate_limit = await self.limits.token_request(self.address())

    async def limit_dashboard(self) -> None:
        """Raise :class:`RateLimited` if this address asks for the dashboard too often."""
        current_state().rate_limit = await self.limits.dashboard(self.address())

    async def limit_topics(self, principal: Principal) -> None:
        """Raise :class:`RateLimited` if the caller creates topics too often."""
        current_state().rate_limit = await self.limits.create_topic(principal)

    def address(self) -> str:
        """Return the client's address, as rate limits and the security log see it."""
        return limited_address(
            current_request().remote_addr, _forwarded_for(), self._proxies, private_proxy=self._private_proxy
        )

    def capped_address(self) -> str | None:
        """Return the client's address if it is that of one client; ``None`` if many may be behind it."""
        return capped_address(current_request().remote_addr, _forwarded_for(), self._proxies)

    def _notice_untrusted_proxy(self, peer: str) -> None:
        if not may_be_proxy(peer, ()):
            return
        self._untrusted.inc()
        if not self._warned:
            self._warned = True
            log.warning("proxy_not_trusted", peer=peer, setting="NOTIFYX_TRUSTED_PROXIES")

    def record(self, event: Event, outcome: Outcome, *, actor: str = "", subject: str = "", reason: str = "") -> None:
        """Record an event of the current request; ``actor`` defaults to its authenticated caller."""
        caller = current_state().caller
        self._security.record(
            event,
            outcome,
            actor=actor or (caller.id if caller is not None else ""),
            credential=(caller.key_id or "") if caller is not None else "",
            subject=subject,
            address=self.address(),
            reason=reason,
        )

    def record_failure(self, event: Event, error: NotifyxError, *, subject: str = "") -> None:
        """Record that what the current request wanted did not come about, unless a service is at fault."""
        if error.http_status < 500:
            outcome: Outcome = "refused" if error.http_status in (403, 429) else "failed"
            self.record(event, outcome, subject=subject, reason=error.code)

    def record_rejection(self, error: NotifyxError) -> None:
        """Record that the current request was refused with ``error``."""
        caller, request = current_state().caller, current_request()
        self._security.record_rejection(
            error,
            actor=caller.id if caller is not None else "",
            credential=(caller.key_id or "") if caller is not None else "",
            subject=f"{request.method} {logged_path(request.path)}",
            address=self.address(),
        )

    def observe(self, app: Quart) -> None:
        """Record every refusal of ``app``, what administrators change, and proxies that are not trusted."""

        before_each(app, self._notice_proxy)

        @app.after_request
        async def after(response: Response) -> Response:
            self._record_outcome(request)
            return response

        def after_direct(incoming: DirectRequest, status: int, headers: dict[str, str]) -> None:
            self._record_outcome(incoming)

        steps = DirectSteps.of(app)
        if steps is not None:
            steps.after.append(after_direct)

    def _notice_proxy(self, incoming: AnyRequest) -> None:
        if not self._proxies and "X-Forwarded-For" in incoming.headers:
            self._notice_untrusted_proxy(incoming.remote_addr or "")

    def _record_outcome(self, incoming: AnyRequest) -> None:
        state = current_state()
        if state.error is not None:
            if not incoming.path.startswith(INTERNAL):
                self.record_rejection(state.error)
            return
        changes = incoming.method in _CHANGES and incoming.blueprint not in ("notifications", "hooks")
        if changes and state.caller is not None and state.caller.is_admin:
            self.record("admin_access", "succeeded", subject=f"{incoming.method} {logged_path(incoming.path)}")


def logged_path(path: str) -> str:
    """Return ``path`` without what stands where the secret of a webhook does; the id of a secret or alone stays."""
    return _CREDENTIAL.sub(lambda found: f"{found[1]}{found[3] or (found[2] or '') + '…'}", path)


def _forwarded_for() -> str:
    # A proxy may add a line of its own after one that its client sent.
    return ",".join(current_request().headers.getlist("X-Forwarded-For"))
