"""Requests and responses of auth's internal API. Calls of ``/api/v1`` are forwarded to those of the same name.

Errors of :data:`TOKEN` carry RFC 6749's codes (``invalid_grant``, ``invalid_request``, ``unsupported_grant_type``,
``invalid_client``) as their ``code``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from notifyx_common.contracts.call import V1, Call, Model, Number, Raw, RequestModel
from notifyx_common.contracts.sessions import MAX_USER_AGENT
from notifyx_common.patterns import EMAIL, LINE, NONEMPTY_LINE, STORED_EMAIL, TIME_ZONE, TOPIC_PATTERN
from notifyx_common.principal import Principal, Scope
from notifyx_common.reading import TIME_TEXT
from notifyx_topics.hidden import is_disguised
from notifyx_topics.visible import require_visible


def _require_plain(address: str) -> str:
    if is_disguised(address):
        raise ValueError("this has characters that cannot be seen, or letters of different alphabets in one word")
    return address


Email = Annotated[str, StringConstraints(max_length=254, pattern=EMAIL), AfterValidator(_require_plain)]
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def is_email(text: str) -> bool:
    """Return whether ``text`` is an email address that is accepted from people now."""
    try:
        _EMAIL.validate_python(text)
    except ValidationError:
        return False
    return True


StoredEmail = Annotated[str, StringConstraints(max_length=254, pattern=STORED_EMAIL)]
"""An address that an account may have already, in search of that account."""


def _require_not_blank(name: object) -> object:
    """Return ``name`` as it was sent; spaces alone would become an empty name, which is one that a user may want."""
    return require_visible(name) if isinstance(name, str) and name and not name.strip() else name


Name = Annotated[
    str,
    BeforeValidator(_require_not_blank),
    StringConstraints(max_length=200, pattern=LINE, strip_whitespace=True),
    AfterValidator(require_visible),
]

Secret = Annotated[SecretStr, PlainSerializer(lambda secret: secret.get_secret_value(), when_used="json")]
"""A secret that is masked everywhere except in the JSON of a call."""

ISSUER = "notifyx"
AUDIENCE = "notifyx-gateway"
ACCESS_TOKEN_ALGORITHM = "ES256"  # noqa: S105 - the name of an algorithm


class SignUp(RequestModel):
    """A new user. The password is 8 to 256 characters."""

    email: Email
    password: Secret = Field(min_length=8, max_length=256)
    name: Name = ""


@dataclass(frozen=True)
class SignUpCall:
    """A sign-up from the client at ``address``."""

    body: SignUp
    address: Annotated[str, StringConstraints(max_length=64)] = ""


class User(Model):
    """A user, as shown to that user."""

    id: str
    email: str
    name: str
    role: Literal["user", "admin"]
    email_verified: bool
    created_at: datetime
    time_zone: str = ""
    """A name of the IANA database, for the times in emails; empty: not known, they are in UTC."""


class TimeZone(RequestModel):
    """The time zone of a user: a name of the IANA database, or empty for UTC."""

    time_zone: str = Field(max_length=64, pattern=TIME_ZONE)


class TokenRequest(RequestModel):
    """RFC 6749's form fields: ``password`` (username, password), ``refresh_token``, ``client_credentials``."""

    grant_type: str
    username: str | None = Field(default=None, max_length=254)
    password: Secret | None = Field(default=None, max_length=256)
    refresh_token: Secret | None = Field(default=None, max_length=512)
    client_id: str | None = Field(default=None, max_length=128)
    client_secret: Secret | None = Field(default=None, max_length=512)
    scope: str | None = Field(default=None, max_length=200)
    device_token: Secret | None = Field(default=None, max_length=512)
    """What an earlier sign-in on this device answered; empty: the client stores one."""


@dataclass(frozen=True)
class TokenCall:
    """A token request from the client at ``address``."""

    body: TokenRequest
    address: Annotated[str, StringConstraints(max_length=64)] = ""
    user_agent: Annotated[str, StringConstraints(max_length=MAX_USER_AGENT)] = ""


@dataclass(frozen=True)
class SignInCall:
    """As :class:`TokenCall`, with the id of the session that a sign-in by password begins."""

    session_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    body: TokenRequest
    address: Annotated[str, StringConstraints(max_length=64)] = ""
    user_agent: Annotated[str, StringConstraints(max_length=MAX_USER_AGENT)] = ""


class TokenResponse(Model):
    """RFC 6749 5.1; ``refresh_token`` is absent for ``client_credentials``, and ``device_token`` for other grants than
    ``password``.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a type, not a secret
    expires_in: int
    refresh_token: str | None = Field(default=None, exclude_if=lambda token: token is None)
    scope: str
    device_token: str | None = Field(default=None, exclude_if=lambda token: token is None)


class RevokeRequest(RequestModel):
    """``token`` is a refresh token; ``everywhere`` ends every session of its user."""

    token: Secret = Field(max_length=512)
    everywhere: bool = False


class EmailToken(Model):
    """A single-use token to be mailed to ``email``."""

    user_id: str
    email: str
    name: str
    token: str
    expires_at: datetime


class EmailClaim(RequestModel):
    """An address that somebody wants to sign up with, and that an account has already."""

    email: Email


class VerifyRequest(RequestModel):
    """The token from the mail, and the account's ``password``, or the one to set: ``new_password``."""

    token: Secret = Field(max_length=512)
    password: Secret | None = Field(default=None, max_length=256)
    new_password: Secret | None = Field(default=None, min_length=8, max_length=256)


