"""What publishes do not need does not hold them up. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.histories.events import FaultSpan, Publish
from chaos.histories.facts import NEVER, Facts, Violation

BESIDE = ("memcached", "nats", "auth", "mailer", "smtp", "operator")
"""Services that a publish does not wait for, whatever is done to them or on their links."""


def publishes_go_on(facts: Facts) -> Iterator[Violation]:
    """Before anything fails that publishes need, each of them is accepted at the first attempt."""
    needed = min((span.started for span in facts.of(FaultSpan) if not _is_beside(span)), default=NEVER)
    jumped = min((span.started for span in facts.of(FaultSpan) if span.fault == "clock"), default=NEVER)
    for attempt in facts.of(Publish):
        # By a clock that has jumped, credentials expire or are of the future, and connections end with them.
        expired = attempt.at > jumped and (attempt.outcome == "unknown" or attempt.code.startswith("401"))
        # The alarm of a full storage outlasts its reason, and the history that had it.
        full = attempt.code.endswith("storage_full")
        if attempt.outcome != "ok" and attempt.at < needed and not expired and not full:
            yield Violation(
                "publish was held up",
                f"{attempt.message} was {attempt.outcome} ({attempt.code}) at {attempt.at:.2f}; nothing that it needs "
                "had failed",
            )


def _is_beside(span: FaultSpan) -> bool:
    """Return whether a publish needs nothing of what the fault was done to."""
    if span.fault == "clock" or span.target.endswith(("-registry", "-nats")):
        return True
    # A store that stops in order finishes what it has, and the other one takes over.
    in_order = span.fault in ("drain", "rolling") and span.target.startswith("store")
    return in_order or span.target.startswith(BESIDE)
