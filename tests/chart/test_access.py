"""Who may reach whom, by network and by the API server: what is needed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from chart.rendered import ERRANDS, OURS, SERVICES, Pod, Rendering, render

COMMON = {"app.kubernetes.io/name": "notifyx", "app.kubernetes.io/instance": "notifyx"}

# Who is reached, on which port, by whom.
WAYS = {
    ("gateway", 4000): {"anyone"},
    ("gateway", 4001): {"anyone"},
    ("auth", 4000): {"gateway"},
    ("store", 4000): {"gateway", "operator"},
    ("mailer", 4000): {"gateway", "mailer"},
    ("memcached", 11211): {"gateway"},
    ("postgres", 5432): {"auth", "store", "backup"},
    ("mailbox", 1025): {"mailer"},
    ("prometheus", 9090): {"gateway", "operator"},
    **{(component, 9090): {"anyone"} for component in OURS},
}


def selects(selector: dict[str, Any], pod: Pod) -> bool:
    assert set(selector) <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= pod.labels.items())


def of_pod(rendering: Rendering, pod: Pod) -> list[dict[str, Any]]:
    """The policies of a pod, as their specs."""
    policies = [policy["spec"] for policy in rendering.of("NetworkPolicy").values()]
    return [policy for policy in policies if selects(policy["podSelector"], pod)]


def ways(rendering: Rendering, direction: str) -> set[tuple[str, str, int]]:
    """Every (component, peer, port) that a direction's rules name."""
    found = set()
    key = {"ingress": "from", "egress": "to"}[direction]
    for pod in rendering.pods.values():
        for policy in of_pod(rendering, pod):
            for rule in policy.get(direction) or []:
                for port in rule.get("ports", []):
                    for peer in rule.get(key, [{}]):
                        found |= {(pod.component, name, port["port"]) for name in peers(rendering, peer)}
    return found


def peers(rendering: Rendering, peer: dict[str, Any]) -> list[str]:
    if set(peer) == {"podSelector"}:
        return [pod.component for pod in rendering.pods.values() if selects(peer["podSelector"], pod)]
    return ["anyone" if not peer else "named"]


def test_no_policy_has_an_empty_list(everything: Rendering) -> None:
    """The API server drops it: each upgrade would then change a policy that is the same."""
    policies = everything.of("NetworkPolicy")
    assert policies
    assert [name for name, policy in policies.items() if [] in policy["spec"].values()] == []
    assert all("Egress" in policy["spec"]["policyTypes"] for policy in policies.values())


def test_who_is_reached_by_whom(default: Rendering, everything: Rendering) -> None:
    wanted = {(component, peer, port) for (component, port), who in WAYS.items() for peer in who}
    assert ways(default, "ingress") == {way for way in wanted if not {"mailbox", "prometheus", "backup"} & set(way)}
    opened = {(component, "named" if peer == "anyone" else peer, port) for component, peer, port in wanted}
    door = {("gateway", peer, port) for peer in ("test", "operator", "gateway") for port in (4000, 4001)}
    dashboard = {(component, peer, 9090) for component in OURS for peer in ("gateway", "prometheus")}
    assert ways(everything, "ingress") == opened | door | dashboard


def test_who_may_go_where_may_come_in_there(rendering: Rendering) -> None:
    """Both ends of a way have to allow it."""
    came = ways(rendering, "ingress")
    for component, peer, port in ways(rendering, "egress"):
        if peer not in ("anyone", "named"):
            assert {(peer, component, port), (peer, "anyone", port)} & came
    for component, peer, port in came:
        # Who is admitted to the page may use the socket too; the operator's metrics are as open as the others'.
        unused = (component, port) in {("gateway", 4001), ("operator", 9090)}
        if peer not in ("anyone", "named", "test") and not unused:
            assert (peer, component, port) in ways(rendering, "egress")


def test_what_leaves_the_release(renderings: dict[str, Rendering]) -> None:
    def outside(name: str) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for component, peer, port in ways(renderings[name], "egress"):
            if peer in ("anyone", "named"):
                found.setdefault(component, set()).add(port)
        return found

    api = {53, 443, 6443}
    assert outside("default") == {"gateway": api, "mailer": api, "operator": api, "auth": {53}, "store": {53}}
    assert outside("everything") == {
        **{component: {53, 443} for component in ("gateway", "mailer", "operator")},
        **{component: {53} for component in ("auth", "store", "prometheus", "backup")},
    }
    assert outside("external") == {
        "gateway": api | {9091, 11211, 11222},
        "mailer": api | {465},
        "operator": api | {9091},
        "auth": {53, 6432},
        "store": {53, 6432, 4222, 4223},
        "backup": {53, 6432, 9000},
    }
    assert outside("minimal") == {}


