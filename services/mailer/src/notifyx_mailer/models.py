"""What the templates may use: one model a template, so that a context with something missing still renders."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from notifyx_common.contracts.mailer import Template


def _publisher(value: Any) -> Any:
    """The store sends a name, or the wire's ``{"id", "name"}``."""
    return value.get("name") or value.get("id", "") if isinstance(value, dict) else value


def _moment(value: Any) -> str:
    """A time as people read it; what is no time is shown as it is."""
    if value is None or value == "":
        return ""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def _link(value: Any) -> str:
    """Only web links become links; anything else (``javascript:`` among it) is left out."""
    text = str(value or "")
    return text if re.fullmatch(r"https?://[^\s<>\"'\x00-\x1f]+", text) else ""


Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Publisher = Annotated[Text, BeforeValidator(_publisher)]
Moment = Annotated[str, BeforeValidator(_moment)]
Link = Annotated[str, BeforeValidator(_link)]


class _Context(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _FromTopic(_Context):
    topic: Text = ""
    topic_title: Text = ""

    @property
    def source(self) -> str:
        """The topic as people call it; an inbox has no name of its own."""
        if self.topic.startswith("user:"):
            return "Direct messages"
        return self.topic_title or self.topic or "Notifyx"


class NotificationContext(_FromTopic):
    """One notification."""

    title: Text = ""
    body: Text = ""
    priority: Text = "normal"
    publisher: Publisher = ""
    published_at: Moment = ""
    link: Link = Field(default="", validation_alias=AliasChoices("link", "url"))

    @property
    def heading(self) -> str:
        """The title, or the beginning of the body where there is none."""
        return " ".join(self.title.split()) or self.body.strip().partition("\n")[0][:100] or "New notification"


class DigestContext(_FromTopic):
    """Notifications of one topic; ``more`` counts those that are not listed."""

    items: list[NotificationContext] = Field(
        default=[], validation_alias=AliasChoices("items", "notifications"), max_length=1000
    )
    more: int = Field(default=0, ge=0)
    link: Link = Field(default="", validation_alias=AliasChoices("link", "url"))

    @property
    def total(self) -> int:
        """All of them, listed or not."""
        return len(self.items) + self.more


class LinkContext(_Context):
    """``verify_email``: one link to follow."""

    name: Text = ""
    email: Text = ""
    link: Link = Field(validation_alias=AliasChoices("link", "url"))
    expires_at: Moment = ""

    @model_validator(mode="after")
    def _has_link(self) -> Self:
        if not self.link:
            raise ValueError("link must be an http or https address")
        return self


CONTEXTS: dict[Template, type[_Context]] = {
    "notification": NotificationContext,
    "digest": DigestContext,
    "verify_email": LinkContext,
}
