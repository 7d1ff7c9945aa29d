"""Joins a topic with phxsocket, publishes to it, receives what it published, and acknowledges it.

Environment: SOCKET_URL, TOKEN, TOPIC. A failure exits non-zero.
"""

from __future__ import annotations

import os
import queue
from typing import Any

from phxsocket import Client

PATIENCE = 60.0


def main() -> None:
    """Make the journey."""
    socket = Client(f"{os.environ['SOCKET_URL']}/websocket", {"token": os.environ["TOKEN"]})
    socket.connect()
    received: queue.Queue[dict[str, Any]] = queue.Queue()
    channel = socket.channel(f"topic:{os.environ['TOPIC']}", {})
    channel.on("notification", received.put)
    channel.join()
    published = response(channel.push("publish", {"title": "from phxsocket"}, reply=True))
    notification = received.get(timeout=PATIENCE)
    assert (notification["id"], notification["title"]) == (published["id"], "from phxsocket"), notification
    acked = response(channel.push("ack", {"up_to": notification["seq"]}, reply=True))
    assert acked["acked_up_to"] == notification["seq"], acked
    socket.close()
    print("received", notification["seq"])


def response(message: Any) -> dict[str, Any]:
    """Return what the server answered to a push."""
    answer = message.wait_for_response()
    assert answer["status"] == "ok", answer
    found: dict[str, Any] = answer["response"]
    return found


main()
