"""Rotation as a pure function, and keys at rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_auth.base.errors import WrongSecret
from notifyx_auth.signing.keys import KeyCipher, KeyTimes, RotationPolicy, active_key, new_key, plan_rotation

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RotationPolicy(rotation=timedelta(hours=24), publish=timedelta(hours=1), lifetime=timedelta(minutes=5))


def test_the_first_key_signs_at_once() -> None:
    assert plan_rotation([], START, POLICY).create_active_at == START


def test_a_key_is_published_before_it_signs() -> None:
    first = KeyTimes("a", START)
    assert plan_rotation([first], START + timedelta(hours=22, minutes=59), POLICY).create_active_at is None
    assert plan_rotation([first], START + timedelta(hours=23), POLICY).create_active_at == START + timedelta(hours=24)
    late = START + timedelta(days=9)
    assert plan_rotation([first], late, POLICY).create_active_at == late + POLICY.publish


def test_a_retired_key_stays_until_its_last_token_is_dead() -> None:
    keys = [KeyTimes("a", START), KeyTimes("b", START + timedelta(hours=24))]
    gone = START + timedelta(hours=25, minutes=5)
    assert plan_rotation(keys, gone - timedelta(seconds=1), POLICY).remove == ()
    assert plan_rotation(keys, gone, POLICY).remove == ("a",)


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=80))
def test_at_every_time_a_known_key_signs_and_whatever_was_signed_can_be_verified(steps: list[int]) -> None:
    """Run rotation at irregular times, minutes to days apart, and check what verifiers rely on."""
    keys: list[KeyTimes] = []
    published: dict[str, datetime] = {}
    signed: list[tuple[str, datetime]] = []
    now = START
    for number, step in enumerate(steps):
        now += timedelta(seconds=step)
        todo = plan_rotation(keys, now, POLICY)
        keys = [key for key in keys if key.kid not in todo.remove]
        if todo.create_active_at is not None:
            keys.append(KeyTimes(f"key{number}", todo.create_active_at))
            published[f"key{number}"] = now
        again = plan_rotation(keys, now, POLICY)
        assert (again.create_active_at, again.remove) == (None, ())
        current = active_key(keys, now)
        assert current is not None
        if current.kid != "key0":
            assert published[current.kid] <= now
            assert current.active_at - published[current.kid] >= POLICY.publish
        signed.append((current.kid, now))
        kids = {key.kid for key in keys}
        assert all(kid in kids for kid, at in signed if now < at + POLICY.lifetime)
        assert len(keys) <= 3


def test_a_private_key_is_sealed_with_its_name_and_secret() -> None:
    key = new_key()
    cipher = KeyCipher("a-secret-of-32-characters-or-more")
    sealed = cipher.encrypt(key)
    assert cipher.decrypt(str(key.kid), sealed).as_dict(private=True) == key.as_dict(private=True)
    assert str(key.as_dict(private=True)["d"]).encode() not in sealed
    for kid, other in (("another", cipher), (str(key.kid), KeyCipher("another secret of 32 characters...."))):
        with pytest.raises(WrongSecret, match="NOTIFYX_AUTH_SECRET"):
            other.decrypt(kid, sealed)
    for damaged in (b"", sealed[:20], sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(WrongSecret):
            cipher.decrypt(str(key.kid), damaged)
