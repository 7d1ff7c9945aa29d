"""Signatures of webhooks: GitHub's, and those of Standard Webhooks. Pure.

What is signed is compared in constant time. GitHub signs the body alone, and names the event and its id in headers
that are not signed; Standard Webhooks sign the id and the time too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from notifyx_common.errors import Unauthenticated
from notifyx_gateway.rest.hooks.kinds import Signature

TOLERANCE = 300.0
"""Seconds by which the time of a signed webhook may differ from the gateway's."""

MAX_SIGNATURES = 10
"""Signatures of one request that are compared; senders that rotate their secret send two."""

_HEADERS: Mapping[Signature, str] = {"github": "x-hub-signature-256", "standard": "webhook-signature"}


STANDARD_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


class InvalidSignature(Unauthenticated):
    """The webhook is not signed, or not with the secret that is known, or too long ago."""

    code = "invalid_signature"


def with_standard_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return ``headers`` (names in lower case) with Svix's own names as those of Standard Webhooks.

    Never one by one: an id that is not signed would stand beside a signature that holds for another.
    """
    renamed = dict(headers)
    if not any(name in headers for name in STANDARD_NAMES):
        for name in STANDARD_NAMES:
            if (value := headers.get(name.replace("webhook-", "svix-"))) is not None:
                renamed[name] = value
    return renamed


def require_signature(kind: Signature, headers: Mapping[str, str]) -> None:
    """Raise :class:`InvalidSignature` unless there is a signature; ``headers`` have lower-case names."""
    if not headers.get(_HEADERS[kind]):
        raise InvalidSignature(f"This webhook has to be signed: the header {_HEADERS[kind]} is missing.")


def verify(kind: Signature, headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Verify the signature of ``body``; ``now`` is in seconds since 1970. Raises :class:`InvalidSignature`."""
    if kind == "github":
        expected = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        if not hmac.compare_digest(headers.get(_HEADERS[kind], "").encode(), expected.encode()):
            raise InvalidSignature("The signature is not that of the body and the secret of this webhook.")
        return
    _verify_standard(headers, body, secret, now)


def _verify_standard(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 12):
        raise InvalidSignature("The headers webhook-id and webhook-timestamp are missing or malformed.")
    signed = b"%b.%b.%b" % (message_id.encode(), sent_at.encode(), body)
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    given = headers.get(_HEADERS["standard"], "").split(" ")[:MAX_SIGNATURES]
    if not any(hmac.compare_digest(one.encode(), expected) for one in given):
        raise InvalidSignature("The signature is not that of the webhook and its secret.")
    if abs(now - int(sent_at)) > TOLERANCE:
        raise InvalidSignature("The webhook was signed too long ago, or the clocks differ by more than five minutes.")


def _key(secret: str) -> bytes:
    """Return the key of a secret in the form of Standard Webhooks; any other text is the key itself."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()
