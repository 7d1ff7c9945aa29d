"""How the tests themselves are shared out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.patience import PATIENCE

TESTS = Path(__file__).parents[1]

CONFTEST = """
from support.sharing import Scheduling

def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)
"""
TEST = """
import os
import pytest

{mark}

def test_it():
    with open("processes", "a") as file:
        print("{name}", os.getpid(), file=file)
"""
GROUPED = 'pytestmark = pytest.mark.xdist_group("together")'


def test_the_files_of_a_group_run_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, mark in {"a": GROUPED, "b": "", "c": GROUPED}.items():
        (tmp_path / f"test_{name}.py").write_text(TEST.format(name=name, mark=mark))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(TESTS)}  # each process would import them
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "--dist", "loadgroup"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    processes = dict(line.split() for line in (tmp_path / "processes").read_text().splitlines())
    assert processes["a"] == processes["c"] != processes["b"]
