"""Who makes a request: proved by the gateway and trusted by every other service.

The gateway is the only entry point. It verifies the access token or API key and forwards the proven
:class:`Principal`. The other services accept one only together with the internal token.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from notifyx_common.errors import Forbidden, Unauthenticated
from notifyx_topics.email_addresses import address_spellings

PRINCIPAL_HEADER = "X-Notifyx-Principal"

Scope = Literal["read", "publish", "manage"]
ALL_SCOPES: frozenset[Scope] = frozenset({"read", "publish", "manage"})


class Principal(BaseModel):
    """A proven identity.

    ``id`` is the UUID of the user (for an API key: of its owner), ``system:serviceaccount:<ns>:<name>`` for a
    ServiceAccount, or ``system:<part>`` for a part of the platform. ``topics`` limits an API key to topic
    name patterns (``*`` wildcards); ``None`` means every topic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Literal["user", "api_key", "service_account", "system"] = "user"
    email: str | None = None
    email_verified: bool = False
    name: str = ""
    role: Literal["user", "admin"] = "user"
    scopes: frozenset[Scope] = ALL_SCOPES
    topics: tuple[str, ...] | None = None
    key_id: str | None = None
    session: str | None = Field(default=None, exclude=True)
    """The session of the access token. It is not forwarded, except in calls that need it alive."""

    epoch: int = Field(default=0, exclude=True)
    """Number of times that all sessions of the user were ended before this one began. It is not forwarded."""

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator, who may do what the creators of a topic may."""
        return self.role == "admin" and self.kind in ("user", "system")

    @property
    def is_service(self) -> bool:
        """Whether the caller acts for an administrator, or is a workload or a part of the platform.

        The limits on what one person does in a short time are not for it.
        """
        return self.role == "admin" or self.kind in ("service_account", "system")

    @property
    def verified_emails(self) -> tuple[str, ...]:
        """The address by which allow-lists may name the caller, in each spelling; empty where none is verified."""
        return address_spellings(self.email) if self.email_verified and self.email is not None else ()

    def require_scope(self, scope: Scope, topic: str | None = None) -> None:
        """Raise :class:`Forbidden` unless the credential carries ``scope`` (and, if given, covers ``topic``)."""
        if scope not in self.scopes:
            raise Forbidden(f"This credential does not carry the scope '{scope}'.", code="missing_scope")
        if topic is not None and not self.covers_topic(topic):
            raise Forbidden(f"This credential does not cover the topic '{topic}'.", code="topic_not_covered")

    def covers_topic(self, topic: str) -> bool:
        """Return whether the credential's topic patterns include ``topic``."""
        return self.topics is None or any(_matches(topic, pattern) for pattern in self.topics)

    def to_header(self) -> str:
        """Return the value of ``X-Notifyx-Principal``: URL-safe base64 of the JSON form."""
        return base64.urlsafe_b64encode(self.model_dump_json(exclude_defaults=True).encode()).decode()

    @classmethod
    def from_header(cls, value: str) -> Principal:
        """Read ``X-Notifyx-Principal``. Raises :class:`Unauthenticated` for anything malformed."""
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(value))
        except (binascii.Error, ValueError, ValidationError) as error:
            raise Unauthenticated("The principal header is malformed.") from error


def _matches(topic: str, pattern: str) -> bool:
    """Return whether ``pattern``, in which ``*`` stands for any characters, is that of ``topic``.

    It is compared, not compiled: to compile one of a stranger's takes half a millisecond, and what was compiled stays.
    """
    start, *others = pattern.split("*")
    if not others:
        return topic == pattern
    if not topic.startswith(start):
        return False
    at = len(start)
    for part in others[:-1]:
        at = topic.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(topic) - at >= len(others[-1]) and topic.endswith(others[-1])


def system_principal(part: str) -> Principal:
    """Return the principal of a part of the platform (dispatcher, operator, prober), with the rights of an admin."""
    return Principal(id=f"system:{part}", kind="system", name=part, role="admin")
