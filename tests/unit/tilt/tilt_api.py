"""As much of Tilt as our Tiltfile uses, for a test that runs it where Tilt itself cannot be installed.

The signatures are those of Tilt's API reference, with their types, so that a wrong keyword or a string in the place of
a list fails here as it does there. So do the rules that Tilt checks while it reads a Tiltfile: that files exist, that
steps of a live update are in order and within what the image is built from, that objects and workloads are there to be
configured, that no name is used twice. Helm is the real one.
"""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import starlark
import yaml

from support.helm import find_helm
from support.patience import PATIENCE

Step: TypeAlias = dict[str, Any]
Object: TypeAlias = dict[str, Any]
Strings: TypeAlias = str | list[str]
Link: TypeAlias = dict[str, Any]
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"}
ORDER = ("fall_back_on", "sync", "run")
AUTO, MANUAL = "TRIGGER_MODE_AUTO", "TRIGGER_MODE_MANUAL"


class TiltError(Exception):
    """What Tilt would say of the Tiltfile."""


@dataclass
class Tilt:
    """One reading of a Tiltfile, and what it asked for."""

    root: Path
    subcommand: str = "up"
    arguments: dict[str, Any] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: list[Object] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    watched: set[Path] = field(default_factory=set)
    commands: list[Strings] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    registry: str = ""
    enabled: list[str] = field(default_factory=list)
    rendered: dict[tuple[str, ...], str] = field(default_factory=dict)
    """What helm printed, by its words; handed from one reading to the next, it is asked once."""
    _blobs: set[str] = field(default_factory=set)
    _settings: set[str] = field(default_factory=set)
    _claimed: set[int] = field(default_factory=set)

    def run(self, text: str) -> None:
        """Execute a Tiltfile. Raises :class:`TiltError`, or what Starlark complains of."""
        module = starlark.Module()
        for name, function in self._builtins().items():
            module.add_callable(name, self._checked(name, function))
        dialect = starlark.Dialect.standard()
        for feature in ("def", "lambda", "load", "top_level_stmt", "keyword_only_arguments"):
            setattr(dialect, f"enable_{feature}", True)
        known = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
        members = ", ".join(f"{name} = _config_{name}" for name in CONFIG)
        prelude = (
            f'TRIGGER_MODE_AUTO = "{AUTO}"\nTRIGGER_MODE_MANUAL = "{MANUAL}"\n'
            f'config = struct({members}, tilt_subcommand = "{self.subcommand}")\n'
        )
        starlark.eval(module, starlark.parse("prelude", prelude, dialect), known)
        starlark.eval(module, starlark.parse("Tiltfile", text, dialect), known)
        self._finish()

    def _builtins(self) -> dict[str, Callable[..., Any]]:
        plain: dict[str, Callable[..., Any]] = {name: getattr(self, name) for name in BUILTINS}
        plain["run"] = self.run_step
        return plain | {f"_config_{name}": getattr(self, f"config_{name}") for name in CONFIG}

    def _checked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        signature, hints = inspect.signature(function), get_type_hints(function)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TiltError(f"{name}: {error}") from None
            for parameter, value in bound.arguments.items():
                if not _fits(value, hints[parameter]):
                    raise TiltError(f"{name}: {parameter} cannot be {value!r}")
            return function(*args, **kwargs)

        return call

    def _path(self, path: str, what: str) -> Path:
        found = (self.root / path).resolve()
        if not found.exists():
            raise TiltError(f"{what}: there is no {path}")
        return found

    def _blob(self, text: str) -> str:
        self._blobs.add(text)
        return text

    def _finish(self) -> None:
        """What Tilt says at the end: of resources that are waited for, and of workloads nobody configured."""
        for name, resource in self.resources.items():
            if missing := [one for one in resource["resource_deps"] if one not in self.resources]:
                raise TiltError(f"{name} waits for {missing}, which are no resources")
        if unknown := [one for one in self.enabled if one not in self.resources]:
            raise TiltError(f"there are no resources {unknown}")

    # Images.

    def docker_build(
        self,
        ref: str,
        context: str,
        build_args: dict[str, str] = {},  # noqa: B006 - as in Tilt's reference; none is changed
        dockerfile: str = "Dockerfile",
        live_update: list[Step] = [],  # noqa: B006
        ignore: Strings = "",
        only: Strings = "",
        entrypoint: Strings = "",
        target: str = "",
        pull: bool = False,
        platform: str = "",
    ) -> None:
        if ref in self.images:
            raise TiltError(f"docker_build: {ref} is built twice")
        base, file = self._path(context, ref), self._path(dockerfile, ref)
        listed = ([only] if only else []) if isinstance(only, str) else only
        within = [self._path(f"{context}/{one}", ref) for one in listed] or [base]
        kinds = [ORDER.index(step["kind"]) for step in live_update]
        if kinds != sorted(kinds):
            raise TiltError(f"docker_build: the steps of {ref} are not in the order {ORDER}")
        for step in live_update:
            for path in step.get("files", ()):
                if not any(Path(path).is_relative_to(one) for one in within):
                    raise TiltError(f"{step['kind']} '{path}' is not a child of any watched filepaths of {ref}")
        self.images[ref] = {
            "dockerfile": file,
            "target": target,
            "within": within,
            "entrypoint": entrypoint,
            "live_update": live_update,
        }

    def fall_back_on(self, files: Strings) -> Step:
        listed = [files] if isinstance(files, str) else files
        return {"kind": "fall_back_on", "files": [str(self._path(one, "fall_back_on")) for one in listed]}

    def sync(self, local_path: str, remote_path: str) -> Step:
        if not remote_path.startswith("/"):
            raise TiltError(f"sync: {remote_path} is not absolute")
        return {"kind": "sync", "files": [str(self._path(local_path, "sync"))], "to": remote_path}

    def run_step(self, cmd: Strings, trigger: Strings = "", echo_off: bool = False) -> Step:
        return {"kind": "run", "cmd": cmd}

    # Objects and resources.

    def k8s_yaml(self, yaml: Strings, allow_duplicates: bool = False) -> None:
        for one in [yaml] if isinstance(yaml, str) else yaml:
            text = one
            if one not in self._blobs:
                file = self._path(one, "k8s_yaml")
                self.watched.add(file)
                text = file.read_text()
            for new in _documents(text):
                if not allow_duplicates and any(_identity(new) == _identity(old) for old in self.objects):
                    raise TiltError(f"k8s_yaml: {_identity(new)} is there twice")
                self.objects.append(new)
                if new["kind"] in WORKLOADS:
                    self._claimed.add(len(self.objects) - 1)
                    self._add(new["metadata"]["name"], {"workload": new["metadata"]["name"], "kind": "k8s"})

    def k8s_resource(
        self,
        workload: str = "",
        new_name: str = "",
        port_forwards: int | str | Link | list[Link] | list[str] | list[int] = 0,
        extra_pod_selectors: dict[str, str] | list[dict[str, str]] = [],  # noqa: B006
        trigger_mode: str = AUTO,
        resource_deps: list[str] = [],  # noqa: B006
        objects: list[str] = [],  # noqa: B006
        auto_init: bool = True,
        pod_readiness: str = "",
        links: Strings = "",
        labels: Strings = "",
        discovery_strategy: str = "",
    ) -> None:
        if workload:
            if workload not in self.resources:
                raise TiltError(f"k8s_resource: there is no workload {workload}")
            resource = self.resources.pop(workload)
        elif objects and new_name:
            resource = {"workload": "", "kind": "k8s"}
        else:
            raise TiltError("k8s_resource: either workload, or both objects and new_name")
        resource |= {
            "resource_deps": resource_deps,
            "port_forwards": port_forwards if isinstance(port_forwards, list) else [port_forwards],
            "objects": [self._claim(selector) for selector in objects],
            "auto_init": auto_init,
            "trigger_mode": trigger_mode,
        }
        self._add(new_name or workload, resource)

    def _claim(self, selector: str) -> Object:
        wanted = selector.lower().split(":")
        matching = [n for n, one in enumerate(self.objects) if _identity(one)[: len(wanted)] == tuple(wanted)]
        if len(matching) != 1:
            raise TiltError(f"k8s_resource: {selector} is {len(matching)} objects")
        if matching[0] in self._claimed:
            raise TiltError(f"k8s_resource: {selector} is in another resource")
        self._claimed.add(matching[0])
        return self.objects[matching[0]]

    def _add(self, name: str, resource: dict[str, Any]) -> None:
        if name in self.resources:
            raise TiltError(f"there are two resources {name}")
        self.resources[name] = {"resource_deps": [], **resource}

    def port_forward(
        self, local_port: int, container_port: int = 0, name: str = "", link_path: str = "", host: str = ""
    ) -> Link:
        return {"local": local_port, "container": container_port or local_port, "name": name}

    def local_resource(
        self,
        name: str,
        cmd: Strings,
        deps: Strings = "",
        trigger_mode: str = AUTO,
        resource_deps: list[str] = [],  # noqa: B006
        ignore: Strings = "",
        auto_init: bool = True,
        serve_cmd: Strings = "",
        allow_parallel: bool = False,
        links: Strings = "",
        labels: Strings = "",
        env: dict[str, str] = {},  # noqa: B006
        dir: str = "",
    ) -> None:
        self._add(
            name,
            {
                "kind": "local",
                "cmd": cmd,
                "resource_deps": resource_deps,
                "auto_init": auto_init,
                "trigger_mode": trigger_mode,
            },
        )

    # Files and commands.

    def local(self, command: Strings, quiet: bool = False, echo_off: bool = False, dir: str = "") -> str:
        self.commands.append(command)
        if isinstance(command, str):
            return self._blob("")
        if command[0] != "helm":
            raise TiltError(f"local: only helm is run here, not {command[0]}")
        if (known := self.rendered.get(tuple(command))) is not None:
            return self._blob(known)
        done = subprocess.run(
            [find_helm(), *command[1:]], cwd=self.root, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise TiltError(f"local: {done.stderr}")
        self.rendered[tuple(command)] = done.stdout
        return self._blob(done.stdout)

    def read_file(self, file_path: str, default: str = "") -> str:
        file = self._path(file_path, "read_file")
        self.watched.add(file)
        return self._blob(file.read_text())

    def watch_file(self, file_path: str) -> None:
        self.watched.add(self._path(file_path, "watch_file"))

    def listdir(self, directory: str, recursive: bool = False) -> list[str]:
        return sorted(str(one) for one in self._path(directory, "listdir").iterdir() if one.is_file())

    def read_yaml(self, path: str) -> Any:
        (one,) = self.read_yaml_stream(path)
        return one

    def read_yaml_stream(self, path: str) -> list[Any]:
        file = self._path(path, "read_yaml")
        self.watched.add(file)
        return _documents(file.read_text())

    def encode_yaml(self, obj: dict[str, Any]) -> str:
        return self._blob(yaml.safe_dump(obj))

    # The cluster and the command line.

    def k8s_namespace(self) -> str:
        return "default"

    def allow_k8s_contexts(self, contexts: Strings) -> None:
        self.contexts += [contexts] if isinstance(contexts, str) else contexts

    def default_registry(self, host: str, host_from_cluster: str = "", single_name: str = "") -> None:
        self.registry = host

    def config_define_string(self, name: str, args: bool = False, usage: str = "") -> None:
        self._settings.add(name)

    def config_define_string_list(self, name: str, args: bool = False, usage: str = "") -> None:
        self._settings.add(name)

    def config_parse(self) -> dict[str, Any]:
        if unknown := self.arguments.keys() - self._settings:
            raise TiltError(f"config.parse: there are no settings {sorted(unknown)}")
        return self.arguments

    def config_set_enabled_resources(self, resources: list[str]) -> None:
        self.enabled = resources


CONFIG = ("define_string", "define_string_list", "parse", "set_enabled_resources")
BUILTINS = (
    "docker_build",
    "fall_back_on",
    "sync",
    "k8s_yaml",
    "k8s_resource",
    "port_forward",
    "local_resource",
    "local",
    "read_file",
    "watch_file",
    "listdir",
    "read_yaml",
    "read_yaml_stream",
    "encode_yaml",
    "k8s_namespace",
    "allow_k8s_contexts",
    "default_registry",
)


def _documents(text: str) -> list[Any]:
    # The faster loader; the rendered chart is long.
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def _identity(one: Object) -> tuple[str, str, str]:
    metadata = one["metadata"]
    return metadata["name"].lower(), one["kind"].lower(), metadata.get("namespace", "default").lower()


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of Starlark is of a type, which is one of those that stand above."""
    arguments: tuple[Any, ...] = getattr(hint, "__args__", ())
    origin = getattr(hint, "__origin__", None)
    if hint is Any:
        return True
    if origin is list:
        return isinstance(value, list) and all(_fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, arguments[1]) for one in value.values())
    if arguments:
        return any(_fits(value, one) for one in arguments)
    return type(value) is hint
