"""The Tiltfile does what it says, read by a Starlark interpreter with Tilt's built-ins at hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlark import StarlarkError

from notifyx_common.contracts.callers import CLUSTER_TOKENS
from unit.tilt.tilt_api import MANUAL, WORKLOADS, Tilt, TiltError

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Tiltfile").read_text()
SERVICES = ("gateway", "auth", "store", "mailer", "operator", "mailbox")
PORTS = {"gateway": {4000, 4001}, "mailbox": {8025}, "postgres": {5432}}


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    read = Tilt(ROOT)
    read.run(TEXT)
    return read


def workload(tilt: Tilt, name: str) -> dict[str, Any]:
    (found,) = [
        one for one in tilt.objects if one["metadata"]["name"] == f"notifyx-{name}" and one["kind"] in WORKLOADS
    ]
    return found


def container(tilt: Tilt, name: str) -> dict[str, Any]:
    (found,) = workload(tilt, name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_every_workload_of_the_chart_has_a_resource(tilt: Tilt) -> None:
    configured = {one["workload"]: name for name, one in tilt.resources.items() if one.get("workload")}
    assert configured == {f"notifyx-{name}": name for name in (*SERVICES, "postgres", "memcached")}


def test_no_test_of_helm_and_no_hook_is_installed(tilt: Tilt) -> None:
    assert [one for one in tilt.objects if "helm.sh/hook" in one["metadata"].get("annotations", {})] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_change_of_the_source_reaches_the_process(tilt: Tilt, name: str) -> None:
    image = tilt.images[f"notifyx-{name}"]
    steps = image["live_update"]
    synced = {step["to"]: Path(step["files"][0]) for step in steps if step["kind"] == "sync"}
    packages = {"notifyx_topics", "notifyx_common", f"notifyx_{name}"} | ({"notifyx"} if name == "operator" else set())
    assert set(synced) == {f"/tmp/live/{package}" for package in packages}
    for target, folder in synced.items():
        assert (folder / "__init__.py").is_file()
        assert folder.name == Path(target).name
    assert steps[-1] == {"kind": "run", "cmd": "kill -HUP 1"}
    assert image["entrypoint"] == [
        "python3",
        "-c",
        (ROOT / "tilt/reload.py").read_text(),
        "/tmp/live",
        f"notifyx-{name}",
    ]
    assert (ROOT / "tilt/reload.py").resolve() in tilt.watched


@pytest.mark.parametrize("name", SERVICES)
def test_the_image_is_the_one_that_the_chart_runs(tilt: Tilt, name: str) -> None:
    used = container(tilt, name)
    assert used["image"].rsplit(":", 1)[0] == f"notifyx-{name}"
    # Where changes go; the root file system stays read-only.
    assert {"name": "tmp", "mountPath": "/tmp"} in used["volumeMounts"]
    assert used["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_the_build_has_all_that_its_dockerfile_copies(tilt: Tilt, name: str) -> None:
    image = tilt.images[f"notifyx-{name}"]
    stages = _stages(image["dockerfile"].read_text())
    assert image["target"] in stages
    copied = _copied(stages, image["target"])
    assert "services/common" in copied
    for path in copied:
        assert any((ROOT / path).is_relative_to(one) for one in image["within"]), path
    # Of the code, nothing but what goes into this image: another service's change builds nothing anew.
    folders = {one.relative_to(ROOT).as_posix() for one in image["within"] if one.is_dir()}
    assert folders == {path for path in copied if (ROOT / path).is_dir()}
    assert f'ENTRYPOINT ["notifyx-{name}"]' in image["dockerfile"].read_text()


def _stages(dockerfile: str) -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for line in dockerfile.splitlines():
        if found := re.match(r"FROM (\S+) AS (\S+)", line):
            stages[found[2]] = [line]
        elif stages:
            stages[next(reversed(stages))].append(line)
    return stages


def _copied(stages: dict[str, list[str]], name: str) -> set[str]:
    """What is copied from the tree, in a stage and those it is made of."""
    if name not in stages:
        return set()
    copied = _copied(stages, stages[name][0].split()[1])
    for words in (line.split() for line in stages[name] if line.startswith("COPY ")):
        if words[1].startswith("--from="):
            copied |= _copied(stages, words[1].removeprefix("--from="))
        else:
            copied |= {path.rstrip("/") for path in words[1:-1]}
    return copied


def test_a_change_of_the_dependencies_builds_anew(tilt: Tilt) -> None:
    for image in tilt.images.values():
        (files,) = [step["files"] for step in image["live_update"] if step["kind"] == "fall_back_on"]
        names = {Path(one).relative_to(ROOT).as_posix() for one in files}
        members = {one.relative_to(ROOT).as_posix() for one in ROOT.glob("services/*/pyproject.toml")}
        assert names == {"pyproject.toml", "uv.lock", "images/install.sh", "operator/pyproject.toml"} | members


@pytest.mark.parametrize("name", PORTS)
def test_forwarded_ports_are_the_containers(tilt: Tilt, name: str) -> None:
    forwarded = {one["container"] for one in tilt.resources[name]["port_forwards"]}
    assert forwarded == PORTS[name]
    assert forwarded <= {port["containerPort"] for port in container(tilt, name)["ports"]}
    everything = [one["local"] for each in PORTS for one in tilt.resources[each]["port_forwards"]]
    assert len(everything) == len(set(everything))


def test_the_definitions_outlive_a_session_and_come_once(tilt: Tilt) -> None:
    crds = [one for one in tilt.objects if one["kind"] == "CustomResourceDefinition"]
    assert {one["metadata"]["name"] for one in crds} == {"notifyxtopics.notifyx.dev", "notifyxplatforms.notifyx.dev"}
    assert all(one["metadata"]["annotations"]["tilt.dev/down-policy"] == "keep" for one in crds)
    assert tilt.resources["definitions"]["objects"] == crds


def test_the_topics_of_the_examples_are_there_with_their_namespaces(tilt: Tilt) -> None:
    resource = tilt.resources["topics"]
    names = {one["metadata"]["name"] for one in resource["objects"] if one["kind"] == "NotifyxTopic"}
    examples = [
        one for file in (ROOT / "examples/topics").glob("*.yaml") for one in yaml.safe_load_all(file.read_text())
    ]
    assert names == {one["metadata"]["name"] for one in examples}
    namespaces = {one["metadata"]["name"] for one in resource["objects"] if one["kind"] == "Namespace"}
    assert namespaces == {one["metadata"]["namespace"] for one in examples}
    assert "definitions" in resource["resource_deps"]


def test_every_secret_the_pods_read_is_there_and_long_enough(tilt: Tilt) -> None:
    (secret,) = [one for one in tilt.objects if one["kind"] == "Secret"]
    read = set(re.findall(r"'secretKeyRef': (\{[^}]*\})", str(tilt.objects)))
    wanted = [yaml.safe_load(one) for one in read]
    assert {one["name"] for one in wanted} == {secret["metadata"]["name"]}
    assert {one["key"] for one in wanted if not one.get("optional")} <= secret["stringData"].keys()
    # What the chart asks of a Secret of the user's.
    least = {"auth-secret": 32, "unsubscribe-secret": 16, "admin-password": 8}
    least |= {f"token-{caller}-{called}": 16 for caller, called in CLUSTER_TOKENS}
    assert {key for key, size in least.items() if len(secret["stringData"][key]) < size} == set()


def test_buttons_wait_for_a_click_and_their_scripts_exist(tilt: Tilt) -> None:
    buttons = {name: one for name, one in tilt.resources.items() if one["kind"] == "local"}
    assert buttons.keys() == {"front-door", "publish", "tests", "checks"}
    makefile = (ROOT / "Makefile").read_text()
    for one in buttons.values():
        assert (one["auto_init"], one["trigger_mode"]) == (False, MANUAL)
        words = one["cmd"].split() if isinstance(one["cmd"], str) else one["cmd"]
        if words[0] == "make":
            assert f"\n{words[1]}:" in makefile
        else:
            script = (ROOT / words[1]).read_text()
            named = re.findall(r"(?:charts|examples)/[\w./-]+", script)
            assert [path for path in named if not (ROOT / path).is_file()] == []
            assert named


def test_the_scripts_know_the_administrator(tilt: Tilt) -> None:
    (secret,) = [one for one in tilt.objects if one["kind"] == "Secret"]
    email = next(one["value"] for one in container(tilt, "auth")["env"] if one["name"] == "NOTIFYX_ADMIN_EMAIL")
    for script in ("tilt/publish.sh", "tilt/front-door.sh"):
        text = (ROOT / script).read_text()
        assert secret["stringData"]["admin-password"] in text
        assert email in text


def test_only_the_named_resources_are_started(tilt: Tilt) -> None:
    arguments = {"resources": ["gateway"], "allow-context": "dev", "registry": "registry.local:5000"}
    read = Tilt(ROOT, arguments=arguments, rendered=tilt.rendered)
    read.run(TEXT)
    assert (read.enabled, read.contexts, read.registry) == (["gateway"], ["dev"], "registry.local:5000")


def test_the_topics_go_before_the_operator_does(tilt: Tilt) -> None:
    assert not any("kubectl delete" in command for command in tilt.commands)
    down = Tilt(ROOT, subcommand="down", rendered=tilt.rendered)
    down.run(TEXT)
    assert any("kubectl delete" in command and "examples/topics" in command for command in down.commands)


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("labels=['topics'])", "label=['topics'])", "k8s_resource: got an unexpected keyword argument 'label'"),
        (
            "resource_deps=['postgres'], labels",
            "resource_deps='postgres', labels",
            "resource_deps cannot be 'postgres'",
        ),
        ("k8s_resource('notifyx-auth'", "k8s_resource('notifyx-login'", "there is no workload notifyx-login"),
        ("dockerfile='images/Dockerfile'", "dockerfile='Dockerfile'", "there is no Dockerfile"),
        ("'notifyx_mailer')", "'notifyx_mail')", "sync: there is no services/mailer/src/notifyx_mail"),
        ("only=LOCKED + [folder for folder, _ in sources]", "only=LOCKED", "is not a child of any watched filepaths"),
        ("resource_deps=['mailbox']", "resource_deps=['smtp']", "waits for ['smtp'], which are no resources"),
        ("watch_file('charts", "watch_files('charts", "Variable `watch_files` not found"),
        ("':customresourcedefinition'", "':crd'", "notifyxplatforms.notifyx.dev:crd is 0 objects"),
        ("new_name='store'", "new_name='auth'", "there are two resources auth"),
        ("    k8s_yaml(file)\n", "    k8s_yaml([file, file])\n", "is there twice"),
    ],
)
def test_a_mistake_does_not_pass(tilt: Tilt, right: str, wrong: str, sentence: str) -> None:
    assert right in TEXT
    with pytest.raises((TiltError, StarlarkError)) as caught:
        Tilt(ROOT, rendered=tilt.rendered).run(TEXT.replace(right, wrong, 1))
    assert sentence in str(caught.value)
