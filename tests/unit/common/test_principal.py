import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.errors import Forbidden, Unauthenticated
from notifyx_common.principal import Principal


def test_the_header_carries_a_principal() -> None:
    principal = Principal(id="u1", kind="api_key", email="a@b.c", scopes=frozenset({"read"}), topics=("deploys.*",))
    assert Principal.from_header(principal.to_header()) == principal


@given(st.text(max_size=200))
def test_a_malformed_header_is_refused(value: str) -> None:
    with pytest.raises(Unauthenticated):
        Principal.from_header(value)


def test_an_unverified_email_identifies_nobody() -> None:
    assert not Principal(id="u1", email="boss@example.com").matches_grant("boss@example.com")
    assert Principal(id="u1", email="Boss@example.com", email_verified=True).matches_grant("boss@example.com")


def test_a_key_is_bound_to_its_scopes_and_topics() -> None:
    key = Principal(id="u1", kind="api_key", scopes=frozenset({"publish"}), topics=("deploys.*",))
    key.require_scope("publish", "deploys.web")
    with pytest.raises(Forbidden, match="scope"):
        key.require_scope("read", "deploys.web")
    with pytest.raises(Forbidden, match="topic"):
        key.require_scope("publish", "billing")


def test_a_key_of_an_admin_is_no_admin() -> None:
    assert Principal(id="u1", role="admin").is_admin
    assert not Principal(id="u1", role="admin", kind="api_key").is_admin
