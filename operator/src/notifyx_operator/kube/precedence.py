"""Decides which of several operators manages the NotifyxTopics. Pure.

Every operator holds a Lease in its own namespace that says which namespaces it manages. Two that manage all of them
would write each other's status, and each would make the topics in its own store: the one that began first does, and the
other one waits until that Lease ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifyx_operator.kube.conditions import Condition

LEASE = "notifyx-topics"
"""Name of the Lease."""

NAMESPACES = "notifyx.dev/namespaces"
"""Its annotation with the managed namespaces, separated by commas; empty: all."""


@dataclass(frozen=True, slots=True)
class OperatorLease:
    """The Lease of an operator in the namespace ``home``. ``acquired``: since when it manages ``namespaces``.

    ``version`` changes with each renewal. ``holder`` is the instance that renews it.
    """

    home: str
    acquired: datetime
    namespaces: tuple[str, ...]
    version: str = ""
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Precedence:
    """``manager``: the namespace of the operator that manages the topics instead, or empty.

    ``overlaps``: namespaces that an operator which is limited to them manages as well, each with the home of that one.
    """

    manager: str = ""
    overlaps: tuple[tuple[str, str], ...] = ()

    @property
    def condition(self) -> Condition:
        """Return ``TopicsManaged``, a condition of a NotifyxPlatform."""
        if self.manager:
            message = (
                f"The operator in the namespace {self.manager} manages the NotifyxTopics of all namespaces, and began "
                "first; this one leaves them to it. Limit each to namespaces of its own (operator.namespaces)."
            )
            return Condition("TopicsManaged", "False", "OtherOperator", message)
        if self.overlaps:
            namespace, home = self.overlaps[0]
            message = (
                f"The operator in the namespace {home} manages the NotifyxTopics of the namespace {namespace}, too; "
                "both write their status. Limit each to namespaces of its own (operator.namespaces)."
            )
            return Condition("TopicsManaged", "False", "Overlap", message)
        return Condition("TopicsManaged", "True", "Managed", "This operator manages its NotifyxTopics.")


def read_lease(document: Mapping[str, Any]) -> OperatorLease | None:
    """Read a listed Lease; ``None`` if it is not an operator's."""
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    namespaces = (metadata.get("annotations") or {}).get(NAMESPACES)
    try:
        acquired = datetime.fromisoformat(str(spec.get("acquireTime")))
    except ValueError:
        return None
    if namespaces is None or acquired.tzinfo is None:
        return None
    return OperatorLease(
        home=str(metadata.get("namespace", "")),
        acquired=acquired,
        namespaces=tuple(filter(None, namespaces.split(","))),
        version=str(metadata.get("resourceVersion", "")),
        holder=str(spec.get("holderIdentity", "")),
    )


def precedence(own: OperatorLease, others: Iterable[OperatorLease], trusted: Collection[str]) -> Precedence:
    """Return the precedence of an operator that manages all namespaces.

    ``trusted``: the namespaces that have a NotifyxPlatform. Who may edit some other namespace may make a Lease there.
    """
    found = [one for one in others if one.home != own.home and one.home in trusted]
    rivals = [one for one in found if not one.namespaces and (one.acquired, one.home) < (own.acquired, own.home)]
    if rivals:
        return Precedence(manager=min(rivals, key=lambda one: (one.acquired, one.home)).home)
    overlaps = sorted((namespace, one.home) for one in found for namespace in one.namespaces)
    return Precedence(overlaps=tuple(overlaps))
