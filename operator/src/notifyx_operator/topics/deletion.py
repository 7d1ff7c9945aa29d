"""Decides what to do when a resource is being deleted and its topic could not be settled. Pure.

A resource is always released in the end: an uninstalled store must not leave objects that nobody can delete. Only the
clean-up is given up, never data: the topic stays as it is, and a later resync releases it if the store is back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeletionTimeouts:
    """Seconds to wait for a store that does not answer, and for one that has no endpoint."""

    unresponsive: float
    absent: float


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try again within so many seconds."""

    within: float


@dataclass(frozen=True, slots=True)
class ReleaseResource:
    """Remove the finalizer although the topic is not settled; ``message`` is the text of the Event."""

    message: str


def after_failure(
    topic: str, *, problem: str, waited: float, endpoints: int, timeouts: DeletionTimeouts
) -> RetryLater | ReleaseResource:
    """Decide whether the deletion of ``topic``'s resource, begun ``waited`` seconds ago, waits for longer."""
    limit = timeouts.unresponsive if endpoints else min(timeouts.absent, timeouts.unresponsive)
    if waited < limit:
        return RetryLater(limit - waited)
    why = f"does not answer ({problem.rstrip('.')})" if endpoints else "is not there"
    return ReleaseResource(
        f"The store {why}, so the topic '{topic}' was kept with its data although this resource goes. "
        "It passes to its creators when the store is back."
    )
