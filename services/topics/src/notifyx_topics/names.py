"""The rules for names of topics, in one place.

The definition of the resource, the OpenAPI document and the web client repeat them in their own form; tests compare
them with this module.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_NAME = 128
"""Maximum length of a topic's name, in characters."""

NAME = r"\.*[a-z0-9_-][a-z0-9._-]*"
"""Regular expression of a topic's name, not anchored. Dots alone are not a name: a URL's path cannot hold them."""

INBOX_PREFIX = "user:"
INBOX = rf"{INBOX_PREFIX}[a-z0-9:._-]{{1,{MAX_NAME}}}"
"""Regular expression of an inbox topic's name: the prefix, then the id of its user in its one spelling."""

RESERVED = frozenset({"notifyx-probe"})
"""Names of topics of the platform itself, which no NotifyxTopic may have."""

RESERVED_REASON = "The name '{}' is for a topic of the platform itself."

TopicName = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=f"^{NAME}$")]
"""The name of a topic that can be created."""


def _within_its_length(name: str) -> str:
    if len(name) > MAX_NAME and not name.startswith(INBOX_PREFIX):
        raise ValueError(f"the name of a topic has at most {MAX_NAME} characters")
    return name


ANY_NAME = f"^({NAME}|{INBOX})$"

AnyTopicName = Annotated[
    str,
    StringConstraints(max_length=len(INBOX_PREFIX) + MAX_NAME, pattern=ANY_NAME),
    AfterValidator(_within_its_length),
]
"""The name of a topic that can be addressed: of a created one, or of a user's inbox."""


def inbox_topic(user_id: str) -> str:
    """Return the name of a user's own inbox topic."""
    return INBOX_PREFIX + user_id
