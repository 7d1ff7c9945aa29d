"""NotifyxTopics as the API server lists them: who claims which topic, who is leaving, and who cannot be understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifyx_operator.resource import API_VERSION, KIND, InvalidResource, Resource, parse


@dataclass(frozen=True, slots=True)
class Claim:
    """One NotifyxTopic of the cluster. ``resource`` is ``None`` where ``problem`` says what is wrong with it."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    status: Mapping[str, Any]
    resource: Resource | None
    problem: str = ""

    @property
    def reference(self) -> str:
        """``namespace/name``, as the store knows the owner of a topic."""
        return f"{self.namespace}/{self.name}"

    @property
    def keeps(self) -> bool:
        """Whether the policy (as far as it can be read) is to keep the topic."""
        return self.resource is None or self.resource.spec.deletion_policy == "Retain"


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
        status=status if isinstance(status, Mapping) else {},
        resource=resource,
        problem=problem,
    )
