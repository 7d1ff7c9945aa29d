"""All cases, in the order of the table."""

from __future__ import annotations

from bench.case import ONE_CORE, Case
from bench.figures import Figure
from bench.kinds.connections import Connections, Resume
from bench.kinds.rest import RestLoad
from bench.kinds.sockets import SocketLoad
from bench.kinds.start import Command, Rest

P50, P99 = (Figure(f"p{n}_ms", f"p{n}, ms", "lower", 1) for n in (50, 99))
PAGES = (
    Figure("per_second", "pages a second", "higher", target=3000),
    Figure("p50_ms", "p50, ms", "lower", 1, target=4), P99,
)  # fmt: skip

PUBLISH = (
    Case(
        "publish", "10 publishers, 100 topics, pipelined; servers on one core",
        SocketLoad("publish", 10, messages=4000, topics=100, window=500),
        (Figure("per_second", "publishes a second", "higher", target=25_000), P50, P99),
        seconds=8, cores=ONE_CORE, peers=("JetStream",),
    ),
    Case(
        "one-socket", "one socket pipelines 20,000 publishes on 100 topics; servers on one core",
        SocketLoad("publish", 1, messages=20_000, topics=100, window=20_000, users=1),
        (Figure("per_second", "publishes a second", "higher", target=15_000), P50, P99),
        seconds=8, cores=ONE_CORE, peers=("Centrifugo", "JetStream"),
    ),
    Case(
        "socket-rest", "socket publish at rest, one client",
        SocketLoad("publish", 1, messages=300, pause=5, users=1),
        (Figure("p50_ms", "p50, ms", "lower", 2, target=1.2), Figure("p99_ms", "p99, ms", "lower", 2)),
        seconds=5, peers=("JetStream",),
    ),
)  # fmt: skip

REST = (
    Case(
        "rest-publish", "REST publish, keep-alive, 20 clients",
        RestLoad("publish", 10_000),
        (
            Figure("per_second", "publishes a second", "higher", target=5000),
            Figure("per_second", "share of the rate of an empty route", "higher", target=0.8, of="empty route"),
            P50, P99,
        ),
        seconds=10, peers=("Centrifugo",), beside=(("empty route", RestLoad("empty route", 10_000)),),
    ),
    Case(
        "rest-batch", "REST batch of 100, 20 clients",
        RestLoad("publish", 1000, batch=100),
        (Figure("items_per_second", "items a second", "higher", target=25_000), P50, P99),
        seconds=12,
    ),
    Case(
        "rest-rest", "REST publish at rest, one client",
        RestLoad("publish", 300, connections=1, pause=5, users=1),
        (Figure("p50_ms", "p50, ms", "lower", 2, target=1.5), Figure("p99_ms", "p99, ms", "lower", 2)),
        seconds=5,
    ),
    Case(
        "history", "history page of 20, 20 clients",
        RestLoad("history", 6000, stored=1000),
        PAGES,
        seconds=10,
    ),
    Case(
        "inbox", "inbox page of 20, 20 clients",
        RestLoad("inbox", 6000, stored=1000),
        PAGES,
        seconds=10,
    ),
)  # fmt: skip

DELIVERY = (
    Case(
        "flood", "one publisher sends 200 messages at once to 1,000 clients",
        SocketLoad("flood", 1000, messages=200),
        (Figure("per_second", "deliveries a second", "higher"), Figure("p99_ms", "p99, ms", "lower")),
        seconds=4, cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
    ),
    Case(
        "steady", "20 messages a second to 1,000 clients",
        SocketLoad("steady", 1000, rate=20, seconds=6),
        (
            P50, P99, Figure("cpu.front", "processor time of the gateway a delivery, us", "lower", 2),
            Figure("cpu.front", "the same, to that of C", "lower", 2, target=1.4, of="C"),
            Figure("cpu_ms_publish", "processor time of all servers a publish, ms", "lower", 2),
        ),
        seconds=9, cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
    ),
)  # fmt: skip

CONNECTIONS = (
    Case(
        "connections", "4,000 clients connect and join, 64 at a time",
        Connections(4000),
        (
            Figure("per_second", "joins a second", "higher", target=8000),
            Figure("kb_each", "memory of an idle, joined connection, kB", "lower", 1, target=9),
            Figure("cpu.servers", "processor time of all servers a join, us", "lower"),
        ),
        seconds=8, cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
    ),
    Case(
        "resume", "10,000 clients lose their gateway and resume",
        Resume(10_000),
        (
            Figure("seconds", "seconds until all are back", "lower", 1, target=8),
            Figure("p50_ms", "p50 of a client, ms", "lower"),
            Figure("statements_each", "statements of the store a client", "lower", 3, target=0.1),
        ),
        seconds=35,
    ),
)  # fmt: skip

SERVICES = ("auth", "store", "mailer", "gateway")

START = (
    Case(
        "rest", "the platform at rest, and how it starts",
        Rest(),
        (
            Figure("banner_s", "`notifyx up` with a new data folder, s to ready", "lower", 1, target=6),
            *(
                Figure(f"start_s.{name}", f"{name} alone: processor time to ready, s", "lower", 2, target=0.6)
                for name in SERVICES
            ),
            *(Figure(f"alone_mb.{name}", f"{name} alone: memory, MB", "lower", target=60) for name in SERVICES),
            *(Figure(f"mb.{name}", f"{name} of `notifyx up`: memory, MB", "lower") for name in SERVICES),
            Figure("mb.whole", "all of `notifyx up` without PostgreSQL, MB", "lower", target=350),
        ),
        seconds=30,
    ),
    Case(
        "help", "`notifyx --help`", Command(("-m", "notifyx", "--help")),
        (Figure("wall_ms", "ms", "lower", target=150), Figure("cpu_ms", "processor time, ms", "lower")),
        seconds=4,
    ),
    Case(
        "operator", "the operator's imports", Command(("-c", "import notifyx_operator.app")),
        (Figure("cpu_ms", "processor time, ms", "lower", target=1200),),
        seconds=10,
    ),
)  # fmt: skip

CASES = {case.name: case for case in (*PUBLISH, *REST, *DELIVERY, *CONNECTIONS, *START)}
