"""What a cluster's administrators give every chart: labels, accounts, certificates, volumes, sidecars, registries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from chart.openshift import problems
from chart.rendered import OURS, ROOT, SERVICES, Refused, Rendering, render
from chart.test_pods import BUILT_IN

OTHERS = ("postgres", "memcached", "mailbox", "prometheus", "backup")
PARTS = (*OURS, *OTHERS)
OPTIONAL: dict[str, Any] = {
    "mailbox": {"enabled": True},
    "prometheus": {"enabled": True},
    "backup": {"enabled": True},
}
NUMBERS = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}


def given(part: str) -> dict[str, Any]:
    """One of everything, named for its part."""
    return {
        "podLabels": {"team": part},
        "podAnnotations": {"example.com/part": part},
        "extraEnv": [{"name": "PROXY", "value": part}],
        "extraEnvFrom": [{"configMapRef": {"name": f"{part}-env"}}],
        "extraVolumes": [{"name": "mine", "configMap": {"name": part}}],
        "extraVolumeMounts": [{"name": "mine", "mountPath": "/mine"}],
        "extraContainers": [{"name": "beside", "image": part}],
        "initContainers": [{"name": "before", "image": part}],
        "containerSecurityContext": {"privileged": False},
        "podSecurityContext": {"supplementalGroups": [len(part)]},
        "runtimeClassName": f"{part}-class",
        "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    }


@pytest.fixture(scope="module")
def full() -> Rendering:
    values = {part: {**OPTIONAL.get(part, {}), **given(part)} for part in PARTS}
    common = {
        "commonLabels": {"cost": "12"},
        "commonAnnotations": {"example.com/owner": "platform"},
        "global": {"imageRegistry": "mirror.example.com/all", "imagePullSecrets": [{"name": "mirror"}]},
        "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
        "serviceMonitor": {"enabled": True, "labels": {"prometheus": "mine"}},
        "extraObjects": [{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "{{ .Release.Name }}-mine"}}],
    }
    accounts: dict[str, Any] = {
        "gateway": {"serviceAccount": {"create": False, "name": "theirs"}},
        "operator": {"serviceAccount": {"create": False, "name": "theirs-too"}},
        "store": {"serviceAccount": {"name": "named"}},
        "postgres": {"serviceAccountName": "database"},
    }
    return render({**common, **{part: {**values[part], **accounts.get(part, {})} for part in PARTS}})


def test_every_part_takes_what_any_pod_takes(full: Rendering) -> None:
    for part in PARTS:
        pod, own = full.pods[part], given(part)
        assert pod.labels["team"] == pod.annotations["example.com/part"] == part
        container, beside = pod.spec["containers"]
        assert container["name"] == part
        assert beside == own["extraContainers"][0]
        assert pod.spec["initContainers"] == own["initContainers"]
        assert container["env"][-1] == own["extraEnv"][0]
        assert container["envFrom"] == own["extraEnvFrom"]
        assert own["extraVolumes"][0] in pod.spec["volumes"]
        assert own["extraVolumeMounts"][0] in container["volumeMounts"]
        assert container["securityContext"] == own["containerSecurityContext"]
        if part != "postgres":
            assert pod.spec["securityContext"] == own["podSecurityContext"]
        assert pod.spec["runtimeClassName"] == own["runtimeClassName"]
        (spread,) = pod.spec["topologySpreadConstraints"]
        assert spread.items() >= own["topologySpreadConstraints"][0].items()
        assert spread["labelSelector"]["matchLabels"].items() <= pod.labels.items()
        assert "team" not in spread["labelSelector"]["matchLabels"]


def test_common_labels_and_annotations_are_everywhere(full: Rendering) -> None:
    bare = [one for one in full.objects if one["kind"] != "CustomResourceDefinition"]
    bare = [one for one in bare if one["metadata"]["name"] != "notifyx-mine"]  # an object of the user's own
    for one in bare:
        assert one["metadata"]["labels"]["cost"] == "12", one["metadata"]["name"]
        assert one["metadata"]["annotations"]["example.com/owner"] == "platform", (one["kind"], one["metadata"]["name"])
    for pod in full.pods.values():
        assert pod.labels["cost"] == "12"
        assert pod.annotations["example.com/owner"] == "platform"
    for kind in ("Deployment", "StatefulSet", "Service", "NetworkPolicy"):
        assert all("cost" not in str(one["spec"].get("selector")) for one in full.of(kind).values())
    for values in ({"commonLabels": {"app.kubernetes.io/name": "x"}}, {"commonAnnotations": {"helm.sh/hook": "test"}}):
        with pytest.raises(Refused, match="invalid propertyName"):
            render(values)


def test_one_registry_is_in_front_of_all_images(full: Rendering) -> None:
    images = {part: pod.spec["containers"][0]["image"] for part, pod in full.pods.items()}
    assert all(image.startswith("mirror.example.com/all/") for image in images.values()), images
    assert images["postgres"] == "mirror.example.com/all/library/postgres:18"
    assert images["prometheus"].startswith("mirror.example.com/all/prom/prometheus:")
    assert all(pod.spec["imagePullSecrets"] == [{"name": "mirror"}] for pod in full.pods.values())
    own = render(
        {
            "global": {"imageRegistry": "mirror.example.com"},
            "image": {"registry": "ours.example.com", "pullSecrets": [{"name": "registry"}]},
            "store": {"image": {"registry": "fast.example.com"}},
            "postgres": {"image": {"repository": "quay.io/team/postgres"}},
        }
    ).pods
    images = {part: own[part].container["image"].rpartition(":")[0] for part in ("store", "auth", *BUILT_IN)}
    assert images == {
        "store": "fast.example.com/notifyx-store",
        "auth": "mirror.example.com/notifyx-auth",
        "postgres": "mirror.example.com/team/postgres",
        "memcached": "mirror.example.com/library/memcached",
    }


def test_accounts_that_are_there_are_used(full: Rendering) -> None:
    accounts = full.of("ServiceAccount")
    assert set(accounts) == {"notifyx-auth", "named", "notifyx-mailer", "notifyx-uninstall"}
    assert full.pods["gateway"].spec["serviceAccountName"] == "theirs"
    assert full.pods["store"].spec["serviceAccountName"] == "named"
    assert full.pods["postgres"].spec["serviceAccountName"] == "database"
    bound = {
        binding["subjects"][0]["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in full.of(kind).values()
        if not binding["metadata"]["name"].endswith("uninstall")
    }
    assert bound == {"theirs", "theirs-too", "notifyx-mailer"}
    account = full.pods["operator"].spec["containers"][0]["env"]
    assert {"name": "NOTIFYX_PROBE_ACCOUNT", "value": "system:serviceaccount:somewhere:theirs-too"} in account
    with pytest.raises(Refused, match=re.escape("in gateway.serviceAccount.name.")):
        render({"gateway": {"serviceAccount": {"create": False}}})


def test_services_have_the_families_of_the_cluster(full: Rendering, default: Rendering) -> None:
    services = dict(full.of("Service"))
    metrics = services.pop("notifyx-metrics")["spec"]
    assert "ipFamilyPolicy" not in metrics, "with both, each pod would be scraped twice"
    for one in services.values():
        assert (one["spec"]["ipFamilyPolicy"], one["spec"]["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
    assert not [one for one in default.of("Service").values() if "ipFamilyPolicy" in one["spec"]]
    hosts = [line for line in (ROOT / "images/Dockerfile").read_text().splitlines() if "NOTIFYX_HOST=" in line]
    assert [line.strip() for line in hosts] == ["NOTIFYX_HOST=::"]
    assert not [part for part, pod in full.pods.items() if "0.0.0.0" in str(pod.spec)]
    scraped = full.of("ConfigMap")["notifyx-prometheus"]["data"]["prometheus.yaml"]
    assert {kind for kind in ("A", "AAAA") if f"type: {kind}," in scraped} == {"A", "AAAA"}


def test_a_service_monitor_selects_every_pod_with_metrics(full: Rendering) -> None:
    (monitor,) = full.of("ServiceMonitor").values()
    assert monitor["metadata"]["labels"]["prometheus"] == "mine"
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [one for one in full.of("Service").values() if wanted <= one["metadata"]["labels"].items()]
    assert [port["name"] for port in service["spec"]["ports"]] == [monitor["spec"]["endpoints"][0]["port"]]
    selected = {part for part, pod in full.pods.items() if service["spec"]["selector"].items() <= pod.labels.items()}
    assert selected == set(OURS)
    with pytest.raises(Refused, match="counted twice"):
        render({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}})


def test_objects_of_the_users_own_are_rendered(full: Rendering) -> None:
    assert "notifyx-mine" in full.of("ConfigMap")


def test_openshift_admits_every_pod_that_names_no_account(default: Rendering) -> None:
    values = {"podSecurityContext": NUMBERS, "postgres": {"podSecurityContext": NUMBERS}, **OPTIONAL}
    found = render(values)
    assert set(found.pods) >= set(PARTS)
    assert {part: problems(pod.spec) for part, pod in found.pods.items() if problems(pod.spec)} == {}
    assert all("runAsUser" not in str(pod.spec) for pod in found.pods.values())
    for part, pod in default.pods.items():  # the rule is none that admits everything
        assert any("runAsUser" in one for one in problems(pod.spec)), part


def test_security_contexts_can_be_left_out() -> None:
    nothing = render(
        {"podSecurityContext": None, "containerSecurityContext": None, "postgres": {"podSecurityContext": None}}
    )
    for pod in nothing.pods.values():
        assert "securityContext" not in pod.spec
        assert "securityContext" not in pod.container
    writable = render({"containerSecurityContext": {"readOnlyRootFilesystem": None}})
    for pod in writable.pods.values():
        assert set(pod.container["securityContext"]) == {"allowPrivilegeEscalation", "capabilities"}


def test_authorities_reach_who_verifies_by_them() -> None:
    databases = {part: {"existingSecret": f"{part}-database"} for part in ("auth", "store")}
    values = {
        "database": {**databases, "existingCaSecret": "database-ca"},
        "prometheus": {"url": "https://prometheus.example.com", "existingCaSecret": "prometheus-ca"},
        "smtp": {"host": "smtp.example.com", "existingCaSecret": "smtp-ca"},
        "memcached": {"servers": ["cache:11211"], "tls": {"enabled": True, "existingCaSecret": "memcached-ca"}},
        "bus": {"kind": "nats", "nats": {"url": "tls://nats:4222", "existingCaSecret": "bus-ca"}},
        "backup": {"enabled": True, "s3": {"bucket": "backups"}, "serviceAccountName": "may-write"},
    }
    pods = render(values).pods
    files = {"database": "PGSSLROOTCERT"}
    files |= {what: f"NOTIFYX_{what.upper()}_CA_FILE" for what in ("prometheus", "smtp", "memcached", "bus")}
    trusting = {
        "database": {"auth", "store", "backup"},
        "prometheus": {"gateway", "operator"},
        "smtp": {"mailer"},
        "memcached": {"gateway"},
        "bus": {"store"},
    }
    for what, variable in files.items():
        assert {part for part, pod in pods.items() if variable in pod.env} == trusting[what]
        for part in trusting[what]:
            pod = pods[part]
            file = Path(pod.env[variable]["value"])
            (mount,) = [one for one in pod.container["volumeMounts"] if one["mountPath"] == str(file.parent)]
            (volume,) = [one for one in pod.spec["volumes"] if one["name"] == mount["name"]]
            items = [{"key": "ca.crt", "path": file.name}]
            assert volume["secret"] == {"secretName": f"{what}-ca", "items": items}
    for part in trusting["database"]:
        assert pods[part].env["PGSSLMODE"]["value"] == "verify-full"
    assert "NOTIFYX_BACKUP_S3_ACCESS_KEY" not in pods["backup"].env
    built_in = render({"database": {"existingCaSecret": "database-ca"}}).pods
    assert not [part for part, pod in built_in.items() if "PGSSLMODE" in pod.env]
    mixed = render({"database": {"store": {"existingSecret": "mine"}, "existingCaSecret": "database-ca"}}).pods
    assert [part for part in SERVICES if "PGSSLMODE" in mixed[part].env] == ["store"]


def test_postgresql_is_probed_without_a_shell(default: Rendering) -> None:
    container = default.pods["postgres"].container
    assert container["readinessProbe"]["tcpSocket"] == {"port": "postgres"}
    command = container["livenessProbe"]["exec"]["command"]
    assert command[0] == "pg_isready"
    assert "--host=/tmp" in command
