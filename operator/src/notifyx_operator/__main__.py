"""Starts the operator: ``notifyx-operator``, or ``python -m notifyx_operator``."""

from __future__ import annotations

from notifyx_common import start

APP = "notifyx_operator.app"

UNUSED = tuple(
    f"kubernetes.{name}"
    for name in ("client", "config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch")
)
"""A client library of which Kopf takes two types where it is installed, as it is in the environment of development."""


def main() -> None:
    """Run the operator; entry point of the console script."""
    start.run(APP, unused=UNUSED, authorities=True)


if __name__ == "__main__":
    main()
