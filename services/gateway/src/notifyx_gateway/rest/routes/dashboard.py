"""``/dashboard``: the page, its live part, the script that keeps it live, and its state for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources

from quart import Blueprint, Response, request

from notifyx_common.serving.web import json_response
from notifyx_gateway.dashboard.collector import Collector, Snapshot
from notifyx_gateway.dashboard.ledger import LedgerReader, LedgerView
from notifyx_gateway.dashboard.lines import span_of
from notifyx_gateway.dashboard.overview import Overview, PrometheusPeriod, overview
from notifyx_gateway.dashboard.prometheus_charts import PrometheusCharts
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.pages import Pages

NEWS_TIMEOUT = 1.0
"""How long a page waits for news, in seconds. It takes a gateway that says nothing for much longer as away."""


def dashboard_routes(
    *,
    request_auth: RequestAuthenticator,
    pages: Pages,
    collector: Collector,
    ledger_reader: LedgerReader | None,
    charts: PrometheusCharts | None,
) -> Blueprint:
    """Return the routes. ``ledger_reader`` is ``None`` if topics are not shown, ``charts`` without a Prometheus.

    Limited by address is what is read and rendered. The script is neither, and a limited page needs it to say so.
    """
    blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")
    limited = Blueprint("read", __name__)
    limited.before_request(request_auth.limit_dashboard)
    script = resources.files("notifyx_gateway.rest").joinpath("templates", "dashboard.js").read_bytes()

    async def read_ledger() -> Sequence[LedgerView] | None:
        return await ledger_reader.read() if ledger_reader is not None else None

    async def read_charts() -> PrometheusPeriod | None:
        if charts is None:
            return None
        span = span_of(request.args.get("span"))
        return PrometheusPeriod(span, await charts.lines(span))

    async def read(snapshot: Snapshot) -> Overview:
        # At once: what neither has in half a second comes with the next refresh.
        ledger, prometheus = await asyncio.gather(read_ledger(), read_charts())
        return overview(snapshot, collector.intervals, collector.incidents, ledger, prometheus)

    @limited.get("")
    async def page() -> Response:
        return pages.compressed("dashboard.html", view=await read(await collector.snapshot()))

    @limited.get("/live")
    async def live() -> Response:
        """Return the live part: at once, or once there is another than the one of ``after``; 204 if there is none."""
        snapshot = await collector.newer(request.args.get("after", ""), NEWS_TIMEOUT)
        if snapshot is None:
            return Response(status=204)
        return pages.compressed("dashboard_live.html", view=await read(snapshot))

    @limited.get("/state")
    async def state() -> Response:
        """Return the headline and the problems, the worst first, for programs such as ``notifyx doctor``."""
        snapshot = await collector.snapshot()
        view = overview(snapshot, collector.intervals, collector.incidents, None)
        problems = [asdict(problem) for problem in view.problems]
        return json_response({"state": view.state, "headline": view.headline, "problems": problems})

    @blueprint.get("/dashboard.js")
    async def program() -> Response:
        return Response(script, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    blueprint.register_blueprint(limited)
    return blueprint
