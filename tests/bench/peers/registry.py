"""All peers, by the name that the table gives them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.case import PeerName
from bench.peers.centrifugo import Centrifugo
from bench.peers.nats import Nats
from bench.peers.node import Node
from bench.peers.peer import Peer
from bench.peers.reference import Reference

PEERS: Mapping[PeerName, Peer] = {
    "C": Reference(),
    "nats": Nats(stored=False),
    "JetStream": Nats(stored=True),
    "Centrifugo": Centrifugo(),
    "ws": Node("ws@8.23.0", "ws.mjs", "bare"),
    "socket.io": Node("socket.io@4.8.4", "socketio.mjs", "socketio"),
}
