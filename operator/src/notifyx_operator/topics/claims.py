"""NotifyxTopics as the API server lists them: who claims which topic, who is leaving, and who cannot be understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifyx_operator.kube.names import FINALIZER
from notifyx_topics.resource import API_VERSION, KIND, InvalidResource, Resource, parse


@dataclass(frozen=True, slots=True)
class Claim:
    """One NotifyxTopic of the cluster. ``resource`` is ``None`` where ``problem`` says what is wrong with it.

    ``guarded``: it cannot go before the operator has settled its topic. ``since`` is when it was created or, once that
    has happened, when its deletion began.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    guarded: bool
    status: Mapping[str, Any]
    resource: Resource | None
    problem: str = ""
    since: datetime | None = None

    @property
    def waits_for_kopf(self) -> bool:
        """Whether its next step is Kopf's: to add the finalizer, or to call the handler of its deletion."""
        return self.deleting == self.guarded

    @property
    def reference(self) -> str:
        """``namespace/name``, as the store knows the owner of a topic."""
        return f"{self.namespace}/{self.name}"


def read_claim(document: Mapping[str, Any]) -> Claim:
    """What a listed object says; one that is not valid is a claim too, with its problem."""
    metadata = document.get("metadata") or {}
    status = document.get("status")
    resource, problem = None, ""
    try:
        # Objects in a list may come without these two; what was listed is known to be one.
        resource = parse({"apiVersion": API_VERSION, "kind": KIND, **document, "status": None})
    except InvalidResource as error:
        problem = error.reason
    return Claim(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        deleting=bool(metadata.get("deletionTimestamp")),
        guarded=FINALIZER in (metadata.get("finalizers") or ()),
        status=status if isinstance(status, Mapping) else {},
        resource=resource,
        problem=problem,
        since=_moment(metadata.get("deletionTimestamp") or metadata.get("creationTimestamp")),
    )


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
