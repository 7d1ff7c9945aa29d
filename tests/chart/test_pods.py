"""What every pod has to be: without rights, replaced without a gap, and of one name each."""

from __future__ import annotations

import pytest

from chart.rendered import ERRANDS, OURS, SERVICES, Rendering, render

BUILT_IN = {"postgres", "memcached"}
TOKENS = {"gateway", "mailer", "operator", "uninstall"}


def test_which_pods_there_are(renderings: dict[str, Rendering]) -> None:
    found = {name: set(one.pods) for name, one in renderings.items()}
    assert found["default"] == {*OURS, *BUILT_IN, *ERRANDS}
    assert found["everything"] == {*OURS, *BUILT_IN, *ERRANDS, "mailbox", "prometheus", "backup"}
    assert found["external"] == {*OURS, *ERRANDS, "backup"}
    assert found["minimal"] == {*OURS, "postgres", "uninstall"}


def test_every_pod_fits_the_restricted_policy(rendering: Rendering) -> None:
    for component, pod in rendering.pods.items():
        account = 999 if component == "postgres" else 10001
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True, component
        assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (account,) * 3, component
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, component
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, component
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod.spec), component
        kinds = {key for volume in pod.spec.get("volumes", []) for key in volume if key != "name"}
        claims = {"persistentVolumeClaim"} if component == "backup" else set()
        assert kinds <= {"emptyDir", "configMap", "secret", "projected"} | claims, component


def test_names_labels_environment_and_accounts_can_be_set() -> None:
    secret = {"name": "PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/store"}
    store = {"podLabels": {"team": "data"}, "extraEnv": [secret], "serviceAccount": {"annotations": role}}
    found = render({"fullnameOverride": "bell", "podLabels": {"team": "web", "cost": "12"}, "store": store})
    assert {pod.labels["team"] for component, pod in found.pods.items() if component in OURS} == {"web", "data"}
    assert (found.pods["store"].labels["team"], found.pods["postgres"].labels["cost"]) == ("data", "12")
    assert found.pods["store"].env["PROXY"] == secret
    assert "PROXY" not in found.pods["gateway"].env
    accounts = found.of("ServiceAccount")
    assert accounts["bell-store"]["metadata"]["annotations"] == role
    assert "annotations" not in accounts["bell-gateway"]["metadata"]
    assert not [one["metadata"]["name"] for one in found.objects if "notifyx-" in one["metadata"]["name"]]
    for service in SERVICES:
        selector = found.of("Service")[f"bell-{service}"]["spec"]["selector"]
        assert selector.items() <= found.pods[service].labels.items()
        assert "team" not in found.of("Deployment")[f"bell-{service}"]["spec"]["selector"]["matchLabels"]


def test_postgres_keeps_the_mode_of_its_data(default: Rendering) -> None:
    assert default.pods["postgres"].spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_only_who_asks_the_api_server_has_a_token(rendering: Rendering) -> None:
    for component, pod in rendering.pods.items():
        assert pod.spec["automountServiceAccountToken"] is (component in TOKENS), component
        assert pod.spec["enableServiceLinks"] is False, component
    accounts = rendering.of("ServiceAccount")
    owners = (*OURS, "uninstall")
    assert set(accounts) == {f"notifyx-{component}" for component in owners}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for component in owners:
        assert rendering.pods[component].spec["serviceAccountName"] == f"notifyx-{component}"


def test_every_volume_is_there_and_used(rendering: Rendering) -> None:
    for component, pod in rendering.pods.items():
        volumes = [volume["name"] for volume in pod.spec.get("volumes", [])]
        if (stateful := rendering.of("StatefulSet").get(f"notifyx-{component}")) is not None:
            claims = stateful["spec"].get("volumeClaimTemplates", [])
            volumes += [claim["metadata"]["name"] for claim in claims]
        mounts = [mount["name"] for mount in pod.container.get("volumeMounts", [])]
        paths = [mount["mountPath"] for mount in pod.container.get("volumeMounts", [])]
        assert sorted(mounts) == sorted(volumes), component
        assert len(set(paths)) == len(paths), component


def test_the_operator_says_how_many_of_each_service_there_are(rendering: Rendering) -> None:
    deployments = rendering.of("Deployment")
    for component in SERVICES:
        spec = deployments[f"notifyx-{component}"]["spec"]
        assert "replicas" not in spec, component
        assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    operator = deployments["notifyx-operator"]["spec"]
    assert (operator["replicas"], operator["strategy"]) == (1, {"type": "Recreate"})


