"""Which part of the platform, which library, or the kernel, a stack belongs to. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from bench.profiling.stacks import Frame, Stack, Stacks

EVENT_LOOP = "event loop (asyncio, uvloop)"
IMPORTS = "imports: find, read and link modules"
KERNEL = "kernel"
PYTHON = "Python, outside of what is named here"

_OWN = re.compile(r"(?:/src/|/site-packages/)(notifyx(?:_\w+)?)/([^/]+)")
_LIBRARY = re.compile(r"/site-packages/([A-Za-z0-9_]+)")
_EVENT_LOOP = re.compile(r"/asyncio/|/_asyncio\.|/selectors\.py$|/lib-dynload/select\.")
_LIBC = re.compile(r"/(?:libc|libpthread)[.-]")
_OPENSSL = re.compile(r"/(?:libssl|libcrypto|_ssl|_hashlib)[.-]")

_HTTP = "HTTP (hypercorn, h11, Quart, Werkzeug)"
_AIOHTTP = "aiohttp"
_PYDANTIC = "pydantic"
_TORTOISE = "Tortoise"
LIBRARIES = {
    "uvloop": EVENT_LOOP,
    **dict.fromkeys(("hypercorn", "h11", "quart", "werkzeug", "flask", "wsproto", "priority"), _HTTP),
    **dict.fromkeys(("aiohttp", "aiosignal", "frozenlist", "multidict", "propcache", "yarl", "idna"), _AIOHTTP),
    **dict.fromkeys(("pydantic", "pydantic_core", "pydantic_settings", "annotated_types"), _PYDANTIC),
    **dict.fromkeys(("tortoise", "pypika_tortoise", "pypika"), _TORTOISE),
}
"""Names of the libraries that belong together; all others are named as their folder is."""

_SYSTEM_CALLS = {
    "receive": ("read", "readv", "recv", "recvfrom", "recvmsg", "pread"),
    "send": ("write", "writev", "send", "sendto", "sendmsg", "sendmmsg", "pwrite"),
    "wait": ("epoll_wait", "epoll_pwait", "epoll_ctl", "poll", "ppoll", "select", "nanosleep", "clock_nanosleep"),
    "threads": ("futex", "pthread_cond_wait", "pthread_cond_timedwait", "sem_wait", "sched_yield"),
    "files": (
        "open", "openat", "stat", "fstat", "lstat", "fstatat", "xstat", "fxstat", "lseek", "getdents", "readlink",
        "access", "fsync", "fdatasync", "close",
    ),
    "memory": ("mmap", "munmap", "mprotect", "madvise", "brk", "sbrk"),
    "connections": ("socket", "accept", "accept4", "connect", "shutdown", "setsockopt", "getsockopt", "getsockname"),
}  # fmt: skip
_CALLS = {name: f"{KERNEL}: {what}" for what, names in _SYSTEM_CALLS.items() for name in names}
_VARIANT = re.compile(r"^(?:_*(?:libc|GI|IO|new)_)*_*|(?:64|_nocancel|_cancel|@.*)+$")

_RUNNERS = frozenset({"run", "run_until_complete", "run_forever"})


def room(stack: Stack) -> str:
    """Return where the time of a sample was spent: the innermost frame whose place is known decides.

    That is a package of the platform, a library, or a group of system calls. What has no place of its own, such as
    the standard library or ``memcpy``, counts as its caller.
    """
    if stack and (call := _system_call(stack[-1])):
        return call
    for frame in reversed(stack):
        if place := _own(frame) or _library(frame):
            return place
    return PYTHON


def caller(stack: Stack) -> str:
    """Return the package of the platform that caused it, with the libraries and the kernel; else the :func:`room`.

    What calls the event loop causes nothing of what it does.
    """
    inside = 0
    for at, frame in enumerate(stack):
        if frame.function in _RUNNERS and _library(frame) == EVENT_LOOP:
            inside = at + 1
    for frame in reversed(stack[inside:]):
        if place := _own(frame):
            return place
    return room(stack[inside:]) if inside < len(stack) else EVENT_LOOP


def samples(stacks: Stacks, place: Callable[[Stack], str]) -> Counter[str]:
    """Return how many samples there are of each place."""
    found: Counter[str] = Counter()
    for stack, seen in stacks.items():
        found[place(stack)] += seen
    return found


def _own(frame: Frame) -> str | None:
    match = _OWN.search(frame.file)
    if match is None:
        return None
    package = match[1].removeprefix("notifyx").removeprefix("_") or "client"
    return f"{package}: {match[2].removesuffix('.py')}"


def _library(frame: Frame) -> str | None:
    if frame.file.startswith("<frozen importlib"):
        return IMPORTS
    if _EVENT_LOOP.search(frame.file):
        return EVENT_LOOP
    if match := _LIBRARY.search(frame.file):
        return LIBRARIES.get(match[1], match[1])
    return "OpenSSL" if _OPENSSL.search(frame.file) else None


def _system_call(frame: Frame) -> str | None:
    return _CALLS.get(_VARIANT.sub("", frame.function)) if _LIBC.search(frame.file) else None
