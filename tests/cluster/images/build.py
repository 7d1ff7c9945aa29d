"""Every image that the test cluster needs, made where no container registry can be reached.

Each is kept in the cache folder under a name made of its inputs, so that nothing is built twice. A base that stands in
for ``python:3.13-slim`` and the servers of third parties are made of Debian packages; our own images are built by
buildah from ``images/Dockerfile``. Where those programs are missing and a Docker engine answers, it makes them all.
"""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from cluster.commands import run
from cluster.images.archive import Recipe, write_image
from cluster.images.docker import PEERS, build_with_docker, engine_answers, pull_with_docker
from cluster.provider import Image, NoCluster, Say
from support.helm import cache_folder

ROOT = Path(__file__).parents[3]
PARTS = ("gateway", "auth", "store", "mailer", "operator", "backup", "mailbox")
SUITE = "trixie"

OTHERS = {"operator": ("client",), "backup": ("client", "auth", "store")}
"""Members of the workspace whose code a part's image has besides common's and its own."""

# A build leaves half a dozen images behind for the next one to start from, and buildah never drops any: past so many,
# about ten gigabytes, it is cheaper to start anew.
MOST_KEPT = 400

# Documentation and translations are a third of such a system.
_SLIM = ("doc", "man", "locale", "i18n", "info")
_EMPTY = (
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*; '
    'find "$1" -xdev -name __pycache__ -type d -prune -exec rm -rf {} +; '
    ': > "$1/etc/resolv.conf"; : > "$1/etc/hostname"'
)
_PYTHON = (
    # As in the official image: python3 and pip are in /usr/local/bin.
    'chroot "$1" python3 -m venv /usr/local',
    # A network may have an authority of its own; this image never leaves the machine.
    'cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"',
)
_POSTGRES = (
    'chroot "$1" usermod -u 999 postgres && chroot "$1" groupmod -g 999 postgres',
    'ln -s /usr/lib/postgresql/*/bin/* "$1/usr/local/bin/"',
)


def system_images(coredns: Path, say: Say) -> list[Image]:
    """What the cluster itself runs: the pause container, CoreDNS and Traefik. Raises :class:`NoCluster`."""
    if shutil.which("gcc") is None:
        raise NoCluster("gcc is missing: apt-get install --no-install-recommends gcc libc6-dev")
    source = Path(__file__).with_name("pause.c")
    traefik = Path(sysconfig.get_path("scripts")) / "traefik"
    if not traefik.exists():
        raise NoCluster("Traefik is not installed in the environment; make cluster installs it.")

    def pause(target: Path) -> None:
        binary = target.with_suffix(".bin")
        run(["gcc", "-O2", "-static", "-o", binary, source])
        write_image("localhost/pause:1", Recipe(files={"/pause": binary}, entrypoint=["/pause"]), target)

    def program(name: str, binary: Path) -> Callable[[Path], None]:
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        files = {f"/{name}": binary, **({str(certificates): certificates} if certificates.exists() else {})}
        recipe = Recipe(files=files, entrypoint=[f"/{name}"])
        return lambda target: write_image(f"localhost/{name}:1", recipe, target)

    return [
        _kept("localhost/pause:1", source.read_text(), pause, say),
        _kept("localhost/coredns:1", str(coredns), program("coredns", coredns), say),
        _kept("localhost/traefik:1", _stamp([traefik]), program("traefik", traefik), say),
    ]


def peer_images(say: Say) -> list[Image]:
    """PostgreSQL, memcached and Prometheus. Raises :class:`NoCluster`."""
    if _docker_instead():
        return [_kept(name, name, partial(pull_with_docker, name), say) for name in PEERS]
    postgres = Recipe(user="999:999", command=["postgres"])
    memcached = Recipe(user="10001:10001", entrypoint=["memcached"])
    prometheus = Recipe(user="10001:10001", entrypoint=["prometheus"])
    return [
        _debian("localhost/postgres:17", ("postgresql-17",), _POSTGRES, postgres, say),
        _debian("localhost/memcached:1", ("memcached",), (), memcached, say),
        _debian("localhost/prometheus:2", ("prometheus",), (), prometheus, say),
    ]


def base_image(say: Say) -> Image:
    """The stand-in for ``python:3.13-slim``."""
    packages = ("python3", "python3-venv", "ca-certificates")
    return _debian("localhost/notifyx-base:1", packages, _PYTHON, Recipe(command=["python3"]), say)


