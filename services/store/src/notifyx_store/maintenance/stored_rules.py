"""How much an account has stored, estimated from a sample, and whether that is too much. Pure.

The number of its notifications is known from the rows of its topics. Their mean size is that of notifications at
random seqs: of what was drawn, what exists is a fair sample, however much has expired between. A seq that was not
found counts for nothing, so where much is missing more has to be drawn.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

ROW_BYTES = 320
"""What a notification takes beside its payload: the rest of its row, and its entries in the indexes of the log."""

PAYLOAD_FACTOR = 2
"""What a payload takes, in its own size as it is stored: the words of it that search has are about as much again."""

MAX_PAYLOAD_BYTES = 384 << 10
"""Maximum payload by the default limits: 65,536 characters of four bytes, and data."""

LOW_SHARE = 0.9
"""An account that is over its quota stays so until it is below this part of it."""

DRAWS = (250, 1_000, 4_000, 16_000)
"""Seqs that are drawn in each round for one account."""

ENOUGH = 1_000
"""Notifications of a sample after which no round follows: their mean size is certain to a few percent."""

_FEW = 100
"""Notifications of a sample that are enough for an account that is far below its quota."""

_FAR_BELOW = 0.7
_ERRORS = 3.0


class Span(NamedTuple):
    """Seqs ``first``..``last`` of a topic, some of which may be gone."""

    topic_id: UUID
    first: int
    last: int

    @property
    def seqs(self) -> int:
        """Return how many they are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an account has stored, in bytes, and the standard error of that."""

    bytes: float
    error: float


def least_count(quota: int) -> int:
    """Return the number of notifications below which an account cannot be over ``quota``, whatever their sizes."""
    return max(1, math.floor(quota * LOW_SHARE / _with_rest(MAX_PAYLOAD_BYTES)))


def spans_of(topic_id: UUID, pruned_seq: int, last_seq: int, gaps: Iterable[tuple[int, int]]) -> list[Span]:
    """Return where a topic's notifications can be; ``gaps`` are seqs that a restore passed over, in their order."""
    spans: list[Span] = []
    first = pruned_seq + 1
    for gap_first, gap_last in gaps:
        if gap_first > first:
            spans.append(Span(topic_id, first, min(gap_first - 1, last_seq)))
        first = max(first, gap_last + 1)
    if first <= last_seq:
        spans.append(Span(topic_id, first, last_seq))
    return spans


def draw(spans: Sequence[Span], count: int, source: random.Random) -> list[tuple[UUID, int]]:
    """Return ``count`` places in the log, each seq of ``spans`` as likely as any other."""
    if not spans:
        return []
    chosen = source.choices(spans, [span.seqs for span in spans], k=count)
    return [(span.topic_id, source.randint(span.first, span.last)) for span in chosen]


def estimate(count: int, sizes: Sequence[int]) -> Estimate | None:
    """Return what ``count`` notifications take of which some have payloads of ``sizes``; ``None`` without any."""
    if not sizes:
        return None
    mean = sum(sizes) / len(sizes)
    variance = sum((size - mean) ** 2 for size in sizes) / max(1, len(sizes) - 1)
    return Estimate(count * _with_rest(mean), count * PAYLOAD_FACTOR * math.sqrt(variance / len(sizes)))


def is_enough(found: Estimate | None, sample: int, quota: int, *, was_over: bool) -> bool:
    """Return whether a sample of this number of notifications tells whether the account is over its quota.

    A small one may have missed the few that are large: it is not enough to end a refusal.
    """
    if found is None or sample >= ENOUGH:
        return found is not None
    if was_over or sample < _FEW:
        return False
    return found.bytes + _ERRORS * found.error < _FAR_BELOW * quota


def is_over(found: Estimate | None, quota: int, *, was_over: bool) -> bool:
    """Return whether the account is over its quota: so it stays until that is well over, beyond what is uncertain."""
    if found is None:
        return was_over
    if was_over:
        return found.bytes + 2 * found.error >= LOW_SHARE * quota
    return found.bytes >= quota


def _with_rest(payload: float) -> float:
    return payload * PAYLOAD_FACTOR + ROW_BYTES
