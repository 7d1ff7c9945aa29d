"""Sealed values: only what was sealed with the same key, for the same name, opens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.caching.sealing import Entry, Seal
from notifyx_common.secrets import derive_key

KEY = bytes(range(32))
NAMES = st.binary(max_size=20)


@given(NAMES, st.binary(max_size=50), st.floats(0, 1e11))
def test_what_was_sealed_opens_unchanged(name: bytes, content: bytes, expires_at: float) -> None:
    assert Seal(KEY).open(name, Seal(KEY).seal(name, content, expires_at)) == Entry(content, expires_at)


@given(st.data(), NAMES, st.binary(max_size=50))
def test_no_changed_byte_no_other_name_and_no_other_key_opens(data: st.DataObject, name: bytes, content: bytes) -> None:
    sealed = Seal(KEY).seal(name, content, 1e9)
    place = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:place] + bytes([sealed[place] ^ data.draw(st.integers(1, 255))]) + sealed[place + 1 :]
    assert Seal(KEY).open(name, changed) is None
    assert Seal(KEY).open(name, sealed[:place]) is None
    assert Seal(KEY).open(name, sealed + b"x") is None
    assert Seal(KEY[::-1]).open(name, sealed) is None
    assert Seal(KEY).open(data.draw(NAMES.filter(lambda other: other != name)), sealed) is None


@given(st.binary(max_size=100))
def test_what_others_wrote_does_not_open(stored: bytes) -> None:
    assert Seal(KEY).open(b"name", stored) is None


def test_keys_are_derived_as_the_standard_says_one_for_each_purpose() -> None:
    # HKDF-SHA256 without salt: independent of this code, computed with another library.
    assert derive_key("secret", "a").hex() == "d1661bca03d1dd3694617eefe235623b9b2e5f54b5d9a12462ba04e8b4652c7c"
    assert derive_key("secret", "b") != derive_key("secret", "a")
    assert derive_key("another", "a") != derive_key("secret", "a")
