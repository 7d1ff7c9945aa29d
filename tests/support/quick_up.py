"""``notifyx up`` whose auth hashes passwords as cheaply as in the tests' own processes.

Each person of a test signs up and in: two hashes, each of which takes 24 ms of the processor as users have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

from notifyx import __main__ as notifyx
from notifyx_local import main as local
from notifyx_local.options import UpOptions
from notifyx_local.processes import ProcessSpec
from support.auth import CHEAP_HASHES

_ENVIRONMENT = {f"NOTIFYX_{name.upper()}": str(value) for name, value in CHEAP_HASHES.items()}


def main() -> None:
    """Run the command, as ``notifyx`` does."""
    run = local.run

    def run_quickly(options: UpOptions) -> None:
        run(options, _arranged)

    with patch.object(local, "run", run_quickly):
        notifyx.main()


def _arranged(specs: Sequence[ProcessSpec]) -> list[ProcessSpec]:
    """Return the services with auth's settings; the others ignore them."""
    return [replace(spec, environment={**spec.environment, **_ENVIRONMENT}) for spec in specs]
