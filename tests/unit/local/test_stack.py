"""The processes of a run, and the environment of its gateways."""

from __future__ import annotations

import json
from pathlib import Path

from notifyx_local.credentials import Secrets
from notifyx_local.options import Smtp, UpOptions
from notifyx_local.processes import ProcessSpec
from notifyx_local.stack import DataFolders, nats_spec, service_specs

SECRETS = Secrets()


def specs(options: UpOptions, own_ports: tuple[int, ...] = (), bus: str = "") -> dict[str, ProcessSpec]:
    made = service_specs(
        DataFolders(Path("/d")),
        options,
        SECRETS,
        databases={"auth": "postgresql://a", "store": "postgresql://s"},
        memcached="",
        bus=bus,
        smtp=Smtp("127.0.0.1", 2525, "none"),
        own_ports=own_ports,
    )
    return {spec.name: spec for spec in made}


def test_logs_and_mails_are_for_the_user_alone_also_those_of_an_earlier_release(tmp_path: Path) -> None:
    folders = DataFolders(tmp_path / "data")
    folders.mail.mkdir(parents=True)
    folders.mail.chmod(0o755)
    folders.make()
    assert [folder.stat().st_mode & 0o777 for folder in (folders.logs, folders.mail)] == [0o700, 0o700]


def test_one_gateway_has_the_name_of_its_service_and_its_ports_alone() -> None:
    made = specs(UpOptions(Path("/d"), None))
    assert list(made) == ["auth", "store", "mailer-1", "mailer-2", "gateway"]
    assert "NOTIFYX_OWN_PORT" not in made["gateway"].environment
    registries = {spec.environment["NOTIFYX_REGISTRY_URLS"] for spec in made.values()}
    assert registries == {json.dumps(["http://127.0.0.1:4000"])}
    assert all(spec.has_health_route for spec in made.values()), "each is restarted when it hangs"


def test_several_gateways_share_the_ports_and_every_service_registers_with_each() -> None:
    made = specs(UpOptions(Path("/d"), None, gateways=2), (25001, 25002))
    assert list(made)[-2:] == ["gateway-1", "gateway-2"]
    for name, port in (("gateway-1", "25001"), ("gateway-2", "25002")):
        environment = made[name].environment
        assert environment["NOTIFYX_OWN_PORT"] == port
        assert (environment["NOTIFYX_PORT"], environment["NOTIFYX_SOCKET_PORT"]) == ("4000", "4001")
        assert environment["NOTIFYX_METRICS_PORT"] == "0", "each takes a free one"
    registries = {spec.environment["NOTIFYX_REGISTRY_URLS"] for spec in made.values()}
    assert registries == {json.dumps(["http://127.0.0.1:25001", "http://127.0.0.1:25002"])}
    assert all("NOTIFYX_OWN_PORT" not in spec.environment for name, spec in made.items() if "gateway" not in name)


def test_only_stores_know_the_bus() -> None:
    made = specs(UpOptions(Path("/d"), None, stores=2), bus="nats://127.0.0.1:4222")
    known = {name for name, spec in made.items() if spec.environment.get("NOTIFYX_BUS_URL") == "nats://127.0.0.1:4222"}
    assert known == {"store-1", "store-2"}


def test_nats_is_for_this_machine_alone() -> None:
    spec = nats_spec(DataFolders(Path("/d")), "/bin/nats-server", 4222)
    assert spec.command == ("/bin/nats-server", "-a", "127.0.0.1", "-p", "4222")
