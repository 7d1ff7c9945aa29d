"""The manifests of docs/production.md, against the types of those whose resources they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chart.production import manifests
from clients.programs import node_packages
from cluster.commands import run
from cluster.waiting import CommandFailed
from support.node import node

PACKAGES = {
    "argoproj.io": "argo-cd",
    "cert-manager.io": "cert-manager",
    "external-secrets.io": "external-secrets",
    "gateway.networking.k8s.io": "gateway-api",
    "helm.toolkit.fluxcd.io": "flux-cd",
    "source.toolkit.fluxcd.io": "flux-cd",
}
"""Where the types of an API group are. CloudNativePG's are in no registry."""


def compiled(documents: list[dict[str, object]], folder: Path) -> str:
    """What the TypeScript compiler says to objects of their types, where a field too many is an error."""
    lines = []
    for number, one in enumerate(documents):
        version, kind = str(one["apiVersion"]), str(one["kind"])
        package = PACKAGES[version.partition("/")[0]]
        lines.append(f'import type {{ I{kind} as T{number} }} from "@kubernetes-models/{package}/{version}/{kind}";')
        lines.append(f"export const one{number}: T{number} = {json.dumps(one)};")
    (folder / "manifests.ts").write_text("\n".join(lines))
    modules = node_packages("manifests") / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "preserve"]
    try:
        return run([*node("node"), modules / "typescript/bin/tsc", *options, "manifests.ts"], cwd=folder, deadline=300)
    except CommandFailed as error:
        return str(error)


def test_the_manifests_are_of_their_types(tmp_path: Path) -> None:
    known = [one for one in manifests() if one["apiVersion"].partition("/")[0] in PACKAGES]
    assert {one["kind"] for one in known} >= {"Application", "ExternalSecret", "Gateway", "HelmRelease", "Issuer"}
    assert compiled(known, tmp_path) == ""


@pytest.mark.parametrize("wrong", [{"spec": {"chartReff": {}}}, {"spec": {"interval": 3}}])
def test_a_field_that_is_wrong_is_found(wrong: dict[str, object], tmp_path: Path) -> None:
    release = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "x"}, **wrong}
    assert "error TS" in compiled([release], tmp_path)
