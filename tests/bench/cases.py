"""All cases, in the order of the table."""

from __future__ import annotations

from bench.case import ONE_CORE, Case
from bench.figures import Figure
from bench.kinds.buses import Buses
from bench.kinds.connections import Connections, Resume
from bench.kinds.fairness import Fairness, How
from bench.kinds.growth import MoreConnections, MoreNodes, MoreStored, MoreTopics, MoreUnread
from bench.kinds.hung_store import HungStore
from bench.kinds.least import Least
from bench.kinds.mail_flood import MailFlood
from bench.kinds.rest import RestLoad
from bench.kinds.scaled import GATEWAYS, SIZES, Scaled
from bench.kinds.slow_count import SlowCount
from bench.kinds.sockets import SocketLoad
from bench.kinds.start import Command, Idle

P50, P99 = (Figure(f"p{n}_ms", f"p{n}, ms", "lower", 1) for n in (50, 99))
PAGES = (
    Figure("per_second", "pages a second", "higher", target=3000),
    Figure("p50_ms", "p50, ms", "lower", 1, target=4), P99,
)  # fmt: skip

PUBLISH = (
    Case(
        "publish", "10 publishers, 100 topics, pipelined; servers on one core",
        SocketLoad("publish", 10, messages=4000, topics=100, window=500),
        (
            Figure("per_second", "publishes a second", "higher", target=25_000, drawn=True),
            Figure("per_second", "the same, to JetStream", "higher", 1, target=5, of="JetStream"), P50, P99,
        ),
        seconds=8, short="10 publishers", cores=ONE_CORE, peers=("JetStream",),
    ),
    Case(
        "one-socket", "one socket pipelines 20,000 publishes on 100 topics; servers on one core",
        SocketLoad("publish", 1, messages=20_000, topics=100, window=20_000, users=1),
        (Figure("per_second", "publishes a second", "higher", target=15_000, drawn=True), P50, P99),
        seconds=8, short="one socket", cores=ONE_CORE, peers=("Centrifugo", "JetStream"),
    ),
    Case(
        "socket-idle", "socket publish on an idle platform, one client",
        SocketLoad("publish", 1, messages=300, pause=5, users=1),
        (Figure("p50_ms", "p50, ms", "lower", 2, target=1.2, drawn=True), Figure("p99_ms", "p99, ms", "lower", 2)),
        seconds=5, short="publish, idle", peers=("JetStream",),
    ),
)  # fmt: skip

REST = (
    Case(
        "rest-publish", "REST publish, keep-alive, 20 clients of one account",
        RestLoad("publish", 6000, users=1),
        (
            Figure("per_second", "publishes a second", "higher", target=5000, drawn=True),
            Figure("per_second", "share of the rate of an empty route", "higher", target=0.8, of="empty route"),
            P50, P99,
        ),
        seconds=5, short="REST", peers=("Centrifugo",), beside=(("empty route", RestLoad("empty route", 6000)),),
    ),
    Case(
        "rest-accounts", "REST publish, keep-alive, 20 clients of 10 accounts",
        RestLoad("publish", 6000),
        (Figure("per_second", "publishes a second", "higher", target=5000), P50, P99),
        seconds=8,
    ),
    Case(
        "rest-batch", "REST batch of 100, 20 clients",
        RestLoad("publish", 1000, batch=100),
        (Figure("items_per_second", "items a second", "higher", target=25_000), P50, P99),
        seconds=12,
    ),
    Case(
        "rest-idle", "REST publish on an idle platform, one client",
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
        (Figure("per_second", "deliveries a second", "higher", drawn=True), Figure("p99_ms", "p99, ms", "lower")),
        seconds=4, short="flood", cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
    ),
    Case(
        "steady", "20 messages a second to 1,000 clients",
        SocketLoad("steady", 1000, rate=20, seconds=6),
        (
            P50, P99, Figure("cpu.front", "processor time of the gateway a delivery, us", "lower", 2, drawn=True),
            Figure("cpu.front", "the same, to that of C", "lower", 2, target=1.4, of="C"),
            Figure("cpu_ms_publish", "processor time of all servers a publish, ms", "lower", 2),
        ),
        seconds=9, short="steady", cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
    ),
)  # fmt: skip

