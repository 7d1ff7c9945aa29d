"""Which files are run by one worker, one after the other, because each would start a whole platform of its own."""

from __future__ import annotations

GROUPS = (
    ("tests/browser/test_dashboard.py", "tests/browser/test_pages.py"),
    ("tests/browser/test_journeys.py", "tests/browser/test_losses.py"),
    (
        "tests/chart/test_scripts.py",
        "tests/integration/client/test_losses.py",
        "tests/integration/journeys/test_mail.py",
        "tests/integration/local/test_examples.py",
        "tests/integration/phoenix/test_official_client.py",
    ),
    (
        "tests/integration/client/test_commands.py",
        "tests/integration/client/test_journey.py",
        "tests/integration/client/test_reading.py",
        "tests/integration/local/test_up.py",
        "tests/integration/operator/probing/test_prober.py",
        "tests/monitoring/test_prometheus.py",
    ),
)
"""The longest of them takes no longer than a worker's share of all tests."""

_FIRST = {file: files[0] for files in GROUPS for file in files}


def group(file: str) -> str:
    """What a file of tests belongs to: its group, else itself."""
    return _FIRST.get(file, file)
