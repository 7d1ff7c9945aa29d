"""Who calls: the bearer token of a request."""

from __future__ import annotations

import pytest

from notifyx_common.errors import Unauthenticated
from notifyx_gateway.upstream.identity import bearer_token


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer ä", "Token x"])
def test_what_is_not_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(header)


def test_a_bearer_token_is_found_whatever_the_case() -> None:
    assert [bearer_token(f"{word} abc") for word in ("Bearer", "bearer", "BEARER")] == ["abc"] * 3
