"""Senders of other makers, with the lines of their pages in docs/integrations."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clients.programs import installed
from support.documents import snippets
from support.platform import Platform, person

pytestmark = pytest.mark.xdist_group("clients")

HOST = "notifyx.example.com"


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it
@pytest.mark.parametrize("schema", ["jsons", "forms"])
async def test_apprise_sends_by_the_address_of_its_page(platform: Platform, schema: str, tmp_path: Path) -> None:
    apprise = installed("apprise")
    topic = f"backups-{schema}"
    documented = f"jsons://{HOST}/api/v1/topics/backups/hooks/apprise/nfh_…"
    assert snippets("integrations/apprise", "")[0].strip() == documented
    async with person(platform, "ada") as ada:
        await ada.call("POST", "/topics", json={"name": topic})
        made = await ada.call("POST", f"/topics/{topic}/hooks", json={"kind": "apprise"})
        here = documented.replace(HOST, platform.gateway.removeprefix("http://")).replace("/backups/", f"/{topic}/")
        # The platform of tests has no TLS.
        address = here.replace("jsons://", f"{schema.removesuffix('s')}://").replace("nfh_…", made["secret"])
        sender = apprise.Apprise()
        assert sender.add(address)
        failure = apprise.NotifyType.FAILURE
        assert await asyncio.to_thread(sender.notify, title="Backup", body="disk full", notify_type=failure)
        disk = tmp_path / "größe.png"
        disk.write_bytes(b"\x89PNG\r\n\r\n")
        assert await asyncio.to_thread(sender.notify, title="Disk", body="as drawn", attach=str(disk))
        told, drawn = (await ada.call("GET", f"/topics/{topic}/notifications"))["items"]
    assert (told["title"], told["body"], told["priority"]) == ("Backup", "disk full", "high")
    assert (drawn["title"], drawn["body"]) == ("Disk", "as drawn")
    assert drawn["data"]["attachments_left_out"] == [disk.name]
