"""PromQL: the questions that come again and again, and the namespace in all of them."""

from __future__ import annotations

import re

NAMESPACE = 'namespace=~"$namespace"'
"""Of the dashboard's variable. For "all" it becomes ``.*``, which series without that label match too."""

_OWN_METRIC = re.compile(r"\b(notifyx_\w+)(?:\{([^}]*)\})?")


def in_namespace(expression: str) -> str:
    """``expression`` with every metric of the platform limited to the chosen namespaces.

    Recorded series (``notifyx:...``) stay as they are: the rules add up over all namespaces.
    """

    def limited(found: re.Match[str]) -> str:
        metric, matchers = found.groups()
        return f"{metric}{{{', '.join(part for part in (matchers, NAMESPACE) if part)}}}"

    return _OWN_METRIC.sub(limited, expression)


def per_second(counter: str, by: str = "", where: str = "") -> str:
    """How much ``counter`` (whose series match ``where``) grows each second, for each value of the labels ``by``."""
    return f"sum{_by(by)}(rate({counter}{_where(where)}[$__rate_interval]))"


def grown(counter: str, by: str = "") -> str:
    """By how much ``counter`` grew from one point of a graph to the next: for what happens now and then."""
    return f"sum{_by(by)}(increase({counter}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", over: str = "$__rate_interval") -> str:
    """What ``share`` of the observations of ``histogram`` were below, for each value of the labels ``by``."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket[{over}])))"


def failed_share(counter: str, by: str, failed: str) -> str:
    """Which share of ``counter`` matched ``failed`` over five minutes: 0 where none did, nothing where nothing was."""
    every = f"sum by ({by}) (rate({counter}[5m]))"
    return f"(sum by ({by}) (rate({counter}{{{failed}}}[5m])) or 0 * {every}) / {every}"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""
