"""What was reported to a consumer as missing: nothing that was removed before its delivery passes in silence. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Shortfall:
    """What the answer to a join called missing of the seqs up to ``up_to``, the head at that time.

    ``reported`` is how many of those that are still to pass are known to the client, infinite after a restore: nobody
    knows how many there were. Without a join that resumes, nothing is reported.
    """

    up_to: int = 0
    reported: float = 0.0

    @staticmethod
    def after_restore(up_to: int) -> Shortfall:
        """Return the one of a join that said "restored"."""
        return Shortfall(up_to, math.inf)

    def pass_over(self, after: int, up_to: int, rows: int) -> int:
        """Return how many of the seqs in (``after``, ``up_to``] are news as missing, if ``rows`` of them exist."""
        missing = up_to - after - rows
        if after >= self.up_to or not missing:
            return missing
        known = min(missing, self.reported)
        self.reported -= 0 if math.isinf(self.reported) else known
        return missing - int(known)
