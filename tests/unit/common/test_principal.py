import tracemalloc
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifyx_common.errors import Forbidden, Unauthenticated
from notifyx_common.principal import Principal
from support.measured import undisturbed


def test_the_header_carries_a_principal() -> None:
    principal = Principal(id="u1", kind="api_key", email="a@b.c", scopes=frozenset({"read"}), topics=("deploys.*",))
    assert Principal.from_header(principal.to_header()) == principal


@given(st.text(max_size=200))
def test_a_malformed_header_is_refused(value: str) -> None:
    with pytest.raises(Unauthenticated):
        Principal.from_header(value)


def test_an_unverified_email_identifies_nobody() -> None:
    assert Principal(id="u1", email="boss@example.com").verified_emails == ()
    assert Principal(id="u1", email_verified=True).verified_emails == ()
    assert Principal(id="u1", email="Boss@example.com", email_verified=True).verified_emails == ("boss@example.com",)


def test_a_key_is_bound_to_its_scopes_and_topics() -> None:
    key = Principal(id="u1", kind="api_key", scopes=frozenset({"publish"}), topics=("deploys.*",))
    key.require_scope("publish", "deploys.web")
    with pytest.raises(Forbidden, match="scope"):
        key.require_scope("read", "deploys.web")
    with pytest.raises(Forbidden, match="topic"):
        key.require_scope("publish", "billing")


@given(st.text("ab.*", min_size=1, max_size=8), st.text("ab.", min_size=1, max_size=8))
@example("a*a", "a")
@example("*a*a", "aa")
def test_a_star_stands_for_any_characters(pattern: str, topic: str) -> None:
    key = Principal(id="u1", kind="api_key", topics=(pattern,))
    assert key.covers_topic(topic) == fnmatchcase(topic, pattern)


def test_patterns_are_not_kept() -> None:
    """What compiled patterns take would stay for the process: thousands of them, of keys that are deleted again."""
    patterns = tuple(f"{'*a' * 62}*{number:03}" for number in range(100))
    Principal(id="u1", topics=patterns).covers_topic("other")
    with undisturbed():
        tracemalloc.start()
        try:
            for number in range(3):
                Principal(id="u1", topics=tuple(f"{one}{number}" for one in patterns)).covers_topic("a" * 100)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < 100_000


def test_a_key_of_an_admin_is_no_admin() -> None:
    assert Principal(id="u1", role="admin").is_admin
    assert not Principal(id="u1", role="admin", kind="api_key").is_admin
