"""Starts the operator: ``notifyx-operator``, or ``python -m notifyx_operator``."""

from __future__ import annotations

import os

from notifyx_common import start

APP = "notifyx_operator.app"

KUBERNETES = tuple(
    f"kubernetes.{name}"
    for name in ("client", "config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch")
)
"""A client library of which Kopf takes two types where it is installed, as it is in the environment of development."""

UNUSED = (*KUBERNETES, "aiohttp.web", "jinja2")
"""Besides, the server of Kopf's own probe and of its webhooks, and templates, which Quart imports."""


def main() -> None:
    """Run the operator; entry point of the console script."""
    # The prober's client alone trusts the authorities that aiohttp loads; all others have contexts of their own.
    start.run(APP, unused=UNUSED, authorities=os.environ.get("NOTIFYX_PROBE_URL", "").startswith("https:"))


if __name__ == "__main__":
    main()
