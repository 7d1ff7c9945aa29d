"""``/dashboard``: the page, its live part, and the script that keeps it live."""

from __future__ import annotations

from importlib import resources

from quart import Blueprint, Response, request

from notifyx_gateway.dashboard.collector import Collector
from notifyx_gateway.dashboard.ledger import LedgerReader
from notifyx_gateway.dashboard.lines import span_of
from notifyx_gateway.dashboard.overview import Overview, PrometheusPeriod, overview
from notifyx_gateway.dashboard.prometheus_charts import PrometheusCharts
from notifyx_gateway.rest.pages import Pages


def dashboard_routes(
    *, pages: Pages, collector: Collector, ledger_reader: LedgerReader | None, charts: PrometheusCharts | None
) -> Blueprint:
    """Return the routes. ``ledger_reader`` is ``None`` if topics are not shown, ``charts`` without a Prometheus."""
    blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")
    script = resources.files("notifyx_gateway.rest").joinpath("templates", "dashboard.js").read_bytes()

    async def read() -> Overview:
        snapshot = await collector.snapshot()
        ledger = await ledger_reader.read() if ledger_reader is not None else None
        prometheus = None
        if charts is not None:
            span = span_of(request.args.get("span"))
            prometheus = PrometheusPeriod(span, await charts.lines(span))
        return overview(snapshot, collector.intervals, collector.incidents, ledger, prometheus)

    @blueprint.get("")
    async def page() -> Response:
        return pages.compressed("dashboard.html", view=await read())

    @blueprint.get("/live")
    async def live() -> Response:
        return pages.compressed("dashboard_live.html", view=await read())

    @blueprint.get("/dashboard.js")
    async def program() -> Response:
        return Response(script, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    return blueprint
