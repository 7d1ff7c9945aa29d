"""Whatever is sent as an access token, verifying it ends in a principal auth signed or in InvalidToken."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from notifyx_common.principal import ALL_SCOPES, Principal
from notifyx_common.tokens import (
    CLOCK_SKEW,
    ExpiredToken,
    InvalidToken,
    UnknownKey,
    principal_claims,
    sign_access_token,
    verify_access_token,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=5)
KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "one"})
OTHER = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "two"})
PUBLISHED = KeySet.import_key_set(KeySet([KEY, OTHER]).as_dict(private=False))
ADA = Principal(id="2c1c5f0e-6a53-4c4f-9c37-b1f0a9f3b0aa", email="ada@example.org", email_verified=True, name="Ada")
GOOD = sign_access_token(ADA, KEY, jti="j", issued_at=NOW, lifetime=LIFETIME).token

principals = st.builds(
    Principal,
    id=st.uuids().map(str),
    kind=st.just("user"),
    email=st.none() | st.emails(),
    email_verified=st.booleans(),
    name=st.text(max_size=50).filter(lambda text: text.isprintable()),
    role=st.sampled_from(["user", "admin"]),
    scopes=st.frozensets(st.sampled_from(sorted(ALL_SCOPES))),
)
keys = st.builds(
    lambda principal, topics, key_id: principal.model_copy(
        update={"kind": "api_key", "topics": tuple(topics) or None, "key_id": key_id}
    ),
    principals,
    st.lists(st.text("abc.*", min_size=1, max_size=10), max_size=5),
    st.text("0123456789abcdef", min_size=16, max_size=16),
)


def claims(**changes: Any) -> dict[str, Any]:
    issued = int(NOW.timestamp())
    all_claims = {
        "iss": "notifyx",
        "aud": "notifyx-gateway",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 300,
        "jti": "j",
        **principal_claims(ADA),
        **changes,
    }
    return {name: value for name, value in all_claims.items() if value is not ...}


def signed(payload: dict[str, Any], header: dict[str, Any] | None = None, key: Any = KEY, alg: str = "ES256") -> str:
    header = {"alg": alg, "kid": "one", "typ": "at+jwt", **(header or {})}
    return jwt.encode({k: v for k, v in header.items() if v is not ...}, payload, key, algorithms=[alg])


def raw(header: Any, payload: Any, signature: bytes = b"") -> str:
    def part(value: Any) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return f"{part(header)}.{part(payload)}.{part(signature)}"


def refused(token: str, now: datetime = NOW) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        verify_access_token(token, PUBLISHED, now)
    assert caught.value.http_status == 401
    return caught.value


@given(principal=principals | keys, seconds=st.integers(0, 299))
def test_what_is_signed_is_what_is_verified(principal: Principal, seconds: int) -> None:
    token = sign_access_token(principal, KEY, jti="j", issued_at=NOW, lifetime=LIFETIME)
    verified = verify_access_token(token.token, PUBLISHED, NOW + timedelta(seconds=seconds))
    assert verified.principal == principal
    assert verified.expires_at == token.expires_at == NOW + LIFETIME


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_noise_is_refused(text: str) -> None:
    refused(text)


@given(header=st.recursive(st.none() | st.integers() | st.text(max_size=8), st.lists), payload=st.binary(max_size=50))
def test_a_header_of_any_json_is_refused(header: Any, payload: bytes) -> None:
    refused(raw(header, payload))


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]),
        st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["ES256", "one", "at+jwt", "none"])
        | st.lists(st.text(max_size=4)) | st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
    )
)  # fmt: skip
def test_any_header_without_our_signature_is_refused(header: dict[str, Any]) -> None:
    refused(raw(header, claims(), b"\0" * 64))


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_token_is_refused(length: int) -> None:
    refused(GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("abcXYZ019-_.=+/ é\0"))
def test_a_token_with_one_character_changed_is_refused(position: int, character: str) -> None:
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    if changed != GOOD:
        refused(changed)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_alg_none_is_refused(alg: str) -> None:
    refused(raw({"alg": alg, "kid": "one", "typ": "at+jwt"}, claims()))


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_the_public_key_used_as_an_hmac_secret_is_refused(form: str) -> None:
    secret = {
        "pem": lambda: KEY.as_pem(private=False),
        "der": lambda: KEY.as_der(private=False),
        "jwk": lambda: json.dumps(KEY.as_dict(private=False)).encode(),
    }[form]()
    token = raw({"alg": "HS256", "kid": "one", "typ": "at+jwt"}, claims())
    signing_input = token.rpartition(".")[0].encode()
    signature = hmac.digest(secret, signing_input, "sha256")
    refused(f"{signing_input.decode()}.{_b64(signature)}")


def test_an_rsa_signature_is_refused() -> None:
    refused(signed(claims(), key=RSAKey.generate_key(2048), alg="RS256"))


def test_an_ec_key_of_another_curve_is_refused() -> None:
    key = ECKey.generate_key("P-384", {"kid": "one"})
    refused(signed(claims(), key=key, alg="ES384"))


@pytest.mark.parametrize("embedded", ["jwk", "jku", "x5c"])
def test_a_key_in_the_token_is_not_believed(embedded: str) -> None:
    forger = ECKey.generate_key("P-256")
    value: Any = {
        "jwk": forger.as_dict(private=False),
        "jku": "https://evil.example/jwks",
        "x5c": ["MIIB"],
    }[embedded]
    refused(signed(claims(), {embedded: value, "kid": "one"}, key=forger))


def test_extra_headers_are_refused_even_when_signed() -> None:
    refused(signed(claims(), {"cty": "JWT"}))


def test_claims_that_are_nested_too_deeply_are_refused_even_when_signed() -> None:
    # Put together by hand: Python's json module does not write them either.
    message = f"{signed(claims()).partition('.')[0]}.{_b64(b'[' * 3000 + b']' * 3000)}"
    algorithm = JWSRegistry(algorithms=["ES256"]).get_alg("ES256")
    refused(f"{message}.{_b64(algorithm.sign(message.encode(), KEY))}")


def test_a_key_that_is_not_published_is_told_apart() -> None:
    assert isinstance(refused(signed(claims(), {"kid": "three"})), UnknownKey)
    assert isinstance(refused(signed(claims(), {"kid": ...})), UnknownKey)
    empty = KeySet([])
    with pytest.raises(UnknownKey):
        verify_access_token(GOOD, empty, NOW)


def test_the_kid_of_another_published_key_is_refused() -> None:
    refused(signed(claims(), {"kid": "two"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone"},
        {"iss": ...},
        {"iss": ["notifyx"]},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": ...},
        {"aud": ""},
        {"exp": ...},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e30},
        {"exp": 10**30},
        {"exp": True},
        {"iat": ...},
        {"nbf": ...},
        {"jti": ...},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"role": "root"},
        {"role": ...},
        {"scope": ...},
        {"scope": ["read"]},
        {"topics": "all"},
        {"nbf": int(NOW.timestamp()) + CLOCK_SKEW + 1},
        {"iat": int(NOW.timestamp()) + CLOCK_SKEW + 1},
    ],
    ids=str,
)
def test_claims_that_are_wrong_or_missing_are_refused(changes: dict[str, Any]) -> None:
    assert verify_access_token(signed(claims()), PUBLISHED, NOW).principal == ADA
    refused(signed(claims(**changes)))


@pytest.mark.parametrize("typ", ["JWT", "at+JWT2", "id_token", ...])
def test_another_type_of_token_is_refused(typ: Any) -> None:
    header = {"alg": "ES256", "kid": "one"} | ({} if typ is ... else {"typ": typ})
    refused(jwt.encode(header, claims(), KEY, algorithms=["ES256"], default_type=None))


@given(st.integers(0, 10**9))
def test_an_expired_token_says_so(seconds: int) -> None:
    assert isinstance(refused(GOOD, NOW + LIFETIME + timedelta(seconds=seconds)), ExpiredToken)


def test_a_clock_that_is_a_little_behind_is_forgiven() -> None:
    assert verify_access_token(GOOD, PUBLISHED, NOW - timedelta(seconds=CLOCK_SKEW)).principal == ADA
    refused(GOOD, NOW - timedelta(seconds=CLOCK_SKEW + 1))


def test_a_scope_of_a_newer_version_grants_nothing() -> None:
    token = signed(claims(scope="read fly"))
    assert verify_access_token(token, PUBLISHED, NOW).principal.scopes == {"read"}


def test_what_may_have_been_meant_as_an_api_key_is_called_one() -> None:
    assert "API key" in refused("bad").reason
    assert "API key" not in refused(f"{GOOD}x").reason


def test_an_oversized_token_is_refused() -> None:
    assert "malformed" in refused(signed(claims(name="x" * 9000))).reason


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
