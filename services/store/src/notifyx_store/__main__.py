"""Starts the service: ``notifyx-store``, or ``python -m notifyx_store``."""

from __future__ import annotations

from notifyx_common import start

UNUSED = ("jinja2",)
"""Templates, which Quart imports; this service answers JSON alone."""


def main() -> None:
    """Run the service; entry point of the console script."""
    start.run("notifyx_store.app", unused=UNUSED)


if __name__ == "__main__":
    main()
