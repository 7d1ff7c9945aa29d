"""Writes a container image from files and root file systems, with no engine (the docker-archive format).

Layers are streamed from files: a root file system is larger than what should be held in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EPOCH = "1970-01-01T00:00:00Z"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image holds: tar archives, each a layer, then single files; ``user`` is numeric."""

    layers: Sequence[Path] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    environment: Sequence[str] = (PATH,)


def write_image(name: str, recipe: Recipe, target: Path) -> None:
    """Write the image ``name`` (with its tag) to ``target``, in one step."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        layers = list(recipe.layers)
        if recipe.files:
            layers.append(_file_layer(recipe.files, Path(folder) / "files.tar"))
        digests = [_sha256(layer) for layer in layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": EPOCH,
            "config": {
                "Env": list(recipe.environment),
                "Cmd": list(recipe.command),
                "Entrypoint": list(recipe.entrypoint) or None,
                "User": recipe.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": EPOCH, "created_by": "notifyx tests"} for _ in layers],
        }
        described = json.dumps(config).encode()
        config_name = f"{hashlib.sha256(described).hexdigest()}.json"
        names = [f"{digest}/layer.tar" for digest in digests]
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
        partial = Path(folder) / "image.tar"
        with tarfile.open(partial, "w") as archive:
            _add_bytes(archive, config_name, described)
            for layer, member in zip(layers, names, strict=True):
                archive.add(layer, member)
            _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
        shutil.move(partial, target)


def _file_layer(files: Mapping[str, Path], target: Path) -> Path:
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as layer:
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(tmp)
        for place, source in sorted(files.items()):
            member = tarfile.TarInfo(place.lstrip("/"))
            member.size = source.stat().st_size
            member.mode = source.stat().st_mode & 0o755
            with open(source, "rb") as content:
                layer.addfile(member, content)
    return target


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
