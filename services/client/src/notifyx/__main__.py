"""The command ``notifyx``. Its dependencies are an extra; without them it prints what to install."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script, and of ``python -m notifyx``."""
    try:
        from notifyx.cli.app import run  # noqa: PLC0415 - its dependencies may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "yaml"):
            raise
        sys.exit("notifyx: the command line is not installed; run: pip install 'notifyx-client[cli]'")
    run()


if __name__ == "__main__":
    main()
