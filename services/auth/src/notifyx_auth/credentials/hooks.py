"""Secrets of webhooks: each publishes to one topic, for one kind of sender, in its owner's name.

``nfh_<id>_<secret>`` is in the sender's URL or header, and stored by its hash. A sender that signs has a secret of its
own, which has to be readable to verify a signature: it is encrypted, bound to the id.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tortoise.transactions import in_transaction

from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import InvalidHook, TooManyHooks
from notifyx_auth.base.models import Hook
from notifyx_auth.base.secret_formats import digest, new_secret, verify_secret
from notifyx_auth.credentials.owned_credentials import lock_owner, owner_with, record_use
from notifyx_auth.users.users import by_id, require_user
from notifyx_common.contracts.hooks import CreatedHook, HookRotation, OpenedHook, OpenHook, RotateHook, TopicHook
from notifyx_common.contracts.hooks import Hook as HookView
from notifyx_common.database import CONNECTION
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_common.principal import Principal
from notifyx_common.secrets import derive_key

SIGNING_KINDS = frozenset({"github", "gitlab", "standard"})
"""Kinds whose senders sign; each of their secrets has a signing secret."""

MAX_PER_USER = 200


class HookCipher:
    """Encrypts signing secrets with a key derived from the service's secret (AES-256-GCM, bound to the id)."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(derive_key(secret, "notifyx auth signing secrets of webhooks"))

    def encrypt(self, hook_id: str, secret: str) -> bytes:
        """Return the encrypted secret."""
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), hook_id.encode())

    def decrypt(self, hook_id: str, sealed: bytes) -> str:
        """Return the secret. Raises :class:`InvalidHook` for one that another secret of the service encrypted."""
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], hook_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise InvalidHook("The signing secret of this webhook cannot be read any more; rotate it.") from None


class Hooks:
    """The secrets of webhooks. Calls are made within the guard of the database."""

    def __init__(self, cipher: HookCipher, changes: ChangeLog) -> None:
        self._cipher = cipher
        self._changes = changes

    async def create(self, owner: Principal, wanted: TopicHook, session: str, now: datetime) -> CreatedHook:
        """Create a secret for ``owner``, who is signed in with ``session``; only this answer holds it.

        Raises :class:`Forbidden`, :class:`SessionEnded`, :class:`TooManyHooks`.
        """
        require_user(owner, "manage secrets of webhooks")
        owner.require_scope("publish", wanted.topic)
        user = await by_id(owner.id)
        hook_id, secret = secrets.token_hex(8), new_secret()
        signing = _signing_secret(wanted) if wanted.kind in SIGNING_KINDS else None
        async with in_transaction(CONNECTION) as transaction:
            await lock_owner(user, session, now)
            if await Hook.filter(user=user).count() >= MAX_PER_USER:
                raise TooManyHooks(f"A user can have {MAX_PER_USER} secrets of webhooks; delete one first.")
            row = await Hook.create(
                id=hook_id,
                user=user,
                topic=wanted.topic,
                kind=wanted.kind,
                name=wanted.name,
                secret_hash=digest(secret),
                signing=None if signing is None else self._cipher.encrypt(hook_id, signing),
                created_at=now,
            )
            await self._changes.record(transaction, user.id, [], now)
        return _created(row, secret, signing)

    async def of_owner(self, owner: Principal) -> list[HookView]:
        """Return the owner's secrets, newest first."""
        require_user(owner, "manage secrets of webhooks")
        user = await by_id(owner.id)
        return [to_response(row) for row in await Hook.filter(user=user).order_by("-created_at", "id")]

    async def rotate(self, owner: Principal, wanted: RotateHook, now: datetime) -> CreatedHook:
        """Replace the secrets of a webhook; the ones before end at once.

        Raises :class:`NotFound`, and :class:`InvalidRequest` for a signing secret of a sender that does not sign.
        """
        require_user(owner, "manage secrets of webhooks")
        user = await by_id(owner.id)
        secret, given = new_secret(), wanted.body or HookRotation()
        async with in_transaction(CONNECTION) as transaction:
            row = await Hook.filter(id=wanted.hook_id, user=user).using_db(transaction).first()
            if row is None:
                raise _not_found()
            if given.signing_secret is not None and row.signing is None:
                raise InvalidRequest.of_field("signing_secret", "Senders of this kind do not sign.")
            signing = None if row.signing is None else _signing_secret(given)
            row.secret_hash = digest(secret)
            row.signing = None if signing is None else self._cipher.encrypt(row.id, signing)
            await row.save(using_db=transaction, update_fields=["secret_hash", "signing"])
            await self._changes.record(transaction, user.id, [Change("api_key", row.id)], now)
        return _created(row, secret, signing)

    async def delete(self, owner: Principal, hook_id: str, now: datetime) -> None:
        """Delete a secret. Raises :class:`NotFound` for one that is not the owner's."""
        require_user(owner, "manage secrets of webhooks")
        user = await by_id(owner.id)
        async with in_transaction(CONNECTION) as transaction:
            if not await Hook.filter(id=hook_id, user=user).using_db(transaction).delete():
                raise _not_found()
            await self._changes.record(transaction, user.id, [Change("api_key", hook_id)], now)

    async def open(self, given: OpenHook, now: datetime) -> OpenedHook:
        """Return what a webhook may do, and record its use. Raises :class:`InvalidHook`."""
        row = await Hook.filter(id=given.hook_id).select_related("user").first()
        if row is None or (given.secret is None and row.signing is None):
            raise InvalidHook("This webhook is not valid (any more).")
        if given.secret is not None and not verify_secret(given.secret.get_secret_value(), row.secret_hash):
            raise InvalidHook("This webhook is not valid (any more).")
        if given.secret is not None:
            await record_use(row, now)
            return OpenedHook(principal=_principal_of(row), topic=row.topic, kind=row.kind)
        # Nothing is proved yet: the gateway reports the use once it has verified the signature.
        signing = self._cipher.decrypt(row.id, bytes(row.signing or b""))
        return OpenedHook(principal=_principal_of(row), topic=row.topic, kind=row.kind, signing_secret=signing)

    async def record_signed_use(self, hook_id: str, now: datetime) -> None:
        """Record that a signature of this webhook was verified; one that is deleted meanwhile is ignored."""
        if (row := await Hook.filter(id=hook_id).first()) is not None:
            await record_use(row, now)


def to_response(row: Hook) -> HookView:
    """Return the secret for its owner, without itself."""
    return HookView(
        id=row.id,
        topic=row.topic,
        kind=row.kind,
        name=row.name,
        signed=row.signing is not None,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def _created(row: Hook, secret: str, signing: str | None) -> CreatedHook:
    return CreatedHook(**to_response(row).model_dump(), secret=f"nfh_{row.id}_{secret}", signing_secret=signing)


def _principal_of(row: Hook) -> Principal:
    return owner_with(row, ["publish"], [row.topic])


def _signing_secret(given: HookRotation) -> str:
    """Return the sender's own, or a new one."""
    # The form of Standard Webhooks; for GitHub it is text like any other.
    return given.signing_secret or f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _not_found() -> NotFound:
    return NotFound("You have no such secret of a webhook.")