def test_services_spread_and_survive_the_drain_of_a_node(rendering: Rendering) -> None:
    budgets = rendering.of("PodDisruptionBudget")
    assert set(budgets) == {f"notifyx-{component}" for component in SERVICES}
    for component in SERVICES:
        pod = rendering.pods[component]
        (spread,) = pod.spec["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
        assert spread["labelSelector"]["matchLabels"].items() <= pod.labels.items()
        budget = budgets[f"notifyx-{component}"]["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@pytest.mark.parametrize("pause", [0, 7])
def test_a_pod_has_the_time_that_its_drain_takes(pause: int) -> None:
    drains = dict(zip(OURS, (60, 20, 20, 45, 25), strict=True))
    values = {"preStopSeconds": pause, **{component: {"drainSeconds": drain} for component, drain in drains.items()}}
    pods = render(values).pods
    for component, drain in drains.items():
        pod = pods[component]
        assert pod.env["NOTIFYX_DRAIN_SECONDS"]["value"] == str(drain)
        assert pod.spec["terminationGracePeriodSeconds"] >= drain + pause + 5, component
    for component in SERVICES:
        expected = {"preStop": {"sleep": {"seconds": pause}}} if pause else None
        assert pods[component].container.get("lifecycle") == expected, component


def test_probes_ask_ports_that_there_are(rendering: Rendering) -> None:
    for component, pod in rendering.pods.items():
        probes = {name: pod.container[name] for name in pod.container if name.endswith("Probe")}
        if component in (*ERRANDS, "backup"):
            assert not probes
            continue
        assert "readinessProbe" in probes, component
        for probe in probes.values():
            for way in ("httpGet", "tcpSocket"):
                if way in probe:
                    assert probe[way]["port"] in pod.ports, component
    for component in SERVICES:
        container = rendering.pods[component].container
        assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_ports_have_the_names_that_everybody_knows(default: Rendering) -> None:
    usual = {"http": 4000, "metrics": 9090}
    expected = {**dict.fromkeys(SERVICES, usual), "gateway": {**usual, "socket": 4001}}
    expected["operator"] = {"health": 8080, "metrics": 9090}
    assert {component: default.pods[component].ports for component in OURS} == expected


def test_every_container_says_what_it_needs(rendering: Rendering) -> None:
    for component, pod in rendering.pods.items():
        resources = pod.container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}, component
        assert "memory" in resources["limits"], component


def test_images(external: Rendering) -> None:
    assert external.pods["auth"].container["image"].startswith("registry.example.com/team/notifyx-auth:")
    assert external.pods["auth"].spec["imagePullSecrets"] == [{"name": "registry"}]
    digest = "sha256:" + "0" * 64
    pods = render(
        {
            "image": {"registry": "registry.example.com", "tag": "v2"},
            "gateway": {"image": {"registry": "other.example.com", "digest": digest}},
            "auth": {"image": {"repository": "localhost/notifyx-auth", "tag": "v3"}},
            "store": {"image": {"repository": "team/store"}},
            "postgres": {"image": {"repository": "localhost:5000/postgres"}},
        }
    ).pods
    assert {component: pods[component].container["image"] for component in (*SERVICES, *BUILT_IN)} == {
        "gateway": f"other.example.com/notifyx-gateway@{digest}",
        "auth": "localhost/notifyx-auth:v3",
        "store": "registry.example.com/team/store:v2",
        "mailer": "registry.example.com/notifyx-mailer:v2",
        "postgres": "localhost:5000/postgres:18",
        "memcached": "docker.io/library/memcached:1.6",
    }


def test_what_is_said_for_every_pod(everything: Rendering) -> None:
    pods = {component: pod for component, pod in everything.pods.items() if component not in ERRANDS}
    who = {component: pod.annotations.get("example.com/who") for component, pod in pods.items()}
    assert who.pop("gateway") == "the gateway"
    assert set(who.values()) == {"everybody"}


def test_an_upgrade_replaces_only_what_changed(default: Rendering) -> None:
    again = render({"store": {"settings": {"feedPoll": 0.5}}, "networkPolicy": {"metricsFrom": [{"podSelector": {}}]}})
    changed = [component for component, pod in again.pods.items() if pod != default.pods[component]]
    assert changed == ["store"]
    moved = render({"smtp": {"host": "smtp.example.com", "existingSecret": "login"}})
    assert moved.pods["mailer"].annotations != default.pods["mailer"].annotations


def test_what_is_given_for_one_part(default: Rendering) -> None:
    own = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    }
    pods = render({"nodeSelector": {"pool": "common"}, "priorityClassName": "low", "store": own}).pods
    assert {key: pods["store"].spec[key] for key in own} == own
    assert pods["postgres"].spec["nodeSelector"] == {"pool": "common"}
    assert pods["auth"].spec["priorityClassName"] == "low"
    assert "nodeSelector" not in default.pods["store"].spec
