"""``helm upgrade`` to other images and settings, and ``helm rollback``, under traffic: nothing is lost."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cert_manager import renew, running_cert_manager
from cluster.certificates import impostor, issued, wait_shown
from cluster.install import CHART, SERVICES, Installed, upgrade
from cluster.kube import Kube
from cluster.provider import Cluster, NoCluster, Say
from cluster.traffic import aside, traffic
from cluster.waiting import wait_for
from notifyx_common.contracts.gateway import CONNECTIONS
from support.platform import person

NEWER = {"podAnnotations": {"notifyx.dev/test": "newer"}}
"""Rolls every pod, as new images do."""


def started(kube: Kube, installed: Installed) -> set[str]:
    """The names of all pods of the services."""
    return {pod["metadata"]["name"] for part in SERVICES for pod in kube.pods(installed.namespace, part)}


def store_pods(kube: Kube, installed: Installed) -> set[str]:
    """The uids of the stores."""
    return {pod["metadata"]["uid"] for pod in kube.ready_pods(installed.namespace, "store")}


@pytest.fixture
def issuer(installed: Installed, cluster: Cluster, kube: Kube, say: Say, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The chart's reference to an Issuer of cert-manager; empty where there can be no cert-manager, which it says."""
    with contextlib.ExitStack() as stack:
        try:
            if (reason := cluster.why_not("definitions")) is not None:
                raise NoCluster(reason)
            stack.enter_context(running_cert_manager(cluster, kube, tmp_path / "cert-manager.log", say))
        except NoCluster as error:
            say(f"the chart's own authority goes on in place of cert-manager: {error}")
            yield {}
        else:
            yield {"name": "internal"}


def hand_over(installed: Installed, issuer: str) -> None:
    """An Issuer that signs with the chart's own authority, so that no pod stops trusting another."""
    namespace = installed.namespace
    own = installed.kube.get("secret", installed.name("internal-ca"), namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": issuer}, "type": own["type"]}
    resource = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": issuer}}
    installed.kube.apply(
        {**secret, "data": own["data"]}, {**resource, "spec": {"ca": {"secretName": issuer}}}, namespace=namespace
    )


def refused_in_plain(installed: Installed) -> str:
    """The code with which a gateway answers an internal call on its HTTP port."""
    first, *_ = installed.kube.ready_pods(installed.namespace, "gateway")
    script = (
        "import json, sys, urllib.error, urllib.request\n"
        "try:\n"
        "    urllib.request.urlopen(sys.argv[1])\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(json.load(error)['code'])\n"
    )
    return installed.python(first["metadata"]["name"], script, f"http://127.0.0.1:4000{CONNECTIONS.path}")


async def test_tls_between_services_is_switched_on_and_back_without_a_loss(
    installed: Installed, kube: Kube, issuer: dict[str, str], tmp_path: Path
) -> None:
    """All pods are replaced by ones that call each other over TLS; then certificates are renewed; then all goes back.

    With the chart's own authority first, then with cert-manager, where there is one.
    """
    secrets = installed.secret
    before = started(kube, installed)
    revision = installed.revision()
    async with person(installed, "upgrader") as user:
        await user.call("POST", "/topics", json={"name": "upgrade.kept"})
        await user.call("POST", "/topics/upgrade.kept/notifications", json={"body": "from before"})

    both = {"internalTls": {"enabled": True, "acceptPlain": True}}
    async with traffic(installed, "upgrade.mixed") as flowing:
        await aside(upgrade, installed, NEWER, both)
        await aside(installed.wait_complete)
        await flowing.more()
        assert not before & started(kube, installed), "every pod was replaced"
        assert installed.secret == secrets, "an upgrade keeps the generated secrets"

        stores = store_pods(kube, installed)
        own = installed.name("store-own-tls")
        first = issued(installed, own)
        await aside(lambda: kube.kubectl("delete", "secret", own, namespace=installed.namespace))
        await aside(upgrade, installed, NEWER, both)
        second = issued(installed, own)
        assert second != first
        await aside(wait_shown, installed, "store", second, stores)
        await flowing.more()
    codes = {code for client in flowing.clients for code in client.close_codes}
    assert codes <= {1012, 1006, None}, "a gateway that stops says 1012: come back"
    assert 1012 in codes

    mixed = installed.revision()
    async with traffic(installed, "upgrade.tls") as flowing:
        if issuer:
            await aside(hand_over, installed, issuer["name"])
        await aside(upgrade, installed, NEWER, {"internalTls": {"enabled": True, "issuerRef": issuer}})
        await aside(installed.wait_complete)
        await flowing.more()
        assert await aside(refused_in_plain, installed) == "tls_required"
        async with impostor(installed, "store", tmp_path / "impostor"):
            await flowing.more()
        if issuer:
            stores = store_pods(kube, installed)
            managed = installed.name("store-tls")
            third = issued(installed, managed)
            await aside(renew, kube, installed.name("store"), installed.namespace)
            fourth = await aside(newer, installed, managed, third)
            await aside(wait_shown, installed, "store", fourth, stores)
            await flowing.more()

    async with traffic(installed, "upgrade.back") as flowing:
        for earlier in (mixed, revision):
            await aside(installed.rollback, earlier)
            await aside(installed.wait_complete)
            await flowing.more()
    async with person(installed, "upgrader") as user:
        history = await user.call("GET", "/topics/upgrade.kept/notifications")
        assert [item["body"] for item in history["items"]] == ["from before"]


def newer(installed: Installed, secret: str, certificate: str) -> str:
    """Wait for another certificate in a Secret than this one; return it."""

    def look() -> str:
        found = issued(installed, secret)
        return found if found != certificate else ""

    return wait_for(f"{secret} has another certificate", look)


def test_definitions_are_upgraded_with_the_chart(installed: Installed, kube: Kube, tmp_path: Path) -> None:
    """What is in a chart's own ``crds/`` would never be."""
    older = tmp_path / "notifyx"
    shutil.copytree(CHART, older)
    definition = older / "files" / "crds" / "notifyx.dev_notifyxtopics.yaml"
    definition.write_text(definition.read_text().replace("shortNames: [nxt]", "shortNames: [nxt, older]"))

    def short_names() -> list[str]:
        found: list[str] = kube.get("crd", "notifyxtopics.notifyx.dev")["spec"]["names"]["shortNames"]
        return found

    upgrade(installed, chart=older)
    assert short_names() == ["nxt", "older"]
    upgrade(installed)
    assert short_names() == ["nxt"]
