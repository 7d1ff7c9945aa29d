"""What OpenShift's security context constraint ``restricted-v2`` refuses, and what it fills in.

The rules: https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NUMBERS = range(1000650000, 1000660000)
"""Accounts and groups of the namespace: of its annotation ``openshift.io/sa.scc.uid-range``."""

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
HOST = ("hostNetwork", "hostPID", "hostIPC")


def problems(spec: dict[str, Any]) -> list[str]:
    """Why a pod with this spec is not admitted."""
    return list(_problems(spec))


def _problems(spec: dict[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext") or {}
    yield from _numbers(pod, "pod")
    yield from (f"{name} is not allowed" for name in HOST if spec.get(name))
    for volume in spec.get("volumes", []):
        yield from (f"volume {volume['name']}: {kind} is not allowed" for kind in {*volume} - {"name"} - VOLUMES)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        name, own = container["name"], container.get("securityContext") or {}
        yield from _numbers(own, name)
        if own.get("privileged") or own.get("allowPrivilegeEscalation"):
            yield f"{name}: privileges are not allowed"
        added = set((own.get("capabilities") or {}).get("add", [])) - {"NET_BIND_SERVICE"}
        yield from (f"{name}: capability {capability} is not allowed" for capability in added)
        if (own.get("runAsNonRoot", pod.get("runAsNonRoot", True))) is False:
            yield f"{name}: it may not run as root"


def _numbers(context: dict[str, Any], where: str) -> Iterator[str]:
    for key in ("runAsUser", "fsGroup"):  # any runAsGroup is admitted
        if context.get(key, NUMBERS[0]) not in NUMBERS:
            yield f"{where}: {key} {context[key]} is not of the namespace"
    if context.get("seccompProfile", {"type": "RuntimeDefault"}) != {"type": "RuntimeDefault"}:
        yield f"{where}: only the runtime's own seccomp profile is allowed"
    if "seLinuxOptions" in context:
        yield f"{where}: the SELinux context is the namespace's"
