"""API keys: credentials with which programs act for their owner, limited to scopes and topics."""

from __future__ import annotations

from datetime import datetime

from tortoise.transactions import in_transaction

from notifyx_auth.base.credential_changes import Change, ChangeLog
from notifyx_auth.base.errors import TooManyApiKeys
from notifyx_auth.base.models import ApiKey, Hook, User
from notifyx_auth.base.secret_formats import KeyParts, digest, new_api_key, verify_secret
from notifyx_auth.credentials.owned_credentials import lock_owner, owner_with, record_use
from notifyx_auth.users.users import by_id, require_user
from notifyx_common.contracts.auth import ApiKey as ApiKeyView
from notifyx_common.contracts.auth import CreatedApiKey, NewApiKey
from notifyx_common.database import CONNECTION
from notifyx_common.errors import InvalidRequest, NotFound
from notifyx_common.principal import Principal

ID_LENGTH = 32
"""Maximum length of an API key's id, in characters: that of its column."""
MAX_PER_USER = 100


async def create(owner: Principal, wanted: NewApiKey, session: str, changes: ChangeLog, now: datetime) -> CreatedApiKey:
    """Create a key for ``owner``, who is signed in with ``session``; only this answer holds the key itself.

    Raises :class:`Forbidden` for a scope that the owner lacks, :class:`SessionEnded`, :class:`TooManyApiKeys`,
    :class:`InvalidRequest`.
    """
    require_user(owner, "manage API keys")
    for scope in wanted.scopes:
        owner.require_scope(scope)
    if wanted.expires_at is not None and (wanted.expires_at.tzinfo is None or wanted.expires_at <= now):
        raise InvalidRequest.of_field("expires_at", "This must be a time to come, with its offset from UTC.")
    user = await by_id(owner.id)
    parts = new_api_key()
    async with in_transaction(CONNECTION) as transaction:
        await lock_owner(user, session, now)
        if await ApiKey.filter(user=user).count() >= MAX_PER_USER:
            raise TooManyApiKeys(f"A user can have {MAX_PER_USER} API keys; delete one first.")
        row = await ApiKey.create(
            id=parts.id,
            user=user,
            name=wanted.name,
            secret_hash=digest(parts.secret),
            topics=list(dict.fromkeys(wanted.topics)),
            scopes=sorted(set(wanted.scopes)),
            created_at=now,
            expires_at=wanted.expires_at,
        )
        await changes.record(transaction, user.id, [], now)
    return CreatedApiKey(**to_response(row).model_dump(), key=parts.text)


async def of_owner(owner: Principal) -> list[ApiKeyView]:
    """Return the owner's keys, newest first."""
    require_user(owner, "manage API keys")
    user = await by_id(owner.id)
    return [to_response(row) for row in await ApiKey.filter(user=user).order_by("-created_at", "id")]


async def delete(owner: Principal, key_id: str, changes: ChangeLog, now: datetime) -> None:
    """Delete a key. Raises :class:`NotFound` for one that is not the owner's."""
    require_user(owner, "manage API keys")
    user = await by_id(owner.id)
    async with in_transaction(CONNECTION) as transaction:
        if len(key_id) > ID_LENGTH or "\0" in key_id or not await ApiKey.filter(id=key_id, user=user).delete():
            raise NotFound("You have no such API key.")
        await changes.record(transaction, user.id, [Change("api_key", key_id)], now)


async def delete_all(user: User) -> list[Change]:
    """Delete the keys of ``user``, those in the addresses of webhooks too.

    Return the changes, which the caller records last in the transaction.
    """
    ids = [row.id for row in await ApiKey.filter(user=user).select_for_update()]
    hook_ids = [row.id for row in await Hook.filter(user=user).select_for_update()]
    await ApiKey.filter(id__in=ids).delete()
    await Hook.filter(id__in=hook_ids).delete()
    return [Change("api_key", key_id) for key_id in (*ids, *hook_ids)]


async def verify(given: KeyParts | None, now: datetime) -> ApiKey | None:
    """Return the valid key that ``given`` proves, with its ``user``, and record its use; else ``None``."""
    if given is None:
        return None
    row = await ApiKey.filter(id=given.id).select_related("user").first()
    if row is None or not verify_secret(given.secret, row.secret_hash):
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    await record_use(row, now)
    return row


def principal_of(row: ApiKey) -> Principal:
    """Return the principal of the key: its owner, with the scopes and topics of the key."""
    return owner_with(row, row.scopes, row.topics)


def to_response(row: ApiKey) -> ApiKeyView:
    """Return the key for its owner, without the secret."""
    return ApiKeyView(
        id=row.id,
        name=row.name,
        topics=row.topics,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
