"""The kinds of webhooks, and which of them a body is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from notifyx_common.errors import NotFound
from notifyx_gateway.rest.hooks import alertmanager, apprise, github, gitlab, grafana, standard
from notifyx_gateway.rest.hooks.publication import Delivery, Part

Signature: TypeAlias = Literal["github", "standard"]
"""How a sender signs: GitHub's ``X-Hub-Signature-256``, or as Standard Webhooks says."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its reader, and how its sender proves who it is, besides a Bearer token and a secret URL.

    ``recognise`` returns whether a body can only be of this kind; ``form_fields`` are those of a form that it is
    itself; other kinds have all of it in the field ``payload``.
    """

    name: str
    read: Callable[[Delivery], list[Part]]
    recognise: Callable[[object], bool] = lambda _: False
    signature: Signature | None = None
    credential_header: str = ""
    form_fields: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """What a form of this kind has, in words."""
        names = " and ".join(f"'{name}'" for name in self.form_fields)
        return f"the fields {names}" if names else "the field 'payload'"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("alertmanager", alertmanager.read, alertmanager.recognise),
        Kind("grafana", grafana.read, grafana.recognise),
        Kind("github", github.read, signature="github"),
        Kind("gitlab", gitlab.read, signature="standard", credential_header="x-gitlab-token"),
        Kind("standard", standard.read, signature="standard"),
        Kind("apprise", apprise.read, apprise.recognise, form_fields=("title", "message")),
    )
}


def kind_of(name: str) -> Kind:
    """Return the kind of that name. Raises :class:`NotFound`."""
    try:
        return KINDS[name]
    except KeyError:
        known = ", ".join(KINDS)
        raise NotFound(f"There is no such kind of webhook; there are {known}.", code="unknown_kind") from None


def recognised(payload: object) -> Kind | None:
    """Return the kind that a body on the plain publish address can only be, if any."""
    return next((kind for kind in KINDS.values() if kind.recognise(payload)), None)
