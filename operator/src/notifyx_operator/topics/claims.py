"""NotifyxTopics as listed: which topic each claims, whether it is being deleted, and whether it is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifyx_operator.kube.names import FINALIZER
from notifyx_topics.resource import API_VERSION, KIND, InvalidResource, Resource, parse


@dataclass(frozen=True, slots=True)
class Claim:
    """One NotifyxTopic of the cluster. ``resource`` is ``None`` if it is invalid; then ``problem`` says why.

    ``has_finalizer``: it has the operator's finalizer, so its topic is settled before it is gone. ``since`` is when its
    deletion began or, if it is not being deleted, when it was created. ``other_finalizers`` are those of others,
    as of the resource's ``version``.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    has_finalizer: bool
    status: Mapping[str, Any]
    resource: Resource | None
    problem: str = ""
    since: datetime | None = None
    other_finalizers: tuple[str, ...] = ()
    version: str = ""

    @property
    def waits_for_kopf(self) -> bool:
        """Whether Kopf has to act next: add the finalizer, or call the handler of its deletion."""
        return self.deleting == self.has_finalizer

    @property
    def reference(self) -> str:
        """``namespace/name``, the form in which the store records a topic's owner."""
        return f"{self.namespace}/{self.name}"


def read_claim(document: Mapping[str, Any]) -> Claim:
    """Read a listed object. An invalid one is a claim too, with its problem."""
    metadata = document.get("metadata") or {}
    status = document.get("status")
    resource, problem = None, ""
    finalizers = metadata.get("finalizers") or ()
    try:
        # Items of a list may lack apiVersion and kind; the list itself says what they are.
        resource = parse({"apiVersion": API_VERSION, "kind": KIND, **document, "status": None})
    except InvalidResource as error:
        problem = error.reason
    return Claim(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        deleting=bool(metadata.get("deletionTimestamp")),
        has_finalizer=FINALIZER in finalizers,
        status=status if isinstance(status, Mapping) else {},
        resource=resource,
        problem=problem,
        since=_moment(metadata.get("deletionTimestamp") or metadata.get("creationTimestamp")),
        other_finalizers=tuple(name for name in finalizers if name != FINALIZER),
        version=str(metadata.get("resourceVersion", "")),
    )


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
