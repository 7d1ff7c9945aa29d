"""A service whose wall clock can be set while it runs: its offset from the machine's is in a file."""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import struct
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chaos.histories.mutations import BY_NAME
from notifyx_common.clock import SystemClock
from notifyx_common.serving import lifecycle
from notifyx_common.serving.lifecycle import Node

_OFFSET = struct.Struct("d")


class OffsetClock(SystemClock):
    """The machine's clock, and as many seconds as the file says. Only the wall clock jumps, as on a real machine."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _OFFSET.size)

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=_OFFSET.unpack(self._memory)[0])


def set_clock(file: Path, seconds: float) -> None:
    """Set the clock that ``file`` is of, which exists afterwards."""
    if not file.exists():
        file.write_bytes(_OFFSET.pack(0.0))
    with file.open("r+b") as opened:
        opened.write(_OFFSET.pack(seconds))


def main() -> None:
    """Run the service that the environment names."""
    service = os.environ["CHAOS_SERVICE"]
    app = importlib.import_module(f"notifyx_{service}.app")
    settings = importlib.import_module(_SETTINGS[service])
    title = service.capitalize()
    kind: type[Node[Any]] = getattr(app, f"{title}Node")
    clock = OffsetClock(Path(os.environ["CHAOS_CLOCK"]))

    class Clocked(kind):  # type: ignore[misc, valid-type]  # which service it is, is known when it starts
        """The node, with that clock."""

        def __init__(self, settings: Any) -> None:
            super().__init__(settings, clock=clock)

    without = BY_NAME.get(Path(os.environ["CHAOS_WITHOUT"]).read_text())
    protections = without.removed("notifyx_common", f"notifyx_{service}") if without else contextlib.nullcontext()
    with protections:
        lifecycle.main(Clocked, getattr(settings, f"{title}Settings"))


_SETTINGS = {
    "gateway": "notifyx_gateway.settings",
    "auth": "notifyx_auth.base.settings",
    "store": "notifyx_store.base.settings",
    "mailer": "notifyx_mailer.settings",
}
