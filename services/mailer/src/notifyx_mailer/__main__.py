"""Starts the service: ``notifyx-mailer``, or ``python -m notifyx_mailer``."""

from __future__ import annotations

from notifyx_common import start


def main() -> None:
    """Run the service; entry point of the console script."""
    start.run("notifyx_mailer.app")


if __name__ == "__main__":
    main()
