"""The result of a form is said where that form led, by any gateway, for ten minutes, and nowhere else."""

from __future__ import annotations

import pytest
from quart import Quart

from notifyx_common.errors import NotFound
from notifyx_gateway.rest.results import LIFETIME, Results
from support.auth import HandClock


async def test_a_result_is_said_on_its_page_for_a_while_and_nowhere_else() -> None:
    clock, app = HandClock(), Quart(__name__)
    here, there, other = Results(b"k" * 32, clock), Results(b"k" * 32, clock), Results(b"o" * 32, clock)
    seen = here.see("/verify-email/done", reset=1, released=2)
    assert (seen.status_code, seen.headers["Cache-Control"]) == (303, "no-store")
    location = seen.headers["Location"]
    async with app.test_request_context(location):
        assert there.read() == {"reset": 1, "released": 2}
        with pytest.raises(NotFound):
            other.read()
    for path in (location.replace("verify-email", "unsubscribe"), f"{location[:-3]}AAA", location.partition("?")[0]):
        async with app.test_request_context(path):
            with pytest.raises(NotFound):
                there.read()
    clock.move(seconds=LIFETIME)
    async with app.test_request_context(location):
        with pytest.raises(NotFound):
            there.read()
