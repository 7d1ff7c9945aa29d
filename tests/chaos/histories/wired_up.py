"""``notifyx up`` with links between its services: the program that :mod:`chaos.histories.bed` runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from chaos.histories.wiring import Upstreams, Wiring, service_of, wired
from notifyx_local.main import run
from notifyx_local.options import UpOptions
from notifyx_local.processes import ProcessSpec

CLOCKED = "chaos.histories.clocked"


def main() -> None:
    """Parse the command line and run until SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["up"])
    for name in ("data", "json-ready", "wiring"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("port", "socket-port", "mailbox-port", "smtp-port", "gateways", "stores", "auths", "mailers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--no-web", dest="web", action="store_false")
    parser.add_argument("--memcached", required=True)
    parser.add_argument("--smtp", required=True)
    parser.add_argument("--postgres", default="")
    parser.add_argument("--bus", default="")
    arguments = vars(parser.parse_args())
    del arguments["command"]
    wiring = Wiring.model_validate_json(arguments.pop("wiring").read_bytes())
    run(UpOptions(topics=None, **arguments), lambda specs: arranged(specs, wiring))


def arranged(specs: Sequence[ProcessSpec], wiring: Wiring) -> list[ProcessSpec]:
    """Return the processes with their links, and write where those lead."""
    urls: list[str] = json.loads(specs[0].environment["NOTIFYX_REGISTRY_URLS"])
    registries = [_port(url) for url in urls]
    databases = [_port(url) for one in specs if (url := one.environment.get("NOTIFYX_DATABASE_URL"))]
    upstreams = Upstreams(registries=tuple(registries), postgres=databases[0])
    Path(wiring.upstreams).write_text(upstreams.model_dump_json())
    return [
        replace(_started(spec, wiring), environment=wired(spec.environment, spec.name, wiring, registries))
        for spec in specs
    ]


def _started(spec: ProcessSpec, wiring: Wiring) -> ProcessSpec:
    """Return the process as what it is started: a program that is looked up each time, or a fork with a clock."""
    service = service_of(spec.name)
    if (program := wiring.programs.get(service)) is not None:
        return replace(spec, module="", command=("/bin/sh", "-c", f'exec "$(cat {program})"/notifyx-{service}'))
    clocked = spec.name in wiring.nodes and wiring.nodes[spec.name].clock
    return replace(spec, module=CLOCKED) if clocked else spec


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
