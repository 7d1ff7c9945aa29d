"""What holds the repository together, checked."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from support.patience import PATIENCE

ROOT = Path(__file__).parents[2]


def test_operator_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import operator; operator.itemgetter(0)([1])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=PATIENCE)


def test_nothing_depends_on_what_is_outside_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE)
    needle = "../" + "shared"
    found = [
        name
        for name in listed.stdout.splitlines()
        if (ROOT / name).is_file() and needle in (ROOT / name).read_text(encoding="utf-8", errors="ignore")
    ]
    assert found == []


def test_every_member_names_the_licence_that_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    members = [*ROOT.glob("services/*/pyproject.toml"), ROOT / "operator" / "pyproject.toml"]
    assert len(members) > 1
    named = {member.parent.name: tomllib.loads(member.read_text())["project"].get("license") for member in members}
    assert named == dict.fromkeys(named, "Apache-2.0")


def test_every_wait_of_a_test_has_a_time_with_a_name() -> None:
    """``PATIENCE``, which is that of all tests, or one that says what it is for: a number suits a quick machine."""
    waits = (
        r"asyncio\.timeout\([\d.]+\)", r"wait_for\(.+, [\d.]+\)", r"\b(?:eventually|until)\(.+deadline=[\d.]+\)",
        r"monotonic\(\) \+ [\d.]+", r"process\.wait\(\d+\)", r"ClientTimeout\(total=\d",
    )  # fmt: skip
    number = re.compile("|".join(waits))
    tests = ROOT / "tests"
    found = [
        f"{path.relative_to(ROOT)}:{at}"
        for path in tests.rglob("*.py")
        if path.relative_to(tests).parts[0] not in ("bench", "cluster")
        for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if number.search(line)
    ]
    assert found == []


def test_internal_paths_stand_in_the_contract_alone() -> None:
    """Callers, routes and fakes take them from the calls in ``contracts/``."""
    needle = "/internal" + "/"
    contracts = ROOT / "services/common/src/notifyx_common/contracts"
    found = {
        str(path.relative_to(ROOT))
        for folder in ("services", "operator", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if needle in path.read_text(encoding="utf-8") and contracts not in path.parents and ".venv" not in path.parts
    }
    assert found == set()


def test_no_locking_subquery_with_a_limit_is_executed_for_each_row() -> None:
    """A nested loop executes a subquery of ``IN`` once a row; what has locked and changed rows then finds others."""
    bare = re.compile(r"\bIN\s*\(\s*SELECT\b[^()]*\bLIMIT\b[^()]*\bFOR\s+(?:NO\s+KEY\s+)?UPDATE", re.IGNORECASE)
    sources = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("operator/src/**/*.py")]
    within = re.compile(r"\((?!\s*SELECT\b)[^()]*\)")  # lists such as ('sent', 'dead'), which hide the rest
    assert [
        str(path.relative_to(ROOT)) for path in sources if bare.search(within.sub("", path.read_text(encoding="utf-8")))
    ] == []


def test_each_decision_record_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    wrong = [one.name for one in records if not one.read_text().startswith(f"# {int(one.name[:4])}. ")]
    assert wrong == []


def test_links_between_documents_lead_to_files_that_are_there() -> None:
    link = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    lost = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in link.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert lost == []
