"""What to do when a resource is being deleted and its topic could not be settled. Pure.

A resource always goes in the end: a store that was uninstalled must not leave objects that nobody can delete. What
is given up is the clean-up, never data: the topic stays as it is, and the next full comparison releases it should the
store come back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a store that does not answer, and for one that is not there at all."""

    silent: float
    gone: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again in at most so many seconds."""

    longest: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Let the resource go; the sentence is for its Event."""

    sentence: str


def after_failure(topic: str, *, problem: str, waited: float, endpoints: int, patience: Patience) -> Wait | GiveUp:
    """Whether the deletion of ``topic``'s resource goes on waiting, ``waited`` seconds after it began."""
    limit = patience.silent if endpoints else min(patience.gone, patience.silent)
    if waited < limit:
        return Wait(limit - waited)
    why = f"does not answer ({problem.rstrip('.')})" if endpoints else "is not there"
    return GiveUp(
        f"The store {why}, so the topic '{topic}' was kept with its data although this resource goes. "
        "It passes to its creators when the store is back."
    )
