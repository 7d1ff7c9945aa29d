"""Imports a service with less time and memory than a plain import; its ``__main__`` does this.

Most of a start is imports. What libraries import though no service uses it is left out here: HTTP/2 of Hypercorn, its
own server, its processes and its logs, the clients of picows, the test clients, the development server and the uploads
of Quart and Werkzeug, Flask's commands, encrypted tokens of joserfc, settings from a command line, the server of
prometheus_client, the threads of Tortoise, X.509 for keys in PEM and keys of SSH, and rich, which structlog takes for
tracebacks where it is installed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ABSENT = frozenset({"aiofastnet", "rich"})
"""What importers can do without: they find it as if it were not installed."""

UNUSED = frozenset(
    {
        "anyio",
        "cryptography.hazmat.primitives.serialization.ssh",
        "cryptography.x509",
        "flask.cli",
        "h2",
        "http.cookiejar",
        "http.server",
        "hypercorn.asyncio.run",
        "hypercorn.protocol.h2",
        "joserfc._rfc7518.jwe_algs",
        "joserfc._rfc7518.jwe_encs",
        "joserfc._rfc7518.jwe_zips",
        "joserfc.jwe",
        "logging.config",
        "multiprocessing",
        "picows.api",
        "pydantic_settings.sources.providers.cli",
        "quart.debug",
        "quart.testing",
        "werkzeug.formparser",
        "werkzeug.sansio.multipart",
        "werkzeug.serving",
        "werkzeug.test",
        "wsgiref.simple_server",
    }
)
"""Modules, each with those below it, in whose place importers find an empty one: whatever they take from it is
:class:`LeftOut`.
"""

NO_AUTHORITIES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
"""Lets OpenSSL find no authorities. aiohttp loads those of the system when it is imported."""


class LeftOut:
    """Stands for a class or function that no service uses."""

    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError(f"{type(self).__name__} is left out of the start of services (notifyx_common.start).")


def run(module: str, *, unused: Iterable[str] = (), authorities: bool = False) -> None:
    """Import ``module`` and call its ``main``; see :func:`load`."""
    load(module, unused=unused, authorities=authorities)
    importlib.import_module(module).main()


def load(*modules: str, unused: Iterable[str] = (), authorities: bool = False) -> None:
    """Import ``modules``. Whoever imports one of the modules ``unused`` meanwhile gets an empty one.

    Without ``authorities`` aiohttp trusts none by default: each session that calls a host by https has its own context.
    The cyclic collector rests meanwhile, and never looks at what is imported: it stays as long as the process.
    """
    gc.disable()
    try:
        with _leaving_out(_Finder({*UNUSED, *unused})), _environment({} if authorities else NO_AUTHORITIES):
            for module in modules:
                importlib.import_module(module)
        gc.freeze()
    finally:
        gc.enable()


class _Empty(ModuleType):
    """An empty module that has whatever is asked of it."""

    def __getattr__(self, name: str) -> type[LeftOut]:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (LeftOut,), {})


class _Finder(MetaPathFinder, Loader):
    """Finds an empty module for each of ``unused`` and those below them, unless the real one is loaded already."""

    def __init__(self, unused: Iterable[str]) -> None:
        self._unused = frozenset(unused)
        self.made: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in ABSENT:
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)
        parts = fullname.split(".")
        if self._unused.isdisjoint(".".join(parts[:end]) for end in range(1, len(parts) + 1)):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.made.append(spec.name)
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextlib.contextmanager
def _leaving_out(finder: _Finder) -> Iterator[None]:
    """Have ``finder`` asked first within the block. What it made is not found afterwards: the real modules are."""
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:
            package, _, module = name.rpartition(".")
            if package in sys.modules:
                delattr(sys.modules[package], module)
            del sys.modules[name]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have ``values`` in the environment within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
