"""The processes of the platform and the environment of each. Pure: from options to :class:`ProcessSpec`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGQUIT

from notifyx_common.contracts.callers import LOCAL_TOKENS
from notifyx_local.credentials import Secrets
from notifyx_local.options import Smtp, UpOptions
from notifyx_local.postgres import Cluster, failure_reason, is_ready
from notifyx_local.processes import ProcessSpec
from notifyx_local.web_build import WEB_SOURCE, output_folder

_INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "VIRTUAL_ENV")
"""The variables that services inherit. NOTIFYX_ variables are left out: they may be meant for another program."""


@dataclass(frozen=True, slots=True)
class DataFolders:
    """The folders in the data folder."""

    data: Path

    @property
    def logs(self) -> Path:
        """Folder of the log files, one for each process."""
        return self.data / "logs"

    @property
    def run(self) -> Path:
        """Folder of the ready files."""
        return self.data / "run"

    @property
    def mail(self) -> Path:
        """Folder of the local mailbox."""
        return self.data / "mail"

    def make(self) -> None:
        """Create the missing folders. Logs and mails, whose links sign in, are for this user alone, as are secrets."""
        for folder in (self.data, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.mail):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)  # also one of an earlier release


def postgres_spec(folders: DataFolders, cluster: Cluster) -> ProcessSpec:
    """Return the PostgreSQL server. SIGINT is its fast shutdown, SIGQUIT the immediate one, followed by recovery."""
    return ProcessSpec(
        name="postgres",
        command=tuple(cluster.command()),
        environment=_inherited_environment(),
        log=folders.logs / "postgres.log",
        account=cluster.account,
        cwd=cluster.cwd,
        is_ready=partial(is_ready, cluster.data),
        stop_signal=SIGINT,
        stop_rank=3,
        kill_signal=SIGQUIT,
        orphan_signal=SIGINT,
        failure_reason=failure_reason,
    )


def memcached_spec(folders: DataFolders, program: str, port: int) -> ProcessSpec:
    """Return a memcached on a private port."""
    return ProcessSpec(
        name="memcached",
        command=(program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64"),
        environment=_inherited_environment(),
        log=folders.logs / "memcached.log",
        # It refuses to run as root. With -u it would change the account itself, and no longer end with its parent.
        account="nobody" if os.geteuid() == 0 else None,
        stop_rank=2,
    )


def nats_spec(folders: DataFolders, program: str, port: int) -> ProcessSpec:
    """Return a NATS server on a private port, which stores nothing."""
    return ProcessSpec(
        name="nats",
        command=(program, "-a", "127.0.0.1", "-p", str(port)),
        environment=_inherited_environment(),
        log=folders.logs / "nats.log",
        stop_rank=2,
    )


def mailbox_spec(folders: DataFolders, options: UpOptions) -> ProcessSpec:
    """Return the local SMTP server, whose mail is shown on a page."""
    arguments = (
        *("--smtp-port", options.smtp_port, "--http-port", options.mailbox_port),
        *("--folder", folders.mail, "--web-url", options.gateway_url),
    )
    return ProcessSpec(
        name="mailbox",
        command=(_program("mailbox"), *map(str, arguments)),
        module=_module("mailbox"),
        environment={**_inherited_environment(), "NOTIFYX_READY_FILE": str(folders.run / "mailbox.json")},
        log=folders.logs / "mailbox.log",
        stop_rank=2,
        ready_file=folders.run / "mailbox.json",
    )


def service_specs(
    folders: DataFolders,
    options: UpOptions,
    secrets: Secrets,
    *,
    databases: Mapping[str, str],
    memcached: str,
    bus: str,
    smtp: Smtp,
    own_ports: Sequence[int] = (),
    topic_files: Mapping[str, str] | None = None,
) -> list[ProcessSpec]:
    """Return the nodes of the four services. All but gateways use free ports; all register with each gateway.

    Several gateways share the ports of the options; each also has one of ``own_ports``.
    ``topic_files`` has the names of the files that declare topics, by resource.
    """
    registries = [f"http://127.0.0.1:{port}" for port in own_ports] or [options.gateway_url]
    common = {
        "NOTIFYX_REGISTRY_URLS": json.dumps(registries),
        "NOTIFYX_LOG_LEVEL": options.log_level,
        "NOTIFYX_HOST": "127.0.0.1",
        "NOTIFYX_PORT": "0",
        "NOTIFYX_METRICS_PORT": "0",
    }
    web = {"NOTIFYX_WEB_FOLDER": str(output_folder(WEB_SOURCE))} if options.web and WEB_SOURCE.is_dir() else {}
    of_service: dict[str, tuple[int, dict[str, str]]] = {
        "auth": (
            options.auths,
            {
                "NOTIFYX_DATABASE_URL": databases["auth"],
                "NOTIFYX_AUTH_SECRET": secrets.auth_secret,
                "NOTIFYX_ADMIN_EMAIL": options.admin_email,
                "NOTIFYX_ADMIN_PASSWORD": secrets.admin_password,
                "NOTIFYX_SIGN_UP": str(options.sign_up).lower(),
            },
        ),
        "store": (
            options.stores,
            {
                "NOTIFYX_DATABASE_URL": databases["store"],
                "NOTIFYX_BUS_URL": bus,
                "NOTIFYX_STORAGE_PATH": str(folders.data),
                "NOTIFYX_UNSUBSCRIBE_SECRET": secrets.unsubscribe_secret,
                "NOTIFYX_MAIL_DOMAIN": parseaddr(smtp.sender)[1].rpartition("@")[2] or "localhost",
            },
        ),
        "mailer": (
            options.mailers,
            {
                "NOTIFYX_SMTP_HOST": smtp.host,
                "NOTIFYX_SMTP_PORT": str(smtp.port),
                "NOTIFYX_SMTP_TLS": smtp.tls,
                "NOTIFYX_SMTP_USERNAME": smtp.username,
                "NOTIFYX_SMTP_PASSWORD": smtp.password,
                "NOTIFYX_SMTP_FROM": smtp.sender,
            },
        ),
        "gateway": (
            options.gateways,
            {
                "NOTIFYX_PORT": str(options.port),
                "NOTIFYX_SOCKET_PORT": str(options.socket_port),
                "NOTIFYX_MEMCACHED": memcached,
                "NOTIFYX_DASHBOARD_TOPICS": "public",
                # Whoever tries things on a local platform has one account.
                "NOTIFYX_MAX_CONNECTIONS_PER_USER": "10000",
                "NOTIFYX_PROMETHEUS_URL": options.prometheus,
                "NOTIFYX_SIGN_UP": str(options.sign_up).lower(),
                "NOTIFYX_TOPIC_FILES": json.dumps(dict(topic_files or {})),
                "NOTIFYX_ALLOWED_ORIGINS": json.dumps([f"http://localhost:{options.port}"]),
                **web,
            },
        ),
    }
    specs = [
        _service(folders, service, name, {**common, **_tokens(secrets, service), **own})
        for service, (count, own) in of_service.items()
        for name in node_names(service, count)
    ]
    own_port = dict(zip(node_names("gateway", options.gateways), own_ports, strict=False))
    return [
        replace(
            spec,
            environment={**spec.environment, "NOTIFYX_OWN_PORT": str(own_port[spec.name])},
            shared_address=options.gateway_url,
        )
        if spec.name in own_port
        else spec
        for spec in specs
    ]


def _tokens(secrets: Secrets, service: str) -> dict[str, str]:
    """Return the tokens of a service: for the calls that it makes, and of those that it answers."""
    made = {
        f"NOTIFYX_INTERNAL_TOKENS__{called.upper()}": secrets.internal_token(caller, called)
        for caller, called in LOCAL_TOKENS
        if caller == service
    }
    answered = {
        f"NOTIFYX_INTERNAL_CALLERS__{caller.upper()}": secrets.internal_token(caller, called)
        for caller, called in LOCAL_TOKENS
        if called == service
    }
    return {**made, **answered}


def node_names(service: str, count: int) -> list[str]:
    """Return the names of ``count`` nodes of ``service``; one alone has the name of the service."""
    return [service] if count == 1 else [f"{service}-{n}" for n in range(1, count + 1)]


def _service(folders: DataFolders, service: str, name: str, environment: dict[str, str]) -> ProcessSpec:
    ready_file = folders.run / f"{name}.json"
    own = {"NOTIFYX_INSTANCE": name, "NOTIFYX_READY_FILE": str(ready_file)}
    return ProcessSpec(
        name=name,
        command=(_program(service),),
        module=_module(service),
        environment={**_inherited_environment(), **environment, **own},
        log=folders.logs / f"{name}.log",
        ready_file=ready_file,
        has_health_route=True,
        # Gateways stop first: the other services finish what they accepted.
        stop_rank=0 if service == "gateway" else 1,
    )


def service_modules(options: UpOptions) -> list[str]:
    """Return the modules of the processes that are started, for the fork server."""
    return [_module(name) for name in ("gateway", "auth", "store", "mailer", *([] if options.smtp else ["mailbox"]))]


def _program(service: str) -> str:
    return str(Path(sys.executable).with_name(f"notifyx-{service}"))


def _module(service: str) -> str:
    return f"notifyx_{service}.app"


def _inherited_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ} | {"PYTHONSAFEPATH": "1"}