def test_every_pod_is_closed_unless_opened(renderings: dict[str, Rendering]) -> None:
    for name in ("default", "everything", "external"):
        rendering = renderings[name]
        # The uninstall job comes after the policies.
        pods = {component: pod for component, pod in rendering.pods.items() if component != "uninstall"}
        for component, pod in pods.items():
            policies = of_pod(rendering, pod)
            # The default, and its own.
            assert len(policies) == 2, component
            assert all(set(policy["policyTypes"]) == {"Ingress", "Egress"} for policy in policies)
        closed = rendering.of("NetworkPolicy")["notifyx-default-deny"]["spec"]
        assert closed == {"podSelector": {"matchLabels": COMMON}, "policyTypes": ["Ingress", "Egress"]}
        assert len(rendering.of("NetworkPolicy")) == len(pods) + 1, "no policy without its pods"
    assert not renderings["minimal"].of("NetworkPolicy")


def test_policies_open_ports_that_there_are(rendering: Rendering) -> None:
    for component, _, port in ways(rendering, "ingress"):
        assert port in rendering.pods[component].ports.values()


def test_services_lead_to_pods(rendering: Rendering) -> None:
    services = dict(rendering.of("Service"))
    metrics = services.pop("notifyx-metrics", None)
    if metrics is not None:
        chosen = {
            pod.component
            for pod in rendering.pods.values()
            if metrics["spec"]["selector"].items() <= pod.labels.items()
        }
        assert chosen == set(OURS)
    for name, service in services.items():
        selector = {"matchLabels": service["spec"]["selector"]}
        (pod,) = [pod for pod in rendering.pods.values() if selects(selector, pod)]
        assert name == f"notifyx-{pod.component}"
        for port in service["spec"]["ports"]:
            assert port["port"] == pod.ports[port["targetPort"]]
            assert port["name"] == port["targetPort"]
    with_service = {*rendering.pods} - {"operator", "backup", *ERRANDS}
    assert {name.removeprefix("notifyx-") for name in services} == with_service


def test_workloads_own_their_pods_alone(rendering: Rendering) -> None:
    for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        for name, one in rendering.of(kind).items():
            chosen = [pod.component for pod in rendering.pods.values() if selects(one["spec"]["selector"], pod)]
            assert chosen == [name.removeprefix("notifyx-")]


