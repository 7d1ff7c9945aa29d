"""What the layout of the repository has to keep to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_operator_folder_never_becomes_a_package() -> None:
    # With it, any program that has the repository root on its path dies at start: `operator` is a standard module.
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_the_standard_operator_module_is_found_from_the_repository_root() -> None:
    code = "import operator; print(operator.itemgetter(1)('ab'), operator.__file__)"
    told = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True, timeout=30)
    letter, file = told.split()
    assert letter == "b"
    assert ROOT not in Path(file).parents or ".venv" in file
