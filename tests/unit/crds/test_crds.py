"""The resource definitions say what the operator's models say: one of the two alone would be a trap.

No API server is asked here; what one refuses is tried in a real cluster, with the files of ``tests/cluster/data``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from notifyx_common.contracts.store.topics import TopicStatus
from notifyx_operator.scaling.bounds import Decision, InvalidPlatform, PlatformSpec, Replicas, read_spec
from notifyx_operator.scaling.platform_status import ServiceState, platform_status
from notifyx_operator.topics.claims import read_claim
from notifyx_operator.topics.status import ReconcileOutcome, status_fields
from notifyx_topics.resource import DemandSpec, InvalidResource, TopicSpec, parse

ROOT = Path(__file__).parents[3]
FILES = {
    "NotifyxTopic": ROOT / "crds" / "notifyx.dev_notifyxtopics.yaml",
    "NotifyxPlatform": ROOT / "crds" / "notifyx.dev_notifyxplatforms.yaml",
}
CRDS: dict[str, dict[str, Any]] = {kind: yaml.safe_load(file.read_text()) for kind, file in FILES.items()}
KINDS = pytest.mark.parametrize("kind", list(FILES))
MODELS: dict[str, type[BaseModel]] = {"NotifyxTopic": TopicSpec, "NotifyxPlatform": PlatformSpec}
EXAMPLES: list[dict[str, Any]] = [
    one for file in sorted((ROOT / "examples/topics").glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())
]
REFUSED = sorted((ROOT / "tests/cluster/data/refused").glob("*.yaml"))
FACTS = ("type", "enum", "minimum", "maximum", "minLength", "maxLength", "maxItems", "required")
DOCUMENT = (ROOT / "docs/resources.md").read_text()
RULES = "x-kubernetes-validations"
NOW = datetime(2026, 1, 2, tzinfo=UTC)

# Mistakes that do no harm: they name nobody, or somebody twice, or a Deployment that cannot be. Only the API server,
# which can tell who makes them at once, refuses them.
KUBERNETES_ONLY = ("would match nobody", "a ServiceAccount is written", "Duplicate value", "the name of a Deployment")


def version(kind: str) -> dict[str, Any]:
    (one,) = CRDS[kind]["spec"]["versions"]
    found: dict[str, Any] = one
    return found


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]
    return found


def walk(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema within one, by its path; ``[]`` is a list's item, ``{}`` a map's value."""
    yield path, part
    for name, inner in part.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    if "items" in part:
        yield from walk(part["items"], f"{path}[]")
    if isinstance(part.get("additionalProperties"), dict):
        yield from walk(part["additionalProperties"], f"{path}{{}}")


