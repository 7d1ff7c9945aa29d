"""The deletion of an account, in steps that survive a crash at any point.

Auth removes the account with all its credentials, and records a *departure* in the same transaction. A gateway works on
departures: it has the store remove what the user held, sends the last mail, and tells auth, which then removes the
departure. Every step may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from notifyx_common.contracts.auth import Secret
from notifyx_common.contracts.call import V1, Call, Model, RequestModel

TopicsFate = Literal["delete", "keep", "give"]
"""What becomes of the topics that the user alone manages: they are deleted, have no creator, or get another one."""


MAX_EMAIL = 254

LEASE_SECONDS = 60.0
"""How long nobody else works on a leased departure."""


class GiveTo(RequestModel):
    """The email address of the user who gets the topics, as far as they subscribe to them; the others are kept."""

    give_to: str = Field(max_length=MAX_EMAIL)


def _fate(value: object) -> object:
    """Return ``value`` if it is one of the kinds: else each kind would say why it is not."""
    match value:
        case "delete" | "keep" | GiveTo():
            return value
        case {"give_to": str(email), **other} if not other and len(email) <= MAX_EMAIL:
            return value
    raise ValueError('this is "delete", "keep" or {"give_to": "<email address>"}')


class DeleteAccount(RequestModel):
    """``topics``: what becomes of the topics that the caller alone manages."""

    password: Secret = Field(max_length=256)
    topics: Annotated[Literal["delete", "keep"] | GiveTo, BeforeValidator(_fate)]


@dataclass(frozen=True)
class DeleteAccountCall:
    """The deletion of the caller's account; ``session`` is that of the caller's access token, and must be alive."""

    body: DeleteAccount
    session: Annotated[str, StringConstraints(max_length=64)] = ""


class Departure(Model):
    """A deleted account whose data are still to be removed.

    ``email`` is that of the account, ``verified`` whether it was proved. ``give_to`` is the id of a user. ``told``: the
    last mail needs no more attempts. ``final``: no credential from before the deletion is valid any more, so that what
    is removed now does not come back.
    """

    user_id: str
    email: str
    verified: bool
    time_zone: str = ""
    topics: TopicsFate
    give_to: str = ""
    left_at: datetime
    told: bool
    final: bool


class Departures(Model):
    """The departures to work on."""

    items: list[Departure]


class DepartureStep(RequestModel):
    """A step of the work on a departure.

    ``working``: it goes on, the lease is renewed. ``told``: the last mail was sent, or needs no more attempts.
    ``removed``: the store holds nothing of the user until the departure is final. ``finished``: nor does it then, and
    the departure is removed.
    """

    step: Literal["working", "told", "removed", "finished"]


@dataclass(frozen=True)
class DepartureStepCall:
    """A step of the departure of that user."""

    user_id: Annotated[str, StringConstraints(max_length=64)]
    body: DepartureStep


DELETE_ACCOUNT = Call("POST", f"{V1}/me/departure", DeleteAccountCall, Departure, caller="principal", idempotent=False)
"""Raises 400 ``wrong_password``, 409 ``last_administrator``, 409 ``managed_account``, 429."""

LEASE_DEPARTURES: Call[None, Departures] = Call("POST", f"{V1}/departures:lease", type(None), Departures)
"""The caller works on them alone, for :data:`LEASE_SECONDS` after each step."""

DEPARTURE_STEP: Call[DepartureStepCall, None] = Call(
    "POST", f"{V1}/departures/{{user_id}}", DepartureStepCall, type(None), idempotent=True, status=204
)
