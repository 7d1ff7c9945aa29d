"""What the store holds of a person: what they have published, for their export, and its removal with their account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Raw, RequestModel
from notifyx_common.contracts.departures import TopicsFate

LogPlace = Annotated[str, StringConstraints(max_length=60)]
"""How far the log of all topics was read; empty: not at all."""


@dataclass(frozen=True)
class PublishedQuery:
    """What the caller has published, after a place of the log."""

    after: LogPlace = ""


class PublishedPage(Model):
    """Notifications that still exist; a page may have none. ``next``: the next ``after``, unless it is the last."""

    items: list[dict[str, Any]]
    next: str | None


class RemoveUser(RequestModel):
    """``topics``: what becomes of the topics that the user alone manages, and who gets them. ``email``: an address that
    was verified, whose grants end as well.

    ``rewrite``: what the user has published is rewritten too, from the place ``after`` on. It is wanted once no
    credential of the user is valid any more.
    """

    topics: TopicsFate
    give_to: str = Field(default="", max_length=64)
    email: str = Field(default="", max_length=254)
    rewrite: bool = False
    after: LogPlace = ""


@dataclass(frozen=True)
class RemoveUserCall:
    """The removal of one user's data."""

    user_id: Annotated[str, StringConstraints(max_length=64)]
    body: RemoveUser


class RemovedPiece(Model):
    """A piece was removed. ``done``: nothing is left; else the next call goes on, with this ``after``."""

    done: bool
    after: str = ""


PUBLISHED = Call(
    "GET",
    f"{V1}/published",
    PublishedQuery,
    Raw[PublishedPage],
    caller="principal",
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
REMOVE_USER = Call(
    "POST", f"{V1}/users/{{user_id}}/removal", RemoveUserCall, RemovedPiece, caller="system", idempotent=True
)
"""Removes a bounded piece of what the store holds of a deleted user."""
