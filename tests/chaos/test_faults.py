"""A defect in a background task of a service below ``notifyx up``: the service ends, and is started again."""

from __future__ import annotations

import asyncpg
import pytest

from support.platform import Platform, eventually, person, several_nodes
from support.sharing import Shared

pytestmark = pytest.mark.xdist_group("several-nodes")


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


@pytest.mark.slow
async def test_a_store_whose_purge_has_a_defect_ends_and_is_started_again(platform: Platform) -> None:
    """What is missing is a table that only the purge of a deleted topic needs: no absence of the database."""
    before = {name: pid for name, pid in platform.running().items() if name.startswith("store")}
    connection = await asyncpg.connect(platform.store_database)
    try:
        async with person(platform, "owner-of-a-defect") as owner:
            await owner.call("POST", "/topics", json={"name": "defect"})
            await connection.execute("ALTER TABLE ack_exceptions RENAME TO ack_exceptions_away")
            try:
                await owner.call("DELETE", "/topics/defect")

                async def ended() -> bool:
                    running = platform.running()
                    return any(running.get(name) != pid for name, pid in before.items())

                await eventually(ended)
            finally:
                await connection.execute("ALTER TABLE ack_exceptions_away RENAME TO ack_exceptions")

            async def purged() -> bool:
                left = await connection.fetchval("SELECT count(*) FROM topics WHERE kind = 'deleted'")
                return left == 0 and platform.running().keys() >= before.keys()

            await eventually(purged)
            said = "".join((platform.data / "logs" / f"{name}.log").read_text() for name in before)
            assert "The background task 'purge' failed (UndefinedTableError)" in said
            await owner.call("POST", "/topics", json={"name": "after-the-defect"})
    finally:
        await connection.close()
