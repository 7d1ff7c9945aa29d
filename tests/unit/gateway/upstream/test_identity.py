"""Who calls: the bearer token of a request."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet

from notifyx_common.background import Background
from notifyx_common.clock import SystemClock
from notifyx_common.contracts.auth import JwkSet
from notifyx_common.errors import NotifyxError, Unauthenticated, Unavailable
from notifyx_common.metrics import Metrics
from notifyx_common.principal import Principal
from notifyx_common.tokens import sign_access_token
from notifyx_gateway.upstream import identity
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_state import CredentialState
from notifyx_gateway.upstream.identity import Authenticator, bearer_token
from support.patience import PATIENCE, until

KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "one"})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer ä", "Token x"])
def test_what_is_not_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(header)


def test_a_bearer_token_is_found_whatever_the_case() -> None:
    assert [bearer_token(f"{word} abc") for word in ("Bearer", "bearer", "BEARER")] == ["abc"] * 3


class LateAuth(Auth):
    """Auth whose keys are read when the test lets them be."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()

    async def signing_keys(self, *, deadline: float, try_timeout: float) -> JwkSet:
        await self.answers.wait()
        return JwkSet.model_validate(KeySet([KEY]).as_dict(private=False))


async def test_a_token_that_comes_before_the_first_read_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, metrics, auth, state = SystemClock(), Metrics(), LateAuth(), CredentialState()
    ada = Principal(id="2c1c5f0e-6a53-4c4f-9c37-b1f0a9f3b0aa")
    token = sign_access_token(ada, KEY, jti="j", issued_at=clock.now(), lifetime=timedelta(hours=1)).token
    authenticator = Authenticator(auth, state=state, clock=clock, metrics=metrics, background=Background(metrics))
    async with authenticator:
        with monkeypatch.context() as patched:
            patched.setattr(identity, "FIRST_READ_TIMEOUT", 0.0)
            with pytest.raises(Unavailable, match="have not been read yet"):
                await authenticator.authenticate(token)
        monkeypatch.setattr(identity, "FIRST_READ_TIMEOUT", PATIENCE)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(authenticator.authenticate(token))
            auth.answers.set()

            async def read() -> dict[str, Any] | None:
                try:
                    return authenticator.jwks
                except NotifyxError:
                    return None

            await until(read, "the keys are read")
            assert not waiting.done(), "which credentials have ended has not been read"
            state.known = True
            authenticator.state_was_read()
        assert waiting.result().principal.id == ada.id
