"""Rules whose URLs are built late."""

from __future__ import annotations

from notifyx_common.serving.rules import App


async def test_urls_are_matched_and_built() -> None:
    app = App("rules")

    @app.get("/things/<int:number>/<path:rest>")
    async def thing(number: int, rest: str) -> str:
        return f"{number + 1} {rest}"

    answer = await app.test_client().get("/things/4/a/b")
    assert await answer.get_data(as_text=True) == "5 a/b"
    async with app.test_request_context("/"):
        assert app.url_for("thing", number=4, rest="a b", more="x&y") == "/things/4/a%20b?more=x%26y"
