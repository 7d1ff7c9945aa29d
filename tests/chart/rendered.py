"""The chart as helm renders it, and the questions that tests ask of it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from support.helm import find_helm
from support.patience import PATIENCE
from support.run_folder import run_folder

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "notifyx"
NAMESPACE = "somewhere"
SERVICES = ("gateway", "auth", "store", "mailer")
OURS = (*SERVICES, "operator")
# Pods that run to their end: of `helm test`, and after an uninstall, when the policies of the release are gone.
ERRANDS = ("test", "uninstall")

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": {
        "publicUrl": "https://notifyx.example.com",
        "mailbox": {"enabled": True},
        "backup": {"enabled": True, "persistence": {"storageClass": "slow"}},
        "ingress": {"enabled": True, "className": "traefik", "host": "notifyx.example.com"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["notifyx.example.com"]},
        "podMonitor": {"enabled": True, "labels": {"prometheus": "mine"}},
        "prometheusRule": {"enabled": True, "labels": {"prometheus": "mine"}},
        "prometheus": {"enabled": True},
        "prober": {"url": "https://notifyx.example.com"},
        "grafanaDashboard": {
            "enabled": True,
            "labels": {"grafana": "mine"},
            "annotations": {"grafana_folder": "Notifyx"},
        },
        "podAnnotations": {"example.com/who": "everybody"},
        "gateway": {
            "allowedOrigins": ["https://app.example.com"],
            "trustedProxies": ["10.0.0.0/8"],
            "podAnnotations": {"example.com/who": "the gateway"},
        },
        "networkPolicy": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "traefik"}}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "prometheus"}}}],
            "apiServer": {"cidr": "10.96.0.1/32", "ports": [443]},
        },
    },
    "external": {
        "secrets": {"existingSecret": "mine"},
        "database": {
            "auth": {"existingSecret": "auth-database"},
            "store": {"existingSecret": "store-database", "key": "dsn"},
            "readReplica": {"existingSecret": "store-replica", "key": "dsn"},
            "port": 6432,
            "existingCaSecret": "database-ca",
        },
        "postgres": {"enabled": False},
        "memcached": {
            "servers": ["cache-1:11211", "cache-2:11222", "cache-3:11211"],
            "tls": {"enabled": True, "existingCaSecret": "memcached-ca"},
        },
        "bus": {
            "kind": "nats",
            "nats": {
                "url": "tls://nats-1:4222,tls://nats-2:4223,tls://nats-3:4222",
                "existingSecret": "nats-login",
                "existingCaSecret": "nats-ca",
            },
        },
        "smtp": {
            "host": "smtp.example.com",
            "tls": "tls",
            "existingSecret": "smtp-login",
            "existingCaSecret": "smtp-ca",
        },
        "image": {"registry": "registry.example.com/team", "pullSecrets": [{"name": "registry"}]},
        "operator": {"namespaces": ["team-a", "team-b"]},
        "serviceAccounts": {"audience": ""},
        "internalTls": {"enabled": True, "issuerRef": {"name": "internal", "kind": "ClusterIssuer"}},
        "backup": {
            "enabled": True,
            "keep": 30,
            "s3": {
                "bucket": "backups",
                "prefix": "of/notifyx",
                "endpoint": "https://minio.example.com:9000",
                "existingSecret": "minio",
                "port": 9000,
            },
        },
        "prometheus": {
            "url": "http://prometheus.monitoring:9091/of/us",
            "existingSecret": "prometheus-login",
            "existingCaSecret": "prometheus-ca",
            "match": 'namespace="somewhere"',
        },
    },
    "minimal": {
        "secrets": {"existingSecret": "mine"},
        "admin": {"email": ""},
        "signUp": False,
        "crds": {"install": False},
        "memcached": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "postgres": {"persistence": {"enabled": False}},
        "preStopSeconds": 0,
        "prober": {"seconds": 0},
        "prometheus": {"url": "https://prometheus.example.com"},
    },
    "own authority": {
        "internalTls": {"enabled": True},
        "bus": {
            "kind": "nats",
            "nats": {
                "url": "nats://nats.nats:4222",
                "subject": "notify.test",
                "existingSecret": "nats-token",
                "login": "token",
            },
        },
    },
}


class Refused(Exception):
    """Helm does not render these values; the message is what it says."""


@dataclass(frozen=True)
class Pod:
    """A pod of the rendering: the name of its component, its labels and annotations, and its spec."""

    component: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """The only container that it has."""
        (one,) = self.spec["containers"]
        found: dict[str, Any] = one
        return found

    @property
    def ports(self) -> dict[str, int]:
        """The container's ports, by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    @property
    def env(self) -> dict[str, dict[str, Any]]:
        """The environment, by variable."""
        return {one["name"]: one for one in self.container.get("env", [])}


@dataclass(frozen=True)
class Rendering:
    """What one set of values gives."""

    text: str

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Every object, as Kubernetes would get it."""
        return [one for one in yaml.load_all(self.text, Loader=_Strict) if one is not None]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The objects of a kind, by name."""
        return {one["metadata"]["name"]: one for one in self.objects if one["kind"] == kind}

    @cached_property
    def pods(self) -> dict[str, Pod]:
        """Every pod there will be, by component."""
        return {pod.component: pod for pod in self._pods()}

    def _pods(self) -> Iterator[Pod]:
        for one in self.objects:
            spec = one.get("spec") or {}
            spec = spec.get("jobTemplate", {}).get("spec", spec)  # a CronJob's is of its Jobs
            template = one if one["kind"] == "Pod" else spec.get("template")
            if template is not None:
                metadata = template["metadata"]
                component = metadata["labels"]["app.kubernetes.io/component"]
                yield Pod(component, metadata["labels"], metadata.get("annotations") or {}, template["spec"])


class _Strict(yaml.CSafeLoader):
    """YAML in which a key that comes twice is an error, as it is for Helm 4's server-side apply."""


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    pairs = [(loader.construct_object(key, deep=True), key) for key, _ in node.value]
    seen: set[Any] = set()
    for key, where in pairs:
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} comes twice", where.start_mark)
        seen.add(key)
    return {
        key: loader.construct_object(value, deep=True) for (key, _), (_, value) in zip(pairs, node.value, strict=True)
    }


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def helm(*words: str) -> str:
    """What helm prints, of nobody's configuration. Raises :class:`Refused`."""
    with tempfile.TemporaryDirectory(dir=run_folder()) as home:
        # A render ends before a collection of garbage would free anything that it needs again.
        env = {"PATH": os.defpath, "HOME": home, "GOGC": "off"}
        command = [str(find_helm()), *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return done.stdout


def render(values: Mapping[str, Any], *, release: str = "notifyx", notes: bool = False, api: str = "") -> Rendering:
    """The chart with ``values``; without an ``api`` server, so that nothing is looked up. Raises :class:`Refused`."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        words = ("install", "--dry-run=client", "--hide-notes=false") if notes else ("template",)
        if api:
            words = (*words, "--dry-run=server", "--kube-apiserver", api)
        return Rendering(helm(*words, release, str(CHART), "--namespace", NAMESPACE, "--values", file.name))


def walk(value: Any) -> Iterator[Any]:
    """``value`` and everything within it."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from walk(one)
