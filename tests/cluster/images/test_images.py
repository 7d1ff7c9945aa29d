"""What is in the images: read from their archives, and seen by running each once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.commands import run
from cluster.images.archive import Recipe, write_image
from cluster.images.build import OTHERS, PARTS, notifyx_images
from cluster.images.docker import PEERS
from cluster.provider import Image
from support.helm import cache_folder

ROOT = Path(__file__).parents[3]
OURS = re.compile("/site-packages/notifyx(_|/|$)")
CHECKED_NEVER = b"\x01\x00\x00\x00"  # the flags of bytecode that Python uses without a look at the source


@dataclass(frozen=True)
class Content:
    """An image's configuration, and what each of its layers adds."""

    config: dict[str, Any]
    layers: list[list[str]]
    stale: list[str]


def content(archive: Path) -> Content:
    """Read the archive ``archive``; ``stale`` is bytecode of which Python would look at the source."""
    layers, stale = [], []
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json") or pytest.fail("no manifest"))[0]
        config = json.load(outer.extractfile(manifest["Config"]) or pytest.fail("no configuration"))["config"]
        for name in manifest["Layers"]:
            names = []
            with tarfile.open(fileobj=outer.extractfile(name)) as layer:
                for member in layer:
                    names.append(member.name)
                    if member.name.startswith("opt/notifyx") and member.name.endswith(".pyc"):
                        code = layer.extractfile(member)
                        assert code is not None
                        if code.read(8)[4:] != CHECKED_NEVER:
                            stale.append(member.name)
            layers.append(names)
    return Content(config, layers, stale)


@pytest.fixture(scope="module", params=PARTS)
def image(request: pytest.FixtureRequest, images: list[Image]) -> Image:
    """Each image of ours."""
    return next(one for one in images if f"/notifyx-{request.param}:" in one.name)


def test_an_image_holds_a_part_and_what_it_needs_only(image: Image) -> None:
    part = image.name.rpartition(":")[0].removeprefix("localhost/notifyx-")
    found = content(image.archive)
    # The web client is a layer of its own, above the gateway's code.
    layers = [layer for layer in found.layers if "opt/notifyx/web" not in layer]
    assert len(found.layers) - len(layers) == (part == "gateway")
    dependencies, code = layers[-2:]

    assert found.config["User"] == "10001:10001"
    assert found.config["Entrypoint"] == [f"notifyx-{part}"]
    assert {"PYTHONSAFEPATH=1", "NOTIFYX_HOST=::", "HOME=/tmp"} <= set(found.config["Env"])
    assert f"opt/notifyx/bin/notifyx-{part}" in code
    assert not [name for name in code if "site-packages/" in name and not OURS.search(name)]
    # The operator probes the entry point as any client, and a backup is a command of the client.
    assert any("/site-packages/notifyx/" in name for name in code) == ("client" in OTHERS.get(part, ()))
    others = {f"/notifyx_{other}/" for other in (*PARTS, "local") if other not in (part, *OTHERS.get(part, ()))}
    assert not [name for name in code if any(other in name for other in others)]
    assert not [name for name in dependencies if Path(name).name in ("pip", "uv", "pytest", "mypy")]
    assert not [name for layer in found.layers for name in layer if name.startswith(("src/", "code/", "opt/uv"))]
    assert found.stale == []
    assert any(name.endswith(".pyc") and f"/notifyx_{part}/" in name for name in code)


@pytest.fixture(scope="module")
def inside(image: Image) -> Iterator[list[str]]:
    """The words that run a program in the image's files, as its user and with its environment, without an engine."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("needs buildah, and root to mount what it unpacks")
    storage = cache_folder() / "cluster" / "buildah"
    buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    name = run([*buildah, "from", "--quiet", f"docker-archive:{image.archive}"], deadline=300).strip()
    try:
        root = run([*buildah, "mount", name]).strip()
        config = content(image.archive).config
        user = ["chroot", f"--userspec={config['User']}", root]
        yield [*user, "env", "-i", f"--chdir={config['WorkingDir']}", *config["Env"]]
    finally:
        run([*buildah, "rm", name])


def test_a_part_without_settings_says_which_in_a_line(image: Image, inside: list[str]) -> None:
    entrypoint = content(image.archive).config["Entrypoint"]
    if entrypoint == ["notifyx-backup"]:
        entrypoint += ["backup", "--to", "/tmp"]

    done = subprocess.run([*inside, *entrypoint], capture_output=True, text=True, timeout=60, check=False)

    if entrypoint[0] == "notifyx-backup":
        assert done.returncode != 0
        assert "NOTIFYX_BACKUP_AUTH_URL" in done.stderr
        return
    assert done.returncode == 2
    if entrypoint == ["notifyx-mailbox"]:
        assert "--smtp-port" in done.stderr.splitlines()[-1]
    else:
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("Wrong settings: NOTIFYX_")


def test_a_part_is_nobody_and_writes_nowhere_but_tmp(inside: list[str]) -> None:
    script = "id -u; id -g; pwd; for f in / /opt/notifyx /etc /usr/local/bin /tmp; do test -w $f && echo $f; done; true"

    assert run([*inside, "sh", "-c", script]).split() == ["10001", "10001", "/tmp", "/tmp"]


def test_an_image_lists_what_is_installed_in_it(image: Image, inside: list[str]) -> None:
    part = image.name.rpartition(":")[0].removeprefix("localhost/notifyx-")
    script = "cd /opt/notifyx; cat sbom/notifyx-$0.cdx.json; ls -d lib/python3*/site-packages/*.dist-info >&2"
    done = subprocess.run([*inside, "sh", "-c", script, part], capture_output=True, text=True, timeout=60, check=True)
    listed = json.loads(done.stdout)
    assert listed["bomFormat"] == "CycloneDX"
    installed = {Path(line).stem.lower().replace("_", "-") for line in done.stderr.splitlines()}
    assert {one for one in installed if not one.startswith("notifyx-")} <= {
        f"{one['name']}-{one['version']}" for one in listed["components"]
    }
    if part == "gateway":
        web = json.loads(run([*inside, "cat", "/opt/notifyx/sbom/notifyx-web.cdx.json"]))
        assert {"react", "phoenix"} <= {one["name"] for one in web["components"]}


def test_nothing_is_built_twice(images: list[Image]) -> None:
    said: list[str] = []

    again = notifyx_images(said.append)

    assert said == []
    assert again == [image for image in images if image in again]


def test_docker_pulls_the_servers_that_the_chart_names() -> None:
    chart = (ROOT / "charts" / "notifyx" / "values.yaml").read_text()

    for name in PEERS:
        repository, _, tag = name.rpartition(":")
        assert f'repository: {repository}, tag: "{tag}"' in chart


def test_an_image_of_files_has_the_layers_that_its_configuration_names(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    recipe = Recipe(files={"/bin/program": program}, entrypoint=["/bin/program"], user="7:7")

    write_image("localhost/some:1", recipe, tmp_path / "image.tar")

    found = content(tmp_path / "image.tar")
    assert found.layers == [["tmp", "bin/program"]]
    assert (found.config["Entrypoint"], found.config["User"]) == (["/bin/program"], "7:7")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
