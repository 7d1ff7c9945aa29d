"""Renderings that several tests look at, each made once."""

from __future__ import annotations

import pytest

from chart.rendered import VARIANTS, Rendering, render


@pytest.fixture(scope="session")
def renderings() -> dict[str, Rendering]:
    """Every variant, rendered."""
    return {name: render(values) for name, values in VARIANTS.items()}


@pytest.fixture(params=list(VARIANTS))
def rendering(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    """Each variant in turn."""
    return renderings[request.param]


@pytest.fixture
def default(renderings: dict[str, Rendering]) -> Rendering:
    """The chart without any value given."""
    return renderings["default"]


@pytest.fixture
def everything(renderings: dict[str, Rendering]) -> Rendering:
    """The chart with all that can be switched on."""
    return renderings["everything"]


@pytest.fixture
def external(renderings: dict[str, Rendering]) -> Rendering:
    """The chart with databases, caches, mail and secrets of the user's own."""
    return renderings["external"]


@pytest.fixture
def minimal(renderings: dict[str, Rendering]) -> Rendering:
    """The chart with all that can be switched off."""
    return renderings["minimal"]
