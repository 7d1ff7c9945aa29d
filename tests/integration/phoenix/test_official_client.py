"""The official ``phoenix`` npm client, unmodified, against the whole platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.official_client import install_client, make_journey
from support.platform import Platform

pytestmark = pytest.mark.xdist_group("platform-1")


async def test_the_journey_of_two_people_on_three_devices(platform: Platform, tmp_path: Path) -> None:
    install_client(tmp_path)
    await make_journey(platform, tmp_path)
