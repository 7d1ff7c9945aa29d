"""The tables. Secrets are here only as hashes, signing keys only encrypted.

Times are written by the service's clock, not by the database's, so that rules and records agree.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """A person. ``email`` is as typed; ``email_key`` is its lower-case form, which is unique.

    ``session_epoch`` is the number of times that all sessions were ended.
    """

    id = fields.UUIDField(primary_key=True, default=uuid4)
    email = fields.CharField(max_length=254)
    # Its domain is in letters; accounts of earlier releases have the spelling that was typed.
    email_key = fields.CharField(max_length=254, unique=True)
    email_verified = fields.BooleanField(default=False)
    name = fields.CharField(max_length=200, default="")
    role = fields.CharField(max_length=16, default="user")
    time_zone = fields.CharField(max_length=64, default="", db_default="")
    password_hash = fields.CharField(max_length=255)
    created_at = fields.DatetimeField()
    session_epoch = fields.IntField(default=0, db_default=0)

    class Meta:
        table = "users"


class Session(Model):
    """What one sign-in led to: a chain of refresh tokens, of which only the newest is good.

    ``generation`` counts the exchanges. ``token_hash`` is the SHA-256 of the secret issued last, ``exchanged_hash``
    that of the token exchanged last. ``expires_at`` moves with each refresh, never beyond ``ends_at``. ``ended_at``
    set: signed out, or ended because an old token came back. ``user_agent`` and ``address`` are the client's at the
    sign-in or the latest refresh.
    """

    id = fields.UUIDField(primary_key=True, default=uuid4)
    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "auth.User", related_name="sessions", on_delete=fields.CASCADE, db_index=True
    )
    scope = fields.CharField(max_length=200)
    generation = fields.IntField(default=0, db_default=0)
    token_hash = fields.CharField(max_length=64)
    exchanged_hash = fields.CharField(max_length=64, null=True)
    created_at = fields.DatetimeField()
    refreshed_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(db_index=True)
    ends_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=32, null=True)
    user_agent = fields.CharField(max_length=200, default="", db_default="")
    address = fields.CharField(max_length=64, default="", db_default="")

    class Meta:
        table = "sessions"


class ApiKey(Model):
    """A key a program uses in its owner's name, by the SHA-256 of its secret. No ``topics``: all of the owner's."""

    id = fields.CharField(max_length=32, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "auth.User", related_name="api_keys", on_delete=fields.CASCADE, db_index=True
    )
    name = fields.CharField(max_length=100)
    secret_hash = fields.CharField(max_length=64)
    topics: fields.Field[Any] = fields.JSONField()
    scopes: fields.Field[Any] = fields.JSONField()
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "api_keys"


class Hook(Model):
    """The secret of a webhook, by its SHA-256. ``signing`` is the encrypted secret with which its sender signs."""

    id = fields.CharField(max_length=32, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "auth.User", related_name="hooks", on_delete=fields.CASCADE, db_index=True
    )
    topic = fields.CharField(max_length=200)
    kind = fields.CharField(max_length=32)
    name = fields.CharField(max_length=100)
    secret_hash = fields.CharField(max_length=64)
    signing = fields.BinaryField(null=True)
    created_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "hooks"


class StreamTicket(Model):
    """A ticket that waits for its one use, by its SHA-256, with the credential that made it: a session, or a key."""

    hash = fields.CharField(max_length=64, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "auth.User", related_name="stream_tickets", on_delete=fields.CASCADE, db_index=True
    )
    session = fields.CharField(max_length=64)
    key_id = fields.CharField(max_length=32)
    topic = fields.CharField(max_length=200)
    until = fields.DatetimeField()
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "stream_tickets"


class Verification(Model):
    """The one open email verification of a user; a newer one replaces it."""

    hash = fields.CharField(max_length=64, primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "auth.User", related_name="verification", on_delete=fields.CASCADE
    )
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "verifications"


class PasswordReset(Model):
    """The one open link of a user that sets a new password; a newer one replaces it."""

    hash = fields.CharField(max_length=64, primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "auth.User", related_name="password_reset", on_delete=fields.CASCADE
    )
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "password_resets"


class EmailChange(Model):
    """The one address that a user wants to change to and has not confirmed yet; a newer one replaces it."""

    hash = fields.CharField(max_length=64, primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "auth.User", related_name="email_change", on_delete=fields.CASCADE
    )
    email = fields.CharField(max_length=254)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "email_changes"


class Device(Model):
    """A device on which a user has signed in, by the SHA-256 of its token."""

    id = fields.BigIntField(primary_key=True)
    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "auth.User", related_name="devices", on_delete=fields.CASCADE, db_index=False
    )
    hash = fields.CharField(max_length=64, db_index=True)
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "devices"
        unique_together = (("user", "hash"),)


class LoginAttempts(Model):
    """One limit of sign-in attempts (SHA-256 of what it limits): when its allowance is whole again."""

    key = fields.CharField(max_length=64, primary_key=True)
    full_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "login_attempts"


class CredentialChange(Model):
    """A change that verifiers of credentials have to know before those expire; see ``contracts.auth``.

    Ids are in the order of commits. After ``until`` every credential from before the change has expired.
    """

    id = fields.BigIntField(primary_key=True)
    kind = fields.CharField(max_length=16)
    subject = fields.CharField(max_length=64)
    epoch = fields.IntField(default=0)
    email = fields.CharField(max_length=254, default="")
    until = fields.DatetimeField(db_index=True)

    class Meta:
        table = "credential_changes"


class AccountChange(Model):
    """What the pages of a user show of the account has changed; read and deleted with :class:`CredentialChange`.

    Ids are of the same sequence. ``name`` is there where the user took another one.
    """

    id = fields.BigIntField(primary_key=True, generated=False)
    user_id = fields.UUIDField()
    name = fields.CharField(max_length=200, null=True)
    until = fields.DatetimeField(db_index=True)

    class Meta:
        table = "account_changes"


class Departure(Model):
    """A deleted account whose data in other services are still to be removed; see ``contracts.departures``.

    ``topics`` is what becomes of its topics, ``give_to`` the user who gets them. ``next_at`` is when the work goes on.
    """

    user_id = fields.UUIDField(primary_key=True)
    email = fields.CharField(max_length=254)
    verified = fields.BooleanField()
    time_zone = fields.CharField(max_length=64, default="")
    topics = fields.CharField(max_length=16)
    give_to = fields.UUIDField(null=True)
    left_at = fields.DatetimeField()
    told = fields.BooleanField(default=False)
    next_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "departures"


class AccountMail(Model):
    """A mail about an account that is still to be sent; see ``contracts.account_mails``.

    ``key`` is the SHA-256 of what only one mail waits for. ``linked``: its link was made. ``next_at`` is when a gateway
    may work on it; after ``expires_at`` it serves nobody.
    """

    id = fields.UUIDField(primary_key=True)
    key = fields.CharField(max_length=64, unique=True)
    kind = fields.CharField(max_length=32, db_index=True)
    email = fields.CharField(max_length=254)
    about = fields.CharField(max_length=254, default="")
    time_zone = fields.CharField(max_length=64, default="")
    linked = fields.BooleanField(default=False)
    asked_at = fields.DatetimeField()
    next_at = fields.DatetimeField(db_index=True)
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "account_mails"


class SigningKey(Model):
    """A key for access tokens. It signs from ``active_at`` until the next one's ``active_at``."""

    kid = fields.CharField(max_length=64, primary_key=True)
    public: fields.Field[Any] = fields.JSONField()
    private = fields.BinaryField()
    created_at = fields.DatetimeField()
    active_at = fields.DatetimeField()

    class Meta:
        table = "signing_keys"
