"""What a service imports at its start: most of its processor time until it is ready, and of its memory at rest."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.patience import PATIENCE

CODE = """
import gc, json, sys
from importlib import import_module
from notifyx_common import start
service = sys.argv[1]
main = import_module(f"{service}.__main__")
unused = (*getattr(main, "UNUSED", ()), *getattr(main, "IN_POD", ()))
start.load(f"{service}.app", unused=unused)
modules, frozen = sorted(sys.modules), gc.get_freeze_count()

from pydantic import BaseModel
from notifyx_common.contracts.call import Model
def below(kind):
    return [kind, *(model for one in kind.__subclasses__() for model in below(one))]
built = sorted(model.__qualname__ for model in below(Model) if model.__pydantic_complete__)

from cryptography import x509
print(json.dumps([modules, gc.isenabled(), frozen, built, hasattr(x509, "Certificate")]))
"""

NOWHERE = {
    "aiofastnet": "the streams of picows, of which only the parser of an upgrade request is used",
    "anyio": "an event loop in a thread of its own",
    "cryptography.hazmat.primitives.serialization.ssh": "keys of SSH",
    "cryptography.x509": "keys in certificates",
    "flask.cli": "commands of Flask, whose app is not used",
    "h2": "HTTP/2",
    "h2.connection": "HTTP/2",
    "hpack": "HTTP/2",
    "http.cookiejar": "cookies of a client of tests",
    "http.server": "a server of metrics in a thread",
    "hyperframe": "HTTP/2",
    "hypercorn.asyncio.run": "a server for one app",
    "logging.config": "logs of Hypercorn",
    "multiprocessing": "processes of Hypercorn",
    "notifyx_gateway.rest.api.operations": "the description of the API",
    "priority": "HTTP/2",
    "pydantic_settings.sources.providers.cli": "settings from a command line",
    "python_socks": "a client's way through proxies",
    "quart.testing": "a client of tests",
    "rich": "tracebacks for a terminal",
    "werkzeug.formparser": "uploads",
    "werkzeug.sansio.multipart": "uploads",
    "werkzeug.serving": "a server for development",
    "werkzeug.test": "a client of tests",
    "wsgiref.simple_server": "a server of metrics in a thread",
    "zxcvbn": "a list of passwords, which is copied",
}
"""Modules that no service imports, and what they would be for."""

NO_CLIENT = {"aiohttp": "calls that may not be repeated, and streams"}

NO_PAGES = {"jinja2": "templates"}

NO_SERVER = {"aiohttp.web": "a second HTTP server"}

OF_POD = {
    "kopf._kits.webhooks": "a server of webhooks",
    "pickle": "cookies in files",
    "yaml": "a kubeconfig",
    "zoneinfo": "times of a place",
}

SYNCHRONOUS = dict.fromkeys(("kubernetes.config", "oauthlib", "requests", "websocket"), "a client that blocks")


@pytest.mark.parametrize(
    ("service", "absent", "most"),
    [
        ("auth", NOWHERE | NO_CLIENT | NO_PAGES, 890),
        ("store", NOWHERE | NO_CLIENT | NO_PAGES, 855),
        ("mailer", NOWHERE, 835),
        ("gateway", NOWHERE, 1005),
        ("operator", NOWHERE | NO_PAGES | NO_SERVER | SYNCHRONOUS | OF_POD, 850),
    ],
)
def test_a_service_imports_what_it_uses(service: str, absent: dict[str, str], most: int) -> None:
    command = [sys.executable, "-c", CODE, f"notifyx_{service}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    modules, collects, frozen, built, is_real = json.loads(done.stdout)
    assert {name: why for name, why in absent.items() if name in modules} == {}
    assert len(modules) < most, "a few more than today: another library needs a reason"
    assert collects
    assert frozen > 100_000, "what is imported is never looked at again"
    assert built in ([], ["BatchResults"]), "models are built at their first use"
    assert is_real, "what was left out is there for who imports it later"
