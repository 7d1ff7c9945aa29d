"""One platform with its web client, and one browser, for all tests here that a worker runs."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from support import web
from support.browser import running_browser
from support.platform import Platform, small_platform
from support.sharing import Shared

platform_with_web = functools.partial(small_platform, web=True)


@pytest.fixture(scope="session")
def built() -> None:
    """The web client is built from the sources as they are."""
    web.install()
    web.build()


@pytest.fixture(scope="module")
def platform(built: None, shared: Shared) -> Platform:
    return shared.enter(platform_with_web)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running
