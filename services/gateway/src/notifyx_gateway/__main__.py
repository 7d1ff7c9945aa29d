"""Starts the service: ``notifyx-gateway``, or ``python -m notifyx_gateway``."""

from __future__ import annotations

from notifyx_common import start


def main() -> None:
    """Run the service; entry point of the console script."""
    start.run("notifyx_gateway.app")


if __name__ == "__main__":
    main()
