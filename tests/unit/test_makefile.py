"""What make finds out before it runs anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
RULE = "python-of-make: ; @echo '$(PYTHON)' $${PYTHON+exported}"


def python_of_make(*arguments: str, **environment: str) -> str:
    """The interpreter that make would install with, and whether recipes get it in their environment."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON" and "MAKE" not in name}
    command = ["make", "--no-print-directory", "--eval", RULE, *arguments, "python-of-make"]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.strip()


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_of_python_is_none(empty: str) -> None:
    found = python_of_make()
    assert found.startswith("python3")
    assert python_of_make(PYTHON=empty) == python_of_make(f"PYTHON={empty}") == found


def test_a_python_that_is_named_is_the_one() -> None:
    assert python_of_make(PYTHON="/a/python3") == "/a/python3 exported"
    assert python_of_make("PYTHON=/a/python3", PYTHON="") == "/a/python3 exported"
