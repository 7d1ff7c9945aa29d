"""Starts the service: ``notifyx-auth``, or ``python -m notifyx_auth``."""

from __future__ import annotations

from notifyx_common import start

UNUSED = ("jinja2",)
"""Templates, which Quart imports; this service answers JSON alone."""


def main() -> None:
    """Run the service; entry point of the console script."""
    start.run("notifyx_auth.app", unused=UNUSED)


if __name__ == "__main__":
    main()
