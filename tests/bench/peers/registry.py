"""All peers, by the name that the table gives them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.case import PeerName
from bench.peers.nats import Nats
from bench.peers.peer import Peer
from bench.peers.reference import Reference

PEERS: Mapping[PeerName, Peer] = {"C": Reference(), "nats": Nats(stored=False), "JetStream": Nats(stored=True)}
