"""Tickets: each opens one event stream of one topic once, for browsers, whose EventSource can send no header.

A ticket stands in a URL, where logs and histories see it. So it ends with its first use, or after
:data:`TICKET_SECONDS`, and it is stored at auth, by its hash: all gateways share one decision on who was first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints

from notifyx_common.contracts.auth import Secret
from notifyx_common.contracts.call import V1, Call, Model, RequestModel
from notifyx_common.contracts.sessions import SessionId
from notifyx_common.principal import Principal
from notifyx_topics.names import AnyTopicName

TICKET_SECONDS = 60
"""How long a ticket waits for its use."""

TICKET_PATTERN = r"nft_[A-Za-z0-9_-]{43}"


class NewStreamTicket(RequestModel):
    """What a ticket is for: the stream of ``topic``."""

    topic: AnyTopicName


@dataclass(frozen=True)
class StreamTicketCall:
    """A ticket for the caller, whose access token is of ``session`` and expires at ``until``."""

    body: NewStreamTicket
    until: datetime
    session: SessionId = ""


class StreamTicket(Model):
    """The one answer that holds the ticket."""

    ticket: str
    expires_in: int


class UseStreamTicket(RequestModel):
    """A ticket that a client has shown."""

    ticket: Annotated[Secret, StringConstraints(max_length=64)]


class UsedStreamTicket(Model):
    """What the ticket opens: ``topic``, for ``principal``, who may read it and nothing else, until ``until``.

    ``session`` and ``epoch`` are those of ``principal``, which are left out where one is forwarded.
    """

    principal: Principal
    session: str | None
    epoch: int
    topic: str
    until: datetime


CREATE_STREAM_TICKET = Call(
    "POST", f"{V1}/stream-tickets", StreamTicketCall, StreamTicket, caller="principal", status=201
)
USE_STREAM_TICKET = Call("POST", f"{V1}/stream-tickets:use", UseStreamTicket, UsedStreamTicket)
"""Raises 401 ``invalid_ticket`` for one that is unknown, used or too old, or whose credential has ended."""
