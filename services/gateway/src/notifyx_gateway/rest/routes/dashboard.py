"""``/dashboard``: the page, its live part, the script that keeps it live, and its state for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import resources
from typing import TypeVar

from quart import Blueprint, Response, request

from notifyx_common.serving.replies import Reply, json_reply
from notifyx_gateway.dashboard.collector import Collector, Snapshot
from notifyx_gateway.dashboard.ledger import LedgerReader, LedgerView
from notifyx_gateway.dashboard.lines import TEN_MINUTES, Lines, Span, span_of
from notifyx_gateway.dashboard.overview import PrometheusPeriod, overview
from notifyx_gateway.dashboard.prometheus_charts import PrometheusCharts
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.codings import File
from notifyx_gateway.rest.pages import Pages

NEWS_TIMEOUT = 1.0
"""How long a page waits for news, in seconds. It takes a gateway that says nothing for much longer as away."""

T = TypeVar("T")


class Made:
    """The newest answer of each kind, for as long as what it is made from is the same: viewers get the same bytes."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, Span], tuple[tuple[object, ...], object]] = {}

    def once(self, kind: tuple[str, Span], sources: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what ``make`` returned for the same ``sources``, which are compared by identity; else call it."""
        before = self._newest.get(kind)
        if before is not None and all(one is other for one, other in zip(before[0], sources, strict=True)):
            return before[1]  # type: ignore[return-value]  # a kind always has the same ``make``
        made = make()
        self._newest[kind] = (sources, made)
        return made


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

    async def read_charts(span: Span) -> Lines | None:
        return None if charts is None else await charts.lines(span)

    made = Made()

    async def document(template: str, snapshot: Snapshot) -> Response:
        """Return a page as of ``snapshot``: nothing in it differs between viewers but the span."""
        span = TEN_MINUTES if charts is None else span_of(request.args.get("span"))
        # At once: what neither has in half a second comes with the next refresh.
        ledger, lines = await asyncio.gather(read_ledger(), read_charts(span))

        def render() -> File:
            prometheus = None if charts is None else PrometheusPeriod(span, lines)
            view = overview(snapshot, collector.intervals, collector.incidents, ledger, prometheus)
            return pages.live_document(template, view=view)

        return pages.send(made.once((template, span), (snapshot, ledger, lines), render))

    @limited.get("")
    async def page() -> Response:
        return await document("dashboard.html", await collector.snapshot())

    @limited.get("/live")
    async def live() -> Response:
        """Return the live part: at once, or once there is another than the one of ``after``; 204 if there is none."""
        snapshot = await collector.newer(request.args.get("after", ""), NEWS_TIMEOUT)
        if snapshot is None:
            return Response(status=204)
        return await document("dashboard_live.html", snapshot)

    @limited.get("/state")
    async def state() -> Response:
        """Return the headline and the problems, the worst first, for programs such as ``notifyx doctor``."""
        snapshot = await collector.snapshot()

        def read() -> Reply:
            view = overview(snapshot, collector.intervals, collector.incidents, None)
            problems = [asdict(problem) for problem in view.problems]
            return json_reply({"state": view.state, "headline": view.headline, "problems": problems})

        return made.once(("state", TEN_MINUTES), (snapshot,), read).response()

    @blueprint.get("/dashboard.js")
    async def program() -> Response:
        return Response(script, content_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    blueprint.register_blueprint(limited)
    return blueprint