CONNECTIONS = (
    Case(
        "connections", "4,000 clients connect and join, 64 at a time",
        Connections(4000),
        (
            Figure("per_second", "joins a second", "higher", target=8000, drawn=True),
            Figure("kb_each", "memory of an idle, joined connection, kB", "lower", 1, target=9, drawn=True),
            Figure("cpu.servers", "processor time of all servers a join, us", "lower"),
        ),
        seconds=8, short="connections", cores=ONE_CORE, peers=("C", "nats", "Centrifugo", "ws", "socket.io"),
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

OPERATOR = """
try:
    from notifyx_operator.__main__ import APP, UNUSED
except ImportError:  # of before
    import notifyx_operator.app
else:
    from notifyx_common.start import load
    load(APP, unused=UNUSED)
"""

START = (
    Case(
        "idle", "the idle platform, and how it starts",
        Idle(),
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
        "operator", "the operator's imports", Command(("-c", OPERATOR)),
        (Figure("cpu_ms", "processor time, ms", "lower", target=1200),),
        seconds=10,
    ),
)  # fmt: skip

LEAST = Case(
    "least", "the least of each step, one at a time",
    Least(),
    (
        Figure("wake_up.ms", "a process wakes another one: p50, ms", "lower", 3),
        Figure("sync.ms", "8 kB are written and synced: p50, ms", "lower", 2),
        Figure("statement.ms", "`SELECT 1`: p50, ms", "lower", 3),
        Figure("statement.us", "processor time of who asks, us", "lower"),
        Figure("statement.postgres_us", "processor time of PostgreSQL, us", "lower"),
        Figure("commit.ms", "one row in a commit of its own: p50, ms", "lower", 2),
        Figure("commit.us", "processor time of who asks, us", "lower"),
        Figure("commit.postgres_us", "processor time of PostgreSQL, us", "lower"),
        Figure("unsynced.ms", "the same, without a sync: p50, ms", "lower", 3),
        Figure("call.ms", "a request to an empty route, as services call each other: p50, ms", "lower", 2),
        Figure("call.us", "processor time of who asks, us", "lower"),
        Figure("route.ms", "an empty route, asked by C: p50, ms", "lower", 2),
        Figure("route.us", "processor time of the gateway, us", "lower"),
        Figure("python.ms", "a Python that does nothing: p50, ms", "lower"),
        Figure("python.us", "processor time, us", "lower"),
    ),
    seconds=25,
)  # fmt: skip


def stored(total: int) -> Case:
    """Return the case of ``total`` publishes in a row."""
    return Case(
        "grow-stored", f"{total:,} publishes in a row, and pages of what is stored then",
        MoreStored(total),
        (
            Figure("per_second", "publishes a second", "higher"),
            Figure("growth", "rate of the last quarter, to the first", "higher", 2, target=0.9),
            Figure("cpu_growth", "processor time a publish, the last quarter to the first", "lower", 2, target=1.1),
            Figure("page_ms", f"p50 of a page of a log of {total // 10:,}, ms", "lower", 1),
            Figure("page_growth", "the same, to a log of 100", "lower", 2, target=1.2),
        ),
        seconds=10 + total / 8000,
    )  # fmt: skip


FLAT = Figure("growth", "ratio", "higher", 2, target=0.8)

GROWTH = (
    Case(
        "grow-connections", "a delivery to 10,000 connections, beside 100",
        MoreConnections(),
        (
            Figure("large", "processor time of the gateway a delivery to 10,000, us", "lower", 2),
            Figure("growth", "ratio", "lower", 2, target=1.2),
        ),
        seconds=30,
    ),
    Case(
        "grow-topics", "batches of 100 publishes to 100 of 10,000 topics, beside 100 of 100",
        MoreTopics(),
        (
            Figure("large", "items a second to 100 of 10,000", "higher"), FLAT,
            Figure("one", "items a second, all of a batch to one topic", "higher"),
            Figure("each", "each to a topic of its own, to that", "higher", 2),
        ),
        seconds=35,
    ),
    stored(200_000),
    Case(
        "grow-unread", "inbox pages of a user with 100,000 unread, beside 100",
        MoreUnread(),
        (Figure("large", "pages a second with 100,000", "higher"), FLAT),
        seconds=25,
    ),
    Case(
        "grow-gateways", "10 publishers to 4 gateways, beside one, on the same cores",
        MoreNodes("gateway", 4, SocketLoad("publish", 10, messages=2000, topics=100)),
        (Figure("large", "publishes a second with 4", "higher"), FLAT),
        seconds=25,
    ),
    Case(
        "grow-stores", "10 publishers with 3 stores, beside one, on the same cores",
        MoreNodes("store", 3, SocketLoad("publish", 10, messages=2000, topics=100)),
        (Figure("large", "publishes a second with 3", "higher"), FLAT),
        seconds=25,
    ),
)  # fmt: skip


def buses(stores: int, gateways: int) -> Case:
    """Return the case of both buses with so many nodes."""
    names = {"postgres": "PostgreSQL", "nats": "NATS"}
    figures = [Figure("ratio", "publishes a second over NATS, to those over PostgreSQL", "higher", 2)]
    for bus, name in names.items():
        figures.append(Figure(f"{bus}.per_second", f"publishes a second over {name}", "higher"))
        figures.append(Figure(f"{bus}.cpu", f"processor time of all servers a publish over {name}, us", "lower"))
        figures.append(Figure(f"{bus}.p50_ms", f"p50 of a delivery over {name}, ms", "lower", 1))
        figures.append(Figure(f"{bus}.p99_ms", "p99, ms", "lower", 1))
    title = f"{stores} store{'s' * (stores > 1)} and {gateways} gateway{'s' * (gateways > 1)}, woken by each bus"
    return Case(f"bus-{stores}-{gateways}", title, Buses(stores, gateways), tuple(figures), seconds=45)


BUSES = tuple(buses(stores, gateways) for stores in (1, 3) for gateways in (1, 2, 4))


def _scale() -> Case:
    costs = {
        "deliver": "one message to one connection, us of the gateway",
        "gateway_publish": "a publish, us of the gateway",
        "gateway_feed": "the same at each gateway that it reaches",
        "store_publish": "a publish, us of the store",
        "store_feed": "the same for each gateway that it reaches",
        "postgres_publish": "a publish, us of PostgreSQL",
        "connection_kb": "memory of a connection, kB",
        "join_kb": "of each further topic that it joins, kB",
        "gateway_connect": "a connection with its first join, us of the gateway",
        "gateway_join": "each further join",
        "store_connect": "a connection with its first join, us of the store",
        "store_join": "each further join",
    }
    figures = [Figure(key, title, "lower", 1) for key, title in costs.items()]
    for size in SIZES:
        for gateways in GATEWAYS:
            where = f"to {size:,} connections at {gateways} gateway{'s' if gateways > 1 else ''}"
            figures.append(
                Figure(f"cpu.{size}.{gateways}", f"a delivery {where}, to the model", "lower", 2, target=1.2)
            )
            figures.append(Figure(f"kb.{size}.{gateways}", "memory of a connection, kB", "lower", 1))
    return Case("scale", "the model of large deployments, and what it says", Scaled(), tuple(figures), seconds=110)


def fairness(by: How) -> Case:
    """Return the case of a flood over ``by``."""
    way_names = {"socket": "socket", "rest": "REST"}
    figures = []
    for way, name in way_names.items():
        figures.append(Figure(f"{way}.alone.p50", f"p50 over {name} alone, ms", "lower", 1))
        figures.append(Figure(f"{way}.alone.p99", "p99, ms", "lower", 1))
        figures.append(Figure(f"{way}.alone.ran", "p99 of what gateway and store ran meanwhile, ms", "lower", 1))
        for size in ("small", "large"):
            figures.append(Figure(f"{way}.{size}.p50.ratio", f"p50 beside {size} messages, to that alone", "lower", 1))
            figures.append(Figure(f"{way}.{size}.p99.ratio", "p99, to that alone", "lower", 1, target=2))
            figures.append(
                Figure(f"{way}.{size}_control.p99.ratio", "p99 beside its control, to that alone", "lower", 1)
            )
            figures.append(Figure(f"{way}.{size}.p99.control", "p99, to that beside its control", "lower", 1, target=2))
            figures.append(Figure(f"{way}.{size}.ran", "p99 of what gateway and store ran meanwhile, ms", "lower", 1))
            figures.append(Figure(f"{way}.{size}.queued", "p99 of their wait for a processor, ms", "lower", 1))
    for size in ("small", "large"):
        figures.append(Figure(f"{size}.flood", f"{size} messages of the flood a second", "higher"))
        figures.append(Figure(f"{size}.cores", "processors that they used", "lower", 2))
        figures.append(Figure(f"{size}_control.cores", "processors that its control used", "lower", 2))
    title = f"40 publishes a second beside an account that sends all it can over {way_names[by]}"
    return Case(f"fair-{by}", title, Fairness(by), tuple(figures), seconds=110)


def hung_store(stores: int) -> Case:
    """Return the case of a store that hangs among ``stores``."""
    alone = stores == 1
    figures = []
    for way, name in {"publish": "publishes", "read": "pages"}.items():
        figures.append(Figure(f"{way}.alone.p99", f"p99 of {name} before, ms", "lower", 1))
        figures.append(Figure(f"{way}.failed", f"{name} that failed", "lower", target=None if alone else 0))
        if alone:
            told = None if way == "publish" else 3  # who publishes waits up to eight seconds for an outcome
            figures.append(Figure(f"{way}.told", f"the longest wait of {name} that failed, s", "lower", 1, target=told))
            figures.append(Figure(f"{way}.recovery", f"{name} are as before again after, s", "lower", 1, target=3))
        else:
            figures.append(Figure(f"{way}.ratio", f"p99 of {name} beside it, to that before", "lower", 1, target=2))
            figures.append(Figure(f"{way}.worst", f"the longest of {name}, s", "lower", 2, target=3))
            figures.append(Figure(f"{way}.felt", f"{name} slower than twice that p99, %", "lower", 1))
    beside = "the only store" if alone else "one of two stores"
    title = f"40 publishes and 40 pages a second while {beside} hangs for ten seconds"
    return Case("hung-only-store" if alone else "hung-store", title, HungStore(stores), tuple(figures), seconds=32)


def _slow_count() -> Case:
    figures = []
    for way, name in {"publish": "publishes", "inbox": "pages of an inbox"}.items():
        figures.append(Figure(f"{way}.alone.p50", f"p50 of {name} alone, ms", "lower", 1))
        figures.append(Figure(f"{way}.alone.p99", "p99, ms", "lower", 1))
        for company, asks in {"inbox": "its inbox", "counts": "its subscriptions"}.items():
            figures.append(Figure(f"{way}.{company}.p50.ratio", f"p50 beside one who asks for {asks}", "lower", 1))
            figures.append(Figure(f"{way}.{company}.p99.ratio", "p99, to that alone", "lower", 1, target=2))
            figures.append(
                Figure(f"{way}.{company}_control.p99.ratio", "p99 beside its control, to that alone", "lower", 1)
            )
            figures.append(
                Figure(f"{way}.{company}.p99.control", "p99, to that beside its control", "lower", 1, target=2)
            )
    title = "40 publishes and 40 pages a second beside an account with 200,000 unread in 1,000 topics that asks always"
    return Case("fair-count", title, SlowCount(), tuple(figures), seconds=60)


MAIL_FLOOD = Case(
    "fair-mail", "an email each half second and 40 publishes a second beside 20,000 due emails and a slow SMTP server",
    MailFlood(),
    (
        Figure("mail.alone.p50", "p50 of an email alone, s", "lower", 1),
        Figure("mail.flood.p50", "p50 of an email beside them, s", "lower", 1),
        Figure("mail.ratio", "the same, to that alone", "lower", 1, target=2),
        Figure("mail.flood.worst", "the longest, s", "lower", 1),
        Figure("mail.worst.ratio", "the same, to that alone", "lower", 1, target=2),
        Figure("mail.flood.others", "emails a second of the others", "higher", 1),
        Figure("publish.ratio", "p99 of publishes, to that alone", "lower", 1, target=2),
    ),
    seconds=40,
)  # fmt: skip

FAIRNESS = (fairness("socket"), fairness("rest"), hung_store(2), hung_store(1), _slow_count(), MAIL_FLOOD)

ALL = (*PUBLISH, *REST, *DELIVERY, *CONNECTIONS, *START, LEAST, *GROWTH, _scale(), *BUSES, *FAIRNESS)
CASES = {case.name: case for case in ALL}

USUAL = tuple(case.name for case in ALL if case not in BUSES)
"""What is measured unless cases are named: most platforms have no NATS."""

QUICK = (
    "publish", "one-socket", "socket-idle", "rest-publish", "rest-accounts", "rest-batch", "rest-idle", "history",
    "inbox", "steady", "connections", "help",
)  # fmt: skip
"""What ``--quick`` measures."""
