"""Loopback ports of this machine, forwarded into the control plane's network namespace.

Listeners are bound here first; then the process joins the namespace, so each accepted connection is dialled from
inside. Bytes pass as they are (TLS, WebSocket, watches), half-closes too, and nothing idle is cut.
Usage: ``python -m cluster.namespaces.forward NETNS PORT=HOST:PORT[,HOST:PORT...] ...``. A host of IPv6 has brackets.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
DIAL_SECONDS = 1.0


class Forward:
    """One port and the addresses behind it; the one that answered last is tried first."""

    def __init__(self, word: str) -> None:
        port, _, targets = word.partition("=")
        words = (one.rpartition(":") for one in targets.split(","))
        self.targets = [(host.strip("[]"), int(number)) for host, _, number in words]
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", int(port)))
        self.sock.listen(256)
        self.sock.setblocking(False)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client to the first target that answers."""
        for target in list(self.targets):
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    far_reader, far_writer = await asyncio.open_connection(*target)
            except (OSError, TimeoutError):
                self.targets.remove(target)
                self.targets.append(target)
                continue
            break
        else:
            writer.transport.abort()
            return
        for one in (writer, far_writer):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        writer.close()
        far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def _serve(forwards: list[Forward]) -> None:
    servers = [await asyncio.start_server(forward.accept, sock=forward.sock) for forward in forwards]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Bind here, join the namespace, forward until told to stop."""
    namespace, *words = sys.argv[1:]
    forwards = [Forward(word) for word in words]
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot join the network namespace {namespace}")
    asyncio.run(_serve(forwards))


if __name__ == "__main__":
    main()
