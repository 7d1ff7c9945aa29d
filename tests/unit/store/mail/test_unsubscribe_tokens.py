"""The one-click token: what was signed is read back, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from notifyx_common.errors import InvalidRequest
from notifyx_store.mail.bundle_rules import BUNDLE_TOPICS
from notifyx_store.mail.unsubscribe import sign, verify

SECRET = SecretStr("a secret of the tests")
ids = st.integers(1, 2**63 - 1)


@given(ids)
def test_a_signed_token_is_read_back(subscription: int) -> None:
    token = sign([subscription], SECRET)
    assert verify(token, [SECRET]) == [subscription]
    assert len(token) < 100


@given(st.lists(ids, min_size=2, max_size=BUNDLE_TOPICS))
def test_a_token_of_a_digest_names_several_and_fits_into_a_header(subscriptions: list[int]) -> None:
    token = sign(subscriptions, SECRET)
    assert verify(token, [SECRET]) == subscriptions
    assert len(token) <= 512
    more, signature = token.split(".")
    for forged in (f"{more}-1.{signature}", f"{more.rpartition('-')[0]}.{signature}", token.upper(), f"0{token}"):
        if forged != token:
            with pytest.raises(InvalidRequest):
                verify(forged, [SECRET])


@given(ids, ids)
def test_a_signature_is_good_for_one_subscription_only(mine: int, other: int) -> None:
    forged = f"{other}.{sign([mine], SECRET).partition('.')[2]}"
    if mine == other:
        assert verify(forged, [SECRET]) == [mine]
    else:
        with pytest.raises(InvalidRequest):
            verify(forged, [SECRET])


@given(st.one_of(st.text(max_size=512), st.from_regex(r"[0-9]{1,30}\.[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        verify(token, [SECRET])
    assert refused.value.code == "invalid_token"


@given(ids)
def test_another_secret_signs_other_tokens(subscription: int) -> None:
    with pytest.raises(InvalidRequest):
        verify(sign([subscription], SecretStr("another secret here")), [SECRET])


def test_one_number_has_one_token() -> None:
    token = sign([7], SECRET)
    for variant in (f"07{token[1:]}", f" {token}", f"{token}=", f"{token}.", token.upper()):
        with pytest.raises(InvalidRequest):
            verify(variant, [SECRET])


def test_the_first_links_still_work() -> None:
    secret = SecretStr("an-old-secret-of-32-characters-or-more")
    first = "4711.E5XEMvx6h5DZ9ut89LJCFnAmQ1HThQ32daMmsyqhIVo"
    """Made by the code that signed the first links."""
    assert verify(first, [secret]) == [4711]
    assert sign([4711], secret) != first
    for forged in (first.replace("4711", "4712"), first[:-1] + "p", first.lower()):
        with pytest.raises(InvalidRequest):
            verify(forged, [secret])


@given(ids)
def test_links_outlive_a_change_of_the_secret(subscription: int) -> None:
    old, new = SecretStr("the secret until today"), SECRET
    token = sign([subscription], old)
    assert verify(token, [old, new]) == [subscription]
    assert verify(sign([subscription], new), [old, new]) == [subscription]
    with pytest.raises(InvalidRequest):
        verify(token, [new])
