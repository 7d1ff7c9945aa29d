"""Starts the service: ``notifyx-mailbox``, or ``python -m notifyx_mailbox``."""

from __future__ import annotations

from notifyx_common import start


def main() -> None:
    """Run the service; entry point of the console script."""
    start.run("notifyx_mailbox.app")


if __name__ == "__main__":
    main()
