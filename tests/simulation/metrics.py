"""The metrics of all simulated processes: one registry, since nobody reads them and each costs milliseconds to make."""

from __future__ import annotations

from notifyx_common.metrics import Metrics

METRICS = Metrics()
