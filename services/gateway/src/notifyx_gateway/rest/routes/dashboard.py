"""``/dashboard``: the page, its live part, and the script that keeps it live."""

from __future__ import annotations

from importlib import resources

from quart import Blueprint, Response, request

from notifyx_gateway.dashboard.collector import Collector
from notifyx_gateway.dashboard.lines import span_of
from notifyx_gateway.dashboard.overview import Longer, Overview, overview
from notifyx_gateway.dashboard.prometheus_history import PrometheusHistory
from notifyx_gateway.dashboard.topics import TopicBooks
from notifyx_gateway.rest.pages import Pages


def dashboard_routes(
    *, pages: Pages, collector: Collector, books: TopicBooks | None, history: PrometheusHistory | None
) -> Blueprint:
    """The three; ``books`` is ``None`` where topics are not shown, ``history`` where there is no Prometheus."""
    blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")
    script = resources.files("notifyx_gateway.rest").joinpath("templates", "dashboard.js").read_bytes()

    async def look() -> Overview:
        sight = await collector.look()
        ledger = await books.read() if books is not None else None
        longer = None
        if history is not None:
            span = span_of(request.args.get("span"))
            longer = Longer(span, await history.lines(span))
        return overview(sight, collector.history, ledger, longer)

    @blueprint.get("")
    async def page() -> Response:
        return pages.render("dashboard.html", live=True, view=await look())

    @blueprint.get("/live")
    async def live() -> Response:
        return pages.render("dashboard_live.html", live=True, view=await look())

    @blueprint.get("/dashboard.js")
    async def program() -> Response:
        return Response(script, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    return blueprint
