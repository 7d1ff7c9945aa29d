"""Which resource may have which topic: names bound to namespaces, and the consent of a topic that exists. Pure.

A topic holds what others published. So it passes to a resource only if those who have it agree, or an administrator who
bound its name to the namespace of the resource (docs/adr/0030-topics-pass-by-consent.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

ACCOUNT_PREFIX = "system:serviceaccount:"
OTHERS = "*"
"""The key of :class:`NameRules` for namespaces that have no rule of their own."""


@dataclass(frozen=True)
class NameRules:
    """The names that the topics of a namespace may have, as patterns in which ``*`` stands for any characters.

    A namespace with a rule may use only the names that its patterns match. Others may use those of the rule ``*``, or
    without one all that no rule matches.
    """

    patterns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def is_bound(self, namespace: str, name: str) -> bool:
        """Whether ``name`` belongs to ``namespace`` by a rule of its own."""
        return self._matches(namespace, name)

    def problem(self, namespace: str, name: str) -> str:
        """Return why a topic of ``namespace`` may not be called ``name``, as a sentence; empty if it may."""
        if self.is_bound(namespace, name):
            return ""
        if namespace in self.patterns:
            return f"Topics of the namespace {namespace} may be called {_listed(self.patterns[namespace])}."
        holder = next((one for one in sorted(self.patterns) if one != OTHERS and self._matches(one, name)), None)
        if holder is not None:
            return f"The name '{name}' is for topics of the namespace {holder}."
        if OTHERS in self.patterns and not self._matches(OTHERS, name):
            return f"Topics of namespaces without a rule may be called {_listed(self.patterns[OTHERS])}."
        return ""

    def _matches(self, namespace: str, name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in self._compiled.get(namespace, ()))

    @cached_property
    def _compiled(self) -> dict[str, list[re.Pattern[str]]]:
        return {
            namespace: [re.compile(re.escape(pattern).replace(r"\*", ".*")) for pattern in patterns]
            for namespace, patterns in self.patterns.items()
        }


@dataclass(frozen=True)
class Consent:
    """Decides whether a topic that nobody declares at present may be declared by a resource of a namespace.

    ``origins``: by topic, the reference of the resource that released it, if its creators are still those it named.
    ``everyone``: each topic consents to each resource.
    """

    rules: NameRules = field(default_factory=NameRules)
    origins: Mapping[str, str] = field(default_factory=dict)
    everyone: bool = False

    def is_given(self, name: str, creators: Sequence[str], namespace: str) -> bool:
        """Whether the topic ``name`` with these creators consents to a resource of ``namespace``."""
        return (
            self.everyone
            or self.rules.is_bound(namespace, name)
            or namespace_of(self.origins.get(name, "")) == namespace
            or any(creator.startswith(f"{ACCOUNT_PREFIX}{namespace}:") for creator in creators)
        )

    def is_given_by_resource(self, name: str, successors: Sequence[str], owner: str, namespace: str) -> bool:
        """Whether a resource in ``owner`` that leaves ``name`` to these namespaces consents to one of ``namespace``."""
        return self.everyone or namespace in successors or self.is_overruled(name, owner, namespace)

    def is_overruled(self, name: str, owner: str, namespace: str) -> bool:
        """Whether the rules give ``name`` to ``namespace`` and not to the namespace ``owner``, which has it."""
        return self.rules.is_bound(namespace, name) and not self.rules.is_bound(owner, name)


def namespace_of(reference: str) -> str:
    """Return the namespace of ``namespace/name``."""
    return reference.partition("/")[0]


def _listed(patterns: Sequence[str]) -> str:
    return " or ".join(patterns) if patterns else "nothing: they may have none"
