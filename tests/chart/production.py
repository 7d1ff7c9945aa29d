"""What docs/production.md has in its blocks of YAML: manifests, and values of the chart."""

from __future__ import annotations

import re
from typing import Any

import yaml

from chart.rendered import ROOT

PAGE = (ROOT / "docs/production.md").read_text()


def _blocks() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def manifests() -> list[dict[str, Any]]:
    """The resources, in the order of the page."""
    return [one for one in _blocks() if "apiVersion" in one]


def values() -> list[dict[str, Any]]:
    """The values of the chart, also those within resources."""
    inner = [one["spec"]["values"] for one in manifests() if one["kind"] == "HelmRelease"]
    inner += [one["spec"]["source"]["helm"]["valuesObject"] for one in manifests() if one["kind"] == "Application"]
    return [one for one in _blocks() if "apiVersion" not in one] + inner
