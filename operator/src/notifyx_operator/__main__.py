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

UNUSED = (*KUBERNETES, "aiohttp.web", "jinja2", "kopf._kits.webhooks", "pickle", "zoneinfo")
"""Besides, the server of Kopf's own probe and its webhooks, templates, which Quart imports, cookies in files, which
aiohttp can read, and time zones, of which pydantic can make fields.
"""

IN_POD = ("yaml",)
"""With this Kopf reads a kubeconfig, which a pod does not have."""


def main() -> None:
    """Run the operator; entry point of the console script."""
    in_pod = IN_POD if os.environ.get("KUBERNETES_SERVICE_HOST") else ()
    # The prober's client alone trusts the authorities that aiohttp loads; all others have contexts of their own.
    start.run(APP, unused=(*UNUSED, *in_pod), authorities=os.environ.get("NOTIFYX_PROBE_URL", "").startswith("https:"))


if __name__ == "__main__":
    main()
