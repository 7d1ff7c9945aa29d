"""The web client's unit tests, run by its own runner, and its types against the API they were made from."""

from __future__ import annotations

import pytest

from support import web

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    web.install()


def test_its_logic() -> None:
    web.test()


def test_its_types_are_those_of_the_api() -> None:
    web.types(check_only=True)
