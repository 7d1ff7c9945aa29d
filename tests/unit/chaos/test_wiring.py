"""The environments of nodes that reach each other through links."""

from __future__ import annotations

from chaos.histories.wiring import NodeWiring, Wiring, wired


def test_a_node_is_reached_and_reaches_others_through_its_links() -> None:
    environment = {
        "NOTIFYX_PORT": "0",
        "NOTIFYX_DATABASE_URL": "postgresql://store:secret@127.0.0.1:5000/notifyx_store",
        "NOTIFYX_REGISTRY_URLS": '["http://127.0.0.1:1001", "http://127.0.0.1:1002"]',
    }
    node = NodeWiring(port=7, host="127.0.1.3", database=8, registries=(9, 10), clock="/clock")
    wiring = Wiring(nodes={"store-2": node}, variables={"store": {"NOTIFYX_X": "y"}}, upstreams="")
    assert wired(environment, "store-2", wiring, [1001, 1002]) == {
        "NOTIFYX_PORT": "7",
        "NOTIFYX_ADVERTISE_HOST": "127.0.1.3",
        "NOTIFYX_DATABASE_URL": "postgresql://store:secret@127.0.0.1:8/notifyx_store",
        "NOTIFYX_REGISTRY_URLS": '["http://127.0.0.1:9", "http://127.0.0.1:10"]',
        "NOTIFYX_X": "y",
        "CHAOS_SERVICE": "store",
        "CHAOS_CLOCK": "/clock",
    }
    assert wired(environment, "mailbox", wiring, [1001, 1002]) == environment


def test_a_store_reaches_the_bus_through_a_link_where_there_is_one() -> None:
    node = NodeWiring(port=7, host="127.0.1.3", bus=11)
    wiring = Wiring(nodes={"store-1": node}, variables={}, upstreams="")
    wires = wired({"NOTIFYX_BUS_URL": "nats://127.0.0.1:4222"}, "store-1", wiring, [])
    assert wires["NOTIFYX_BUS_URL"] == "nats://127.0.0.1:11"
