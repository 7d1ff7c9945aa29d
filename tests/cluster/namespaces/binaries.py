"""Kubernetes' own programs, and cert-manager's, built from their Go modules, once a machine.

The versions are those of ``gomod/*/go.mod``; the result is kept in the cache folder under a name made of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from cluster.commands import run
from cluster.provider import NoCluster, Say
from cluster.waiting import CommandFailed
from support import go
from support.helm import cache_folder

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
MODULES = Path(__file__).parent.parent / "gomod"


def binaries(say: Say) -> Path:
    """The folder of the programs: Kubernetes', ``etcd`` and ``coredns``. Raises :class:`NoCluster`."""
    folder = _kept("coredns", "kubernetes")
    if (folder / "coredns").exists():
        return folder
    toolchain = go_toolchain(say)
    say("building Kubernetes from its Go modules; this is done once and takes about six minutes on two cores")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        _build(toolchain, MODULES / "kubernetes", partial, [f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES])
        say("building etcd and CoreDNS")
        _build(toolchain, MODULES / "kubernetes", partial / "etcd", ["go.etcd.io/etcd/server/v3"])
        _build(toolchain, MODULES / "coredns", partial / "coredns", ["."])
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
    toolchain = go_toolchain(say)
    say("building cert-manager from its Go module; this is done once and takes about a minute and a half on two cores")
    partial = program.parent.with_name(f"{program.parent.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        _build(toolchain, MODULES / "cert-manager", partial / program.name, ["."])
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


def _build(toolchain: str, module: Path, target: Path, packages: list[str]) -> None:
    out = f"{target}/" if len(packages) > 1 else str(target)
    command = ["nice", "-n", "5", toolchain, "build", "-trimpath", "-ldflags", _ldflags(), "-o", out, *packages]
    run(command, cwd=module, env=go.MODULE_ENV, deadline=3600)


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
    """A Go toolchain that is new enough. Raises :class:`NoCluster`."""
    try:
        return go.go_toolchain(say)
    except go.NoGo as error:
        raise NoCluster(str(error)) from None