def notifyx_images(say: Say) -> list[Image]:
    """Our own images, tagged with a digest of what they are built from. Raises :class:`NoCluster`."""
    inputs = [ROOT / "images" / "Dockerfile", ROOT / "images" / "install.sh", ROOT / ".dockerignore", ROOT / "uv.lock"]
    if _docker_instead():
        build = build_with_docker
    else:
        base = base_image(say)
        inputs.append(base.archive)
        build = partial(_build, base)
    inputs += [ROOT / "pyproject.toml", *ROOT.glob("services/*/pyproject.toml"), ROOT / "operator" / "pyproject.toml"]
    common = [*_sources(ROOT / "services" / "common"), *_sources(ROOT / "services" / "topics")]
    images = []
    for part in PARTS:
        folder = ROOT / "operator" if part == "operator" else ROOT / "services" / part
        others = [path for other in OTHERS.get(part, ()) for path in _sources(ROOT / "services" / other)]
        others += _web_client() if part == "gateway" else []
        digest = hashlib.sha256(_stamp([*inputs, *common, *_sources(folder), *others]).encode()).hexdigest()[:12]
        name = f"localhost/notifyx-{part}:{digest}"
        images.append(_kept(name, digest, partial(build, part, name), say))
    return images


def _build(base: Image, part: str, name: str, target: Path) -> None:
    storage = cache_folder() / "cluster" / "buildah"
    buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    run([*buildah, "pull", "--quiet", f"docker-archive:{base.archive}"], deadline=300)
    built = [
        *buildah, "bud", "--quiet", "--layers", "--isolation", "chroot", "--pull-never",
        "--build-arg", f"BASE={base.name}", "--target", part, "--tag", name,
        "--file", str(ROOT / "images" / "Dockerfile"), str(ROOT),
    ]  # fmt: skip
    run(built, deadline=900)
    run([*buildah, "push", "--quiet", name, f"docker-archive:{target}:{name}"], deadline=300)
    if len(run([*buildah, "images", "--all", "--quiet"]).split()) > MOST_KEPT:
        run([*buildah, "rmi", "--all", "--force"], deadline=300)


def _debian(name: str, packages: tuple[str, ...], hooks: tuple[str, ...], recipe: Recipe, say: Say) -> Image:
    """An image of Debian packages."""

    def make(target: Path) -> None:
        root = target.with_suffix(".rootfs")
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _SLIM]
        customized = [f"--customize-hook={hook}" for hook in (*hooks, _EMPTY)]
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
        run(["nice", "-n", "5", *command, *excluded, *customized, "--format=tar", SUITE, root], deadline=900)
        complete = Recipe(
            layers=[root],
            entrypoint=recipe.entrypoint,
            command=recipe.command,
            user=recipe.user,
            environment=recipe.environment,
        )
        write_image(name, complete, target)

    return _kept(name, repr((SUITE, packages, hooks, recipe)), make, say)


def _kept(name: str, inputs: str, make: Callable[[Path], None], say: Say) -> Image:
    """The image from the cache, or made now; one cache entry for each set of inputs."""
    folder = cache_folder() / "cluster" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    stem = name.rpartition("/")[2].partition(":")[0]
    target = folder / f"{stem}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}.tar"
    if not target.exists():
        say(f"building {name}")
        # Another clone may be making the same: the last one stays, and both are whole.
        with tempfile.TemporaryDirectory(dir=folder) as work:
            unfinished = Path(work) / target.name
            make(unfinished)
            unfinished.rename(target)
        for old in folder.glob(f"{stem}-*.tar"):
            if old != target:
                old.unlink()
    return Image(name, target)


def _sources(folder: Path) -> list[Path]:
    return [path for path in folder.glob("src/**/*") if path.is_file() and "__pycache__" not in path.parts]


def _web_client() -> list[Path]:
    """What the web client in the gateway's image is built from."""
    folder = ROOT / "services" / "web"
    inside = [path for name in ("src", "public") for path in (folder / name).rglob("*") if path.is_file()]
    named = ("package.json", "package-lock.json", "index.html", "vite.config.ts", "tsconfig.json")
    return [*(folder / name for name in named), *inside]


def _stamp(paths: Iterable[Path]) -> str:
    """A digest of the files' contents and names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name).encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _docker_instead() -> bool:
    """Whether Docker has to make the images. Raises :class:`NoCluster` when nothing here can."""
    missing = [program for program in ("mmdebstrap", "buildah") if shutil.which(program) is None]
    if not missing:
        return False
    if engine_answers():
        return True
    packages = " ".join(missing)
    raise NoCluster(
        "Images cannot be built: no Docker engine answers, and "
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing "
        f"(apt-get install --no-install-recommends {packages})."
    )
