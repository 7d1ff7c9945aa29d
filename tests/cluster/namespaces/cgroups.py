"""The cgroups of the machines, in every hierarchy that this kernel has mounted (version 1)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def hierarchies() -> list[Path]:
    """Where cgroup hierarchies are mounted."""
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            found.append(Path(place))
    return found


def make(group: str) -> None:
    """Make ``group`` (like ``/a/b``) in every hierarchy; a cpuset gets its parent's CPUs, or no process may join."""
    for root in hierarchies():
        place = root
        for part in group.strip("/").split("/"):
            parent, place = place, place / part
            if place.is_dir():
                continue
            place.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (place / name).exists() and (parent / name).exists():
                    (place / name).write_text((parent / name).read_text())


def remove(group: str) -> bool:
    """Remove ``group`` and all below it from every hierarchy; whether nothing is left (processes may keep some)."""
    left = False
    for root in hierarchies():
        top = root / group.strip("/")
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        left = left or top.exists()
    return not left


def processes(group: str, name: str) -> list[int]:
    """The processes in the cgroups called ``name`` below ``group``, in the hierarchy of process numbers."""
    (root,) = (one for one in hierarchies() if one.name == "pids")
    found = [folder for folder in (root / group.strip("/")).rglob(name) if folder.is_dir()]
    return [int(pid) for folder in found for pid in (folder / "cgroup.procs").read_text().split()]


def freeze(group: str, *, frozen: bool) -> None:
    """Let no process of ``group`` and below go on, or all."""
    (root,) = (one for one in hierarchies() if one.name == "freezer")
    (root / group.strip("/") / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def joining(group: str) -> list[str]:
    """The start of a command whose process joins ``group`` in every hierarchy before it becomes the command."""
    files = " ".join(f"{root}/{group.strip('/')}/cgroup.procs" for root in hierarchies())
    return ["sh", "-c", f'for file in {files}; do echo $$ > "$file"; done; exec "$@"', "join"]
