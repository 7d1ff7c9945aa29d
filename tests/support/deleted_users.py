"""What is left of users who deleted their account."""

from __future__ import annotations

import json

import aiohttp

from notifyx_common.contracts.store.people import REMOVE_USER, RemoveUser
from notifyx_common.principal import PRINCIPAL_HEADER, system_principal
from support.platform import Platform


async def remove_all(platform: Platform, user: str) -> None:
    """Have the store remove what it holds of a deleted user at once, as happens once no token of theirs is valid."""
    port = json.loads((platform.data / "run/store.json").read_text())["port"]
    url = f"http://127.0.0.1:{port}{REMOVE_USER.path.format(user_id=user)}"
    headers = {**platform.internal_headers("store"), PRINCIPAL_HEADER: system_principal("gateway").to_header()}
    piece = {"after": "", "done": False}
    async with aiohttp.ClientSession(headers=headers) as session:
        while not piece["done"]:
            body = RemoveUser(topics="keep", give_to="", email="", rewrite=True, after=str(piece["after"]))
            async with session.post(url, json=body.model_dump()) as response:
                piece = await response.json()
                assert response.ok, piece