def test_the_ways_in_lead_to_the_front_door_alone(everything: Rendering) -> None:
    ports = {port["name"]: port["port"] for port in everything.of("Service")["notifyx-gateway"]["spec"]["ports"]}
    (ingress,) = everything.of("Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "notifyx.example.com"
    paths = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert paths == {
        "/socket/websocket": {"name": "notifyx-gateway", "port": {"name": "socket"}},
        "/": {"name": "notifyx-gateway", "port": {"name": "http"}},
    }
    (route,) = everything.of("HTTPRoute").values()
    found = {
        match["path"]["value"]: backend
        for one in route["spec"]["rules"]
        for match in one["matches"]
        for backend in one["backendRefs"]
    }
    assert found == {
        "/socket/websocket": {"name": "notifyx-gateway", "port": ports["socket"]},
        "/": {"name": "notifyx-gateway", "port": ports["http"]},
    }
    assert all(one["timeouts"] == {"request": "0s"} for one in route["spec"]["rules"])


def test_without_a_host_the_ingress_is_for_every_host() -> None:
    (ingress,) = render({"ingress": {"enabled": True}}).of("Ingress").values()
    assert set(ingress["spec"]) == {"rules"}
    assert set(ingress["spec"]["rules"][0]) == {"http"}


def granted(rendering: Rendering, component: str) -> set[tuple[str, str, str, str]]:
    """What a component's account may do: (namespace, group, resource, verb)."""
    found = set()
    for binding in [one for one in rendering.objects if one["kind"] in ("RoleBinding", "ClusterRoleBinding")]:
        (subject,) = binding["subjects"]
        if subject["name"] != f"notifyx-{component}":
            continue
        assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "somewhere")
        where = binding["metadata"].get("namespace", "everywhere")
        role = next(
            one
            for one in rendering.objects
            if one["kind"] == binding["roleRef"]["kind"]
            and one["metadata"]["name"] == binding["roleRef"]["name"]
            and one["metadata"].get("namespace", "everywhere") == where
        )
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                found |= {(where, group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    return found


def allowed(where: str, rights: dict[str, str]) -> set[tuple[str, str, str, str]]:
    """Short for a set of rights: ``{"group/resource": "verb verb"}``; a subresource follows a dot."""
    found = set()
    for name, verbs in rights.items():
        group, _, resource = name.partition("/")
        found |= {(where, group, resource.replace(".", "/"), verb) for verb in verbs.split()}
    return found


SEES = {"discovery.k8s.io/endpointslices": "list watch"}
HOME = {
    **SEES,
    "notifyx.dev/notifyxplatforms": "list watch create patch",
    "notifyx.dev/notifyxplatforms.status": "patch",
    "events.k8s.io/events": "create",
    "apps/deployments": "get list watch",
    "apps/deployments.scale": "patch",
    "autoscaling/horizontalpodautoscalers": "list watch",
    "/pods": "list patch",
    "coordination.k8s.io/leases": "create get patch",
}
TOPICS = {
    "notifyx.dev/notifyxtopics": "list watch patch",
    "notifyx.dev/notifyxtopics.status": "patch",
    "events.k8s.io/events": "create",
}


def test_what_each_may_ask_the_api_server(default: Rendering, external: Rendering) -> None:
    assert granted(default, "mailer") == allowed("somewhere", SEES)
    reviews = allowed("everywhere", {"authentication.k8s.io/tokenreviews": "create"})
    assert granted(default, "gateway") == allowed("somewhere", SEES) | reviews
    assert granted(external, "gateway") == allowed("somewhere", SEES), "it accepts no ServiceAccounts"
    for component in ("auth", "store"):
        assert granted(default, component) == set()
    left = {"notifyx.dev/notifyxtopics": "list patch", "notifyx.dev/notifyxtopics.status": "patch"}
    assert granted(default, "uninstall") == allowed("everywhere", left)
    assert granted(external, "uninstall") == allowed("team-a", left) | allowed("team-b", left)
    everywhere = {**TOPICS, "apiextensions.k8s.io/customresourcedefinitions": "list watch"}
    everywhere |= {"coordination.k8s.io/leases": "list", "notifyx.dev/notifyxplatforms": "list"}
    assert granted(default, "operator") == allowed("somewhere", HOME) | allowed("everywhere", everywhere)
    assert granted(external, "operator") == (
        allowed("somewhere", HOME) | allowed("team-a", TOPICS) | allowed("team-b", TOPICS)
    )


def test_with_namespaces_of_its_own_nothing_is_granted_cluster_wide(external: Rendering) -> None:
    assert all(added_to(role) for role in external.of("ClusterRole").values()), "a role that nobody is bound to"
    assert not external.of("ClusterRoleBinding")


ADDED_TO = "rbac.authorization.k8s.io/aggregate-to-"


def added_to(role: dict[str, Any]) -> set[str]:
    """The roles of Kubernetes to which a ClusterRole is added."""
    labels = role["metadata"]["labels"]
    return {label.removeprefix(ADDED_TO) for label, value in labels.items() if label.startswith(ADDED_TO) if value}


def test_who_may_view_or_edit_a_namespace_may_do_so_with_topics(default: Rendering) -> None:
    rights: dict[str, set[str]] = {"view": set(), "edit": set(), "admin": set()}
    for role in default.of("ClusterRole").values():
        for name in added_to(role):
            for rule in role["rules"]:
                assert rule["apiGroups"] == ["notifyx.dev"]
                rights[name] |= {f"{verb} {resource}" for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights["edit"] == rights["admin"]
    sees = {f"{verb} {kind}" for verb in ("get", "list", "watch") for kind in ("notifyxtopics", "notifyxplatforms")} | {
        "get notifyxtopics/status",
        "get notifyxtopics/scale",
        "get notifyxplatforms/status",
    }
    assert rights["view"] == sees
    changes = {f"{verb} notifyxtopics" for verb in ("create", "update", "patch", "delete", "deletecollection")}
    assert rights["edit"] == sees | changes | {"update notifyxtopics/scale", "patch notifyxtopics/scale"}
    without = render({"crds": {"roles": False}})
    assert not [role for role in without.of("ClusterRole").values() if added_to(role)]


def test_the_operator_scales_these_deployments_alone(default: Rendering) -> None:
    role = default.of("Role")["notifyx-operator"]
    (rule,) = [rule for rule in role["rules"] if rule["resources"] == ["deployments/scale"]]
    assert set(rule["resourceNames"]) == {f"notifyx-{component}" for component in SERVICES}


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_no_right_is_unbounded(rendering: Rendering, kind: str) -> None:
    for role in (one for one in rendering.objects if one["kind"] == kind):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]
