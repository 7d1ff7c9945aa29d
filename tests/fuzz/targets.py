"""All targets, by name."""

from __future__ import annotations

from collections.abc import Mapping

from fuzz import reading_targets, writing_targets
from fuzz.target import Target

BY_NAME: Mapping[str, Target] = {target.name: target for target in (*reading_targets.TARGETS, *writing_targets.TARGETS)}
