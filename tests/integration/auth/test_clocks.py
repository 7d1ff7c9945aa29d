"""Two replicas of auth on one database, of which one has a wall clock that is wrong."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from notifyx_auth.app import AuthNode
from notifyx_common.clock import SystemClock
from support.auth import TIMEOUTS, HandClock, RunningAuth, auth_settings
from support.clock import WrongWallClock
from support.postgres import patient


@pytest.mark.parametrize("ahead", [3600.0, -3600.0], ids=["ahead", "behind"])
async def test_what_one_makes_is_good_at_the_other_for_as_long_as_it_says(database: str, ahead: float) -> None:
    async with AsyncExitStack() as stack:

        async def running(clock: SystemClock) -> RunningAuth:
            node = AuthNode(auth_settings(database), clock=clock)
            patient(node.database, **TIMEOUTS)
            await stack.enter_async_context(node.context())
            return RunningAuth(node, node.auth, HandClock())

        wrong, right = await running(WrongWallClock(ahead)), await running(SystemClock())
        ada = await right.signed_in(await right.sign_up())
        until = (datetime.now(UTC) + timedelta(minutes=30)).isoformat().replace("+", "%2B")
        for maker, user in ((wrong, right), (right, wrong)):
            path = f"/stream-tickets?until={until}&session={ada.session}"
            made = await maker.call("POST", path, {"topic": "plans"}, as_=ada)
            assert made.status == 201, made.data
            used = await user.call("POST", "/stream-tickets:use", {"ticket": made.data["ticket"]})
            assert used.status == 200, used.data
            begun = await maker.sign_in()
            assert (await user.refresh(begun.data["refresh_token"])).status == 200
