"""Models of answers that only the REST API gives; the routes and the OpenAPI document use them."""

from __future__ import annotations

from typing import Literal

from notifyx_common.contracts.call import Model
from notifyx_common.contracts.store.topics import Topic


class ClientConfig(Model):
    """What a client needs to know of this deployment before anybody signs in.

    ``socket_url`` is the endpoint of the socket, without ``/websocket``; ``email`` is whether email is sent,
    and null until a mailer has said; ``version`` is the gateway's own.
    """

    socket_url: str
    sign_up: bool
    email: bool | None
    api_version: Literal["1"]
    version: str


class SignedUp(Model):
    """A new account. ``mail``: the mail that verifies the address is on its way; was not sent because too many were
    asked for, as ``mail_detail`` says (ask for it later with ``POST /me/verification``); there is no email here; or
    that is not known at the moment, which ``mail_detail`` says, too."""

    id: str
    email: str
    name: str
    mail: Literal["on_its_way", "limited", "off", "unknown"]
    mail_detail: str


class DescribedTopic(Topic):
    """A topic, with what its lists and its resource are called.

    ``names``: display names of users in the lists, by id, as far as they gave one and it is known right now; empty
    unless they were asked for.
    ``declared_in``: the file that declares the topic, for a topic of a local platform.
    """

    names: dict[str, str]
    declared_in: str | None
