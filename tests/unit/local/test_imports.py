"""What ``notifyx up`` needs: a machine without a cluster installs nothing for one."""

from __future__ import annotations

import subprocess
import sys

from support.patience import PATIENCE

CODE = """
import pkgutil, sys, notifyx_local
for module in pkgutil.iter_modules(notifyx_local.__path__, "notifyx_local."):
    __import__(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"kopf", "kubernetes", "notifyx_operator"}))
"""


def test_the_local_platform_needs_nothing_of_a_cluster() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == ""
