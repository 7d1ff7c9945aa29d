"""Instrumented code that is kept, as bytecode is: on Python 3.11 slipcover takes 6 s to instrument all modules.

A run does that before its first test, with the other core idle, and each program that tests start does its own part.
A file here belongs to one module; it is written again when the module's source, slipcover or Python is another.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import marshal
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import slipcover
from slipcover import branch, bytecode, probe
from slipcover.importer import FileMatcher, SlipcoverLoader, SlipcoverMetaPathFinder
from slipcover.version import __version__


class Kept(NamedTuple):
    """A code object without what cannot be written: probes, the function that they call, and code that is within."""

    code: CodeType
    signals: list[int]
    """Which of its constants are that function."""
    probes: dict[int, Any]
    """The line or branch of each probe, by the number of its constant."""
    within: dict[int, Any]
    """Code that is within, by the number of its constant."""
    offsets: list[tuple[int, Any]]
    """Where slipcover finds the probes again: its index of the code."""


def write(whole: slipcover.Slipcover, code: CodeType) -> Kept:
    """Return what is kept of instrumented code."""
    editor, offsets = bytecode.Editor(code), whole.code2index[code]
    probes = {editor.get_inserted_function(offset)[1]: label for offset, label in offsets}
    constants = list(enumerate(code.co_consts))
    within = {at: write(whole, one) for at, one in constants if isinstance(one, CodeType)}
    signals = [at for at, one in constants if one is probe.signal]
    left_out = {*probes, *within, *signals}
    bare = code.replace(co_consts=tuple(None if at in left_out else one for at, one in constants))
    return Kept(bare, signals, probes, within, offsets)


def read(whole: slipcover.Slipcover, kept: Kept) -> CodeType:
    """Return instrumented code whose probes are those of ``whole``."""
    constants = list(kept.code.co_consts)
    for at in kept.signals:
        constants[at] = probe.signal
    for at, label in kept.probes.items():
        constants[at] = probe.new(whole, kept.code.co_filename, label, whole.d_miss_threshold)
    for at, within in kept.within.items():
        constants[at] = read(whole, Kept(*within))
    code = kept.code.replace(co_consts=tuple(constants))
    whole.code2index[code] = kept.offsets
    return code


class Loader(SlipcoverLoader):  # type: ignore[misc]  # slipcover is not typed
    """Loads a module from what is kept of it."""

    def __init__(self, whole: slipcover.Slipcover, before: Any, origin: str, folder: Path) -> None:
        super().__init__(whole, before, origin)
        self._folder = folder

    def exec_module(self, module: ModuleType) -> None:
        """Instrument the module, or read its instrumented code, and run it."""
        self.sci.register_module(module)
        exec(self._code(), module.__dict__)

    def _code(self) -> CodeType:
        whole, name, source = self.sci, str(self.origin), self.origin.read_bytes()
        edition = f"{name} {__version__} {importlib.util.MAGIC_NUMBER!r}\n".encode()
        key = hashlib.sha256(edition + source).digest()
        file = self._folder / hashlib.sha256(name.encode()).hexdigest()
        with contextlib.suppress(OSError):
            found = file.read_bytes()
            if found.startswith(key):
                lines, branches, kept = marshal.loads(found[len(key) :])
                again = read(whole, Kept(*kept))
                with whole.lock:
                    whole.code_lines[name].update(lines)
                    whole.code_branches[name].update(branches)
                    whole.instrumented[name].add(again)
                return again
        code: CodeType = whole.instrument(compile(branch.preinstrument(ast.parse(source)), name, "exec"))
        kept = _plain(write(whole, code))
        content = key + marshal.dumps((whole.code_lines[name], whole.code_branches[name], kept))
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # an account that writes nothing here does without
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(file)
        return code


def _plain(kept: Kept) -> tuple[Any, ...]:
    return (*kept[:3], {at: _plain(within) for at, within in kept.within.items()}, kept.offsets)


class Finder(SlipcoverMetaPathFinder):  # type: ignore[misc]  # slipcover is not typed
    """Finds the modules that are measured; ``folder`` holds what is kept of them."""

    def __init__(self, whole: slipcover.Slipcover, matcher: FileMatcher, folder: Path) -> None:
        super().__init__(whole, matcher)
        self._folder = folder

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Find a module, and let it be loaded from what is kept of it."""
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SlipcoverLoader):
            before = spec.loader.orig_loader
            if sys.version_info < (3, 12) and isinstance(before, SourceFileLoader):  # later, Python itself measures
                spec.loader = Loader(self.sci, before, spec.origin, self._folder)
        return spec