class NewApiKey(RequestModel):
    """``topics`` are name patterns (``*`` wildcards); empty or absent means all topics of the owner."""

    name: str = Field(min_length=1, max_length=100, pattern=NONEMPTY_LINE)
    topics: list[Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=TOPIC_PATTERN)]] = Field(
        default=[], max_length=100
    )
    scopes: list[Scope] = Field(default=["read", "publish"], min_length=1, max_length=3)
    expires_at: Annotated[datetime, TIME_TEXT] | None = None


@dataclass(frozen=True)
class ApiKeyCall:
    """A new API key; ``session`` is that of the caller's access token, and must be alive."""

    body: NewApiKey
    session: Annotated[str, StringConstraints(max_length=64)] = ""


class ApiKey(Model):
    """An API key without its secret."""

    id: str
    name: str
    topics: list[str]
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class CreatedApiKey(ApiKey):
    """The one answer that holds ``key``: ``nfx_<id>_<secret>``."""

    key: str


class ApiKeys(Model):
    """The caller's keys, newest first."""

    items: list[ApiKey]


class VerifyKey(RequestModel):
    """A whole API key."""

    key: Secret = Field(max_length=512)


class ResolveUsers(RequestModel):
    """Ids or emails of users to find, up to 1,000."""

    users: list[Annotated[str, StringConstraints(max_length=320)]] = Field(max_length=1000)


class ResolvedUser(Model):
    """The data of a user that other services may read."""

    id: str
    email: str
    name: str
    email_verified: bool
    time_zone: str = ""


class ResolvedUsers(Model):
    """The users found, by the id or email in the request; those not found are absent."""

    users: dict[str, ResolvedUser]


class CredentialChange(Model):
    """Something that a credential no longer proves, or now proves, before it expires.

    - ``session``: the session ``subject`` has ended.
    - ``sessions``: those of the user ``subject`` that began before ``epoch`` have ended.
    - ``api_key``: the key ``subject`` was deleted.
    - ``account``: the user ``subject`` was deleted or disabled.
    - ``verified``: the user ``subject`` has verified ``email``, which is the account's address from now on.
    - ``account_changed``: what the pages of the user ``subject`` show of the account is to be read again. It comes
      beside each of the others, and is about no credential, unless ``name`` is the user's from now on.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    kind: Literal["session", "sessions", "api_key", "account", "verified", "account_changed"]
    subject: str
    epoch: int = 0
    email: str = ""
    name: str | None = None
    seconds: float
    """For how long a credential from before the change may be shown."""

    @property
    def of_credentials(self) -> bool:
        """Whether a credential from before proves something else now, or nothing."""
        return self.kind != "account_changed" or self.name is not None


class CredentialChanges(Model):
    """The changes after an id, in order; ``more`` if there are others after them."""

    items: list[CredentialChange]
    more: bool = False


@dataclass(frozen=True)
class CredentialChangesAfter:
    """The changes after the one with the id ``after``; 0: all that matter still.

    ``accounts``: also those of the kind ``account_changed``, which a gateway of the release before cannot read.
    """

    after: Number = 0
    accounts: bool = False


class JwkSet(Model):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, JsonValue]]


@dataclass(frozen=True)
class ApiKeyPath:
    """The caller's API key of that id."""

    key_id: str


SIGN_UP = Call("POST", f"{V1}/users", SignUpCall, User, status=201)
"""Raises 409 ``email_taken``."""

SIGN_IN = Call("PUT", f"{V1}/sessions/{{session_id}}", SignInCall, TokenResponse)
"""The grant ``password``. May be repeated: a second request of the same id is answered for the session of the first.

Raises 409 ``session_used`` once that session was refreshed or has ended.
"""

TOKEN = Call("POST", f"{V1}/token", TokenCall, TokenResponse)
"""May not be repeated: a refresh token that comes late is an old one, which ends its session."""

REVOKE_TOKEN: Call[RevokeRequest, None] = Call(
    "POST", f"{V1}/token/revoke", RevokeRequest, type(None), idempotent=True, status=204
)
ME: Call[None, User] = Call("GET", f"{V1}/me", type(None), User, caller="principal")
SET_TIME_ZONE = Call("PUT", f"{V1}/me/time-zone", TimeZone, User, caller="principal", idempotent=True)
REQUEST_VERIFICATION: Call[None, EmailToken] = Call(
    "POST", f"{V1}/me/verification", type(None), EmailToken, caller="principal", status=202
)
CLAIM_EMAIL = Call("POST", f"{V1}/users:claim", EmailClaim, EmailToken, status=202)
"""Raises 404 without such a user, and 409 ``already_verified``."""

VERIFY_EMAIL = Call("POST", f"{V1}/verify", VerifyRequest, User)
CREATE_API_KEY = Call("POST", f"{V1}/api-keys", ApiKeyCall, CreatedApiKey, caller="principal", status=201)
"""Raises 401 ``session_ended``."""

API_KEYS: Call[None, ApiKeys] = Call("GET", f"{V1}/api-keys", type(None), ApiKeys, caller="principal")
DELETE_API_KEY: Call[ApiKeyPath, None] = Call(
    "DELETE", f"{V1}/api-keys/{{key_id}}", ApiKeyPath, type(None), caller="principal", status=204
)
VERIFY_API_KEY = Call("POST", f"{V1}/api-keys:verify", VerifyKey, Principal, idempotent=True, hedged=True)
"""Raises 401 for an invalid key."""

RESOLVE_USERS = Call("POST", f"{V1}/users:resolve", ResolveUsers, ResolvedUsers, idempotent=True, hedged=True)
CREDENTIAL_CHANGES = Call("GET", f"{V1}/credential-changes", CredentialChangesAfter, CredentialChanges)
JWKS: Call[None, Raw[JwkSet]] = Call("GET", f"{V1}/jwks", type(None), Raw[JwkSet])