def of_model(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema in the form of a definition's: references resolved, options that may be absent as such."""
    whole = model.model_json_schema()

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            part = {**whole["$defs"][part["$ref"].rsplit("/", 1)[1]], **part}
        if "anyOf" in part:
            (real,) = [one for one in part["anyOf"] if one != {"type": "null"}]
            part = {**real, **part}
        if "propertyNames" in part:
            part = {**part, "properties": dict.fromkeys(part["propertyNames"]["enum"], part["additionalProperties"])}
            del part["additionalProperties"]
        return {name: resolve(value) for name, value in part.items() if name not in {"$ref", "$defs", "anyOf"}}

    resolved: dict[str, Any] = resolve(whole)
    return resolved


@KINDS
def test_each_field_has_the_type_and_bounds_of_the_model(kind: str) -> None:
    def facts(part: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {path: {fact: one[fact] for fact in FACTS if fact in one} for path, one in walk(part)}

    ours, models = facts(schema(kind)["properties"]["spec"]), facts(of_model(MODELS[kind]))
    assert len(models) > 10
    assert ours == models


@KINDS
def test_each_default_is_the_models(kind: str) -> None:
    def defaults(part: Mapping[str, Any]) -> dict[str, Any]:
        return {
            path: one["default"]
            for path, one in walk(part)
            if one["type"] != "object" and one.get("default") is not None and not path.endswith("]")
        }

    ours = defaults(schema(kind)["properties"]["spec"])
    assert ours
    assert ours == defaults(of_model(MODELS[kind]))


def test_a_topic_without_a_spec_is_the_one_with_every_default() -> None:
    spec = schema("NotifyxTopic")["properties"]["spec"]
    assert "required" not in schema("NotifyxTopic")
    # Kubernetes fills in what a default leaves out; what is there must be what would have been filled in.
    assert spec["default"] == {name: spec["properties"][name]["default"] for name in spec["default"]}
    assert all(part["default"] == {} for _, part in walk(spec) if part["type"] == "object" and part is not spec)


def test_an_entry_may_hold_what_the_model_lets_it_hold() -> None:
    topic, model = schema("NotifyxTopic")["properties"]["spec"]["properties"], of_model(TopicSpec)["properties"]
    for field in ("owners", "publishers", "readers"):
        rules = [one["rule"] for one in topic[field]["items"][RULES]]
        pattern = model[field]["items"]["pattern"].replace("\\", "\\\\")
        assert f'self.matches("{pattern}")' in rules
        assert topic[field]["x-kubernetes-list-type"] == "set"
    assert model["title"]["pattern"] == r"^[^\x00]*$"
    assert [one["rule"] for one in topic["title"][RULES]] == [r'!self.contains("\u0000")']


@KINDS
def test_the_charts_copy_is_the_same_file(kind: str) -> None:
    copy = ROOT / "charts/notifyx/files/crds" / FILES[kind].name
    assert copy.read_bytes() == FILES[kind].read_bytes()


def test_there_are_no_other_definitions() -> None:
    for folder in (ROOT / "crds", ROOT / "charts/notifyx/files/crds"):
        assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in FILES.values())


@KINDS
def test_names(kind: str) -> None:
    crd = CRDS[kind]
    names = crd["spec"]["names"]
    assert (names["kind"], names["listKind"]) == (kind, f"{kind}List")
    assert (names["singular"], names["plural"]) == (kind.lower(), f"{kind.lower()}s")
    assert names["shortNames"] == [{"NotifyxTopic": "nxt", "NotifyxPlatform": "nxp"}[kind]]
    assert names["categories"] == ["notifyx"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert FILES[kind].name == f"{crd['spec']['group']}_{names['plural']}.yaml"
    assert crd["spec"]["scope"] == "Namespaced"
    assert (version(kind)["name"], version(kind)["served"], version(kind)["storage"]) == ("v1alpha1", True, True)
    assert "status" in version(kind)["subresources"]


@KINDS
def test_each_part_is_typed_and_described(kind: str) -> None:
    parts = dict(walk(schema(kind)))
    assert {path for path, part in parts.items() if "type" not in part} == set()
    # Kubernetes describes these itself.
    known = {".apiVersion", ".kind", ".metadata", ".metadata.name"}
    silent = {path for path, part in parts.items() if "description" not in part and not path.endswith("[]")}
    assert silent <= known


@KINDS
def test_what_a_rule_reads_is_bounded(kind: str) -> None:
    spec = dict(walk(schema(kind)["properties"]["spec"]))
    unbounded = {
        path
        for path, part in spec.items()
        if (part["type"] == "string" and "maxLength" not in part and "enum" not in part)
        or (part["type"] == "array" and "maxItems" not in part)
    }
    assert unbounded == set()


@KINDS
def test_columns_and_scale_show_fields_that_exist(kind: str) -> None:
    paths = {path for path, _ in walk(schema(kind))}
    columns = version(kind)["additionalPrinterColumns"]
    shown = [re.sub(r"\[\?\(@\.type==\"\w+\"\)\]", "[]", column["jsonPath"]) for column in columns]
    assert columns[0]["name"] == "Ready"
    assert columns[-1]["name"] == "Age"
    services = {f".status.services.{name}.ready" for name in ("gateway", "auth", "store", "mailer")}
    assert set(shown) <= paths | services | {".metadata.creationTimestamp"}
    scale = version(kind)["subresources"].get("scale", {})
    assert set(scale.values()) <= paths
    assert ("scale" in version(kind)["subresources"]) == (kind == "NotifyxTopic")


def strictly(kind: str) -> jsonschema_rs.Draft7Validator:
    """What the API server checks by the schema alone, and that it would drop nothing."""

    def close(part: dict[str, Any], path: str = "") -> dict[str, Any]:
        closed = dict(part)
        if "properties" in part:
            closed["properties"] = {name: close(inner, f"{path}.{name}") for name, inner in part["properties"].items()}
            if path != ".metadata":
                closed.setdefault("additionalProperties", False)
        if "items" in part:
            closed["items"] = close(part["items"], f"{path}[]")
        if isinstance(part.get("additionalProperties"), dict):
            closed["additionalProperties"] = close(part["additionalProperties"], f"{path}{{}}")
        return closed

    return jsonschema_rs.Draft7Validator(close(schema(kind)))


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda one: str(one["metadata"]["name"]))
def test_the_examples_are_valid(document: dict[str, Any]) -> None:
    parse(document)
    strictly("NotifyxTopic").validate(document)


def topic_outcomes() -> Iterator[ReconcileOutcome]:
    document: dict[str, Any] = {"metadata": {"name": "orders", "namespace": "shop", "generation": 3}, "spec": {}}
    books = TopicStatus(name="orders", last_seq=9, subscribers=2, unacknowledged=4, ledger_balanced=True)
    yield ReconcileOutcome(read_claim(document), "InSync", "", books, 4, demand=DemandSpec())
    yield ReconcileOutcome(read_claim({**document, "spec": {"title": 5}}), "Invalid", "spec.title is wrong.")


@pytest.mark.parametrize("outcome", list(topic_outcomes()), ids=lambda one: one.state)
def test_the_status_the_operator_writes_is_kept_whole(outcome: ReconcileOutcome) -> None:
    status = status_fields(outcome, NOW)
    strictly("NotifyxTopic").validate({"status": status})
    described = schema("NotifyxTopic")["properties"]["status"]["properties"]
    if outcome.state == "InSync":
        assert status.keys() == described.keys()
    for condition in status["conditions"]:
        assert condition["type"] in described["conditions"]["description"]


def platform_conditions() -> list[dict[str, Any]]:
    written = platform_status({}, {}, invalid="", unknown="", delivery=None, moment=NOW)
    found: list[dict[str, Any]] = written["conditions"]
    return found


@KINDS
def test_no_column_is_blank_before_the_first_status(kind: str) -> None:
    default = schema(kind)["properties"]["status"]["default"]
    strictly(kind).validate({"spec": {}, "status": default})
    pending = {one["type"]: one for one in default["conditions"]}
    shown = {
        found[1]
        for column in version(kind)["additionalPrinterColumns"]
        if (found := re.search(r'@\.type=="(\w+)"', column["jsonPath"]))
    }
    assert shown == pending.keys()
    assert {(one["status"], one["reason"]) for one in pending.values()} == {("Unknown", "Pending")}
    # What waits for a condition of the newest generation does not take the default for one.
    assert all("observedGeneration" not in one for one in pending.values())
    outcome = next(topic_outcomes())
    written = status_fields(outcome, NOW)["conditions"] if kind == "NotifyxTopic" else platform_conditions()
    assert pending.keys() <= {one["type"] for one in written}, "the operator replaces each"


@pytest.mark.parametrize("invalid", ["", "spec.services.gateway: wrong."])
def test_the_status_of_a_platform_is_kept_whole(invalid: str) -> None:
    load = {"connections": 1.5, "publishesPerSecond": 2, "emailsPerMinute": 3, "latencyMilliseconds": 0.25}
    looked = ServiceState(
        Decision(2, "Minimum", "2 is the minimum."),
        Replicas(declared=2, existing=2, ready=1),
        declared=load,
        observed=load,
    )
    status = platform_status(
        {"metadata": {"generation": 1}},
        {"store": looked},
        invalid=invalid,
        unknown="",
        delivery=None,
        moment=NOW,
    )
    strictly("NotifyxPlatform").validate({"spec": {}, "status": status})


def test_each_rule_has_a_resource_that_it_refuses() -> None:
    promised = [file.read_text().splitlines()[0].removeprefix("# refused:").strip() for file in REFUSED]
    messages = {rule["message"] for kind in FILES for _, part in walk(schema(kind)) for rule in part.get(RULES, ())}
    assert len(messages) > 6
    assert {message for message in messages if not any(words in message for words in promised)} == set()
    assert all(promised)


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_what_the_api_server_refuses_is_refused_without_one(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    read = {"NotifyxTopic": parse, "NotifyxPlatform": read_spec}[document["kind"]]
    promise = file.read_text().splitlines()[0]
    if any(words in promise for words in KUBERNETES_ONLY):
        read(document)
        return
    with pytest.raises((InvalidResource, InvalidPlatform)):
        read(document)


def leaves(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The fields that hold a value, as people write them."""
    for name, inner in part["properties"].items():
        here = f"{path}.{name}".lstrip(".")
        if inner["type"] == "object" and "properties" in inner:
            yield from leaves(inner, here)
        else:
            yield here, inner


@pytest.mark.parametrize("kind", ["NotifyxTopic", "NotifyxPlatform"])
def test_the_documentation_has_every_field_with_its_bounds_and_default(kind: str) -> None:
    chapter = DOCUMENT.split(f"## {kind}\n")[1].split("\n## ")[0]
    wished, found = (
        {row.split("`")[1]: row for row in part.splitlines() if row.startswith("| `")}
        for part in chapter.split("### Its status")
    )
    spec, status = (schema(kind)["properties"][part] for part in ("spec", "status"))
    fields = dict(leaves(spec if kind == "NotifyxTopic" else spec["properties"]["services"]["properties"]["gateway"]))
    assert wished.keys() == fields.keys()
    for field, part in fields.items():
        numbers = [part[fact] for fact in ("default", "minimum", "maximum", "maxLength", "maxItems") if fact in part]
        said = [value if isinstance(value, str) else json.dumps(value) for value in numbers]
        assert [value for value in (*said, *part.get("enum", ())) if value not in wished[field]] == [], field
    kept = {name for name, _ in leaves(status)}
    if kind == "NotifyxPlatform":
        one = status["properties"]["services"]["additionalProperties"]
        kept = kept - {"services"} | {f"services.NAME.{name}" for name in one["properties"]}
    assert found.keys() - {"Synced", "LedgerBalanced", "Ready", "UsersKnown", "DemandCounted"} == kept


def test_the_examples_of_the_documentation_are_valid() -> None:
    documents = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)]
    documents = [one for one in documents if "apiVersion" in one]  # the rest are parts of other resources
    assert [one["kind"] for one in documents] == ["NotifyxTopic", "NotifyxPlatform"]
    for document in documents:
        strictly(document["kind"]).validate(document)
    parse(documents[0])
    read_spec(documents[1])
