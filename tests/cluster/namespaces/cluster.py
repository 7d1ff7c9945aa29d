"""A cluster whose machines are network namespaces of this one: from nothing to ready nodes in seconds.

Nodes can lose their power and their network like real ones. The state is in one folder of the cache; a second call
of :func:`open_cluster` finds what runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from cluster.commands import run
from cluster.images.build import system_images
from cluster.namespaces import cgroups, control_plane, host, network, node, seed
from cluster.namespaces.addresses import bracketed
from cluster.namespaces.binaries import binaries
from cluster.namespaces.layout import CONTROL_PLANE, Layout
from cluster.namespaces.machine import Machine
from cluster.namespaces.process import detached, end, remember
from cluster.provider import Families, Image, NoCluster, Say
from cluster.state import cluster_state
from cluster.waiting import CommandFailed, TimedOut, wait_for
from notifyx_local.ports import free_port
from support.helm import cache_folder

NODES = ("node1", "node2", "node3")
ADDONS = Path(__file__).parent / "addons"
RECORD = "cluster.json"
ERROR = re.compile(r"[EF]\d{4} |.*level=(error|fatal)")
LAST_ERRORS = 3
"""Lines of each log that are told."""

USUAL = Families.DUAL
"""What a cluster has unless something else is asked for: most of both families is tried in one."""


class NamespaceCluster:
    """The cluster of :class:`~cluster.provider.Cluster` in network namespaces."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._machines = {name: Machine(layout, name) for name in layout.machines}

    @property
    def kubeconfig(self) -> Path:
        return self._layout.kubeconfig

    @property
    def kubectl(self) -> Path:
        return self._layout.binaries / "kubectl"

    @property
    def ingress(self) -> str:
        return f"http://127.0.0.1:{self._layout.ingress_port}"

    @property
    def nodes(self) -> tuple[str, ...]:
        return self._layout.nodes

    @property
    def families(self) -> Families:
        """The IP families of machines, pods and Services."""
        return self._layout.families

    @property
    def running(self) -> bool:
        """Whether its control plane has power."""
        return self._machines[CONTROL_PLANE].running

    def why_not(self, ability: str) -> str | None:
        assert ability in ("power", "cut", "network-policy", "definitions")
        return None

    def last_errors(self) -> list[str]:
        said = []
        for log in sorted(self._layout.logs.glob("*.log")):
            # Daemons of Kubernetes begin a line with E or F for an error, containerd says level=error.
            lines = [one for one in log.read_text(errors="replace").splitlines() if ERROR.match(one)]
            said += [f"{log.stem}: {line[:300]}" for line in lines[-LAST_ERRORS:]]
        return said

    def up(self, images: Sequence[Image], say: Say) -> None:
        """From nothing to ready nodes, DNS and ingress. Raises :class:`TimedOut` or :class:`CommandFailed`."""
        layout = self._layout
        layout.logs.mkdir(parents=True, exist_ok=True)
        template = seed.template([*system_images(layout.binaries / "coredns", say), *images], say)
        run(["sysctl", "-qw", "fs.inotify.max_user_instances=8192", "fs.inotify.max_user_watches=524288"])
        # Pods on one node meet the node's rules only where bridged packets pass through them.
        with contextlib.suppress(CommandFailed):
            run(["modprobe", "br_netfilter"])
        control_plane.issue_certificates(layout)
        network.lay(layout)
        cgroups.make(layout.cgroup)
        for name in layout.nodes:
            node.prepare(layout, name, template)
        say("starting the control plane and the nodes")
        self._each(layout.machines, lambda name: self._machines[name].boot())
        self._start_helpers()
        control_plane.start_etcd(self._machines[CONTROL_PLANE], layout)
        control_plane.start_api_server(self._machines[CONTROL_PLANE], layout)
        for name in layout.nodes:
            node.start_runtime(self._machines[name], layout)
        wait_for("the API server is ready", lambda: self._kubectl("get", "--raw", "/readyz"), deadline=60)
        control_plane.start_controllers(self._machines[CONTROL_PLANE], layout)
        for name in layout.nodes:
            node.start_kubelet(self._machines[name], layout)
        for addon in sorted(ADDONS.glob("*.yaml")):
            manifest = addon.read_text().replace("${dns}", layout.ranges[0].dns)
            apply = partial(self._kubectl, "apply", "-f", "-", input=manifest)
            wait_for(f"{addon.name} is applied", apply, deadline=30)
        for name in layout.nodes:
            self._wait_ready(name)
        say("waiting for DNS and ingress")
        for what in ("deployment/coredns", "daemonset/traefik"):
            self._kubectl("-n", "kube-system", "rollout", "status", what, "--timeout=120s")

    def load(self, images: Sequence[Image], say: Say) -> None:
        known = [node.images(self._machines[name]) for name in self.nodes if self._machines[name].running]
        for image in images:
            if not all(image.name in names for names in known):
                say(f"loading {image.name}")
                self._each(self.nodes, partial(self._load, image))

    def power_off(self, node: str) -> None:
        self._machines[node].power_off()

    def power_on(self, node_: str) -> None:
        machine = self._machines[node_]
        machine.boot()
        node.start_runtime(machine, self._layout)
        node.start_kubelet(machine, self._layout)
        self._wait_ready(node_)

    def cut_off(self, node: str) -> None:
        network.connect(self._layout, node, up=False)

    def reconnect(self, node: str) -> None:
        network.connect(self._layout, node, up=True)
        self._wait_ready(node)

    def send_signal(self, node: str, container: str, number: signal.Signals) -> None:
        """Send all processes of a container, by its id in the runtime, a signal; those that have ended need none."""
        for pid in cgroups.processes(f"{self._layout.cgroup}/{node}", container):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self, node: str, *, frozen: bool) -> None:
        """Let nothing on a node go on, or all of it."""
        cgroups.freeze(f"{self._layout.cgroup}/{node}", frozen=frozen)

    def forget_connections(self, addresses: Iterable[str]) -> None:
        """Let the nodes look anew at each connection to these addresses: what is not allowed now ends."""
        for node_ in self.nodes:
            for address in addresses:
                family = "ipv6" if ":" in address else "ipv4"
                inside = ["ip", "netns", "exec", self._layout.netns(node_)]
                for side in ("--orig-dst", "--reply-src"):
                    with contextlib.suppress(CommandFailed):  # there is none
                        run([*inside, "conntrack", "-D", "-f", family, side, address])

    def stop_controllers(self) -> None:
        """Let nobody replace pods or bring EndpointSlices up to date."""
        self._machines[CONTROL_PLANE].send_signal("kube-controller-manager", signal.SIGSTOP)

    def resume_controllers(self) -> None:
        """Let the controllers go on."""
        self._machines[CONTROL_PLANE].send_signal("kube-controller-manager", signal.SIGCONT)

    def stop_api(self) -> None:
        """End the API server's process; everything else goes on."""
        self._machines[CONTROL_PLANE].kill("kube-apiserver")

    def start_api(self) -> None:
        """Start the API server again, and wait for it and the nodes.

        Its clients are started again, too. One that goes on waits for up to a minute before it asks again what there
        is, each kind of object for itself, and more than one has to: a new pod then takes minutes to be ready.
        """
        machine = self._machines[CONTROL_PLANE]
        control_plane.start_api_server(machine, self._layout)
        wait_for("the API server is ready", lambda: self._kubectl("get", "--raw", "/readyz"), deadline=60)
        for name in control_plane.CONTROLLERS:
            machine.kill(name)
        for node_ in self.nodes:
            if self._machines[node_].running:
                node.restart_clients(self._machines[node_])
                self._wait_ready(node_)

    def down(self, say: Say) -> None:
        for name in ("forward", "network-policy"):
            end(self._layout.folder / "pids" / name, signal.SIGTERM)
        self._each(self._layout.machines, lambda name: self._machines[name].power_off())
        network.clear(self._layout)
        wait_for("the cgroups are gone", lambda: cgroups.remove(self._layout.cgroup), deadline=30)
        shutil.rmtree(self._layout.folder)
        say("the cluster is gone")

    def _load(self, image: Image, name: str) -> None:
        node.load(self._machines[name], image)

    def _start_helpers(self) -> None:
        """What runs beside the machines: the way in from loopback, and the NetworkPolicies."""
        layout = self._layout
        ingress = ",".join(f"{bracketed(layout.ip(name))}:80" for name in layout.nodes)
        ways = [f"{layout.api_port}={bracketed(layout.ip(CONTROL_PLANE))}:6443", f"{layout.ingress_port}={ingress}"]
        self._helper("forward", "cluster.namespaces.forward", layout.netns(CONTROL_PLANE), *ways)
        namespaces = [layout.netns(name) for name in layout.nodes]
        self._helper("network-policy", "cluster.namespaces.network_policy", str(layout.kubeconfig), *namespaces)

    def _helper(self, name: str, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        log = self._layout.logs / f"{name}.log"
        pid = detached(command, log, {"PYTHONPATH": str(Path(__file__).parents[2])})
        remember(self._layout.folder / "pids" / name, pid)

    def _wait_ready(self, name: str) -> None:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        wait_for(
            f"{name} is ready",
            lambda: self._kubectl("get", "node", name, "-o", f"jsonpath={path}") == "True",
            deadline=60,
        )

    def _kubectl(self, *words: str, input: str | None = None) -> str:
        return run([self.kubectl, "--kubeconfig", self.kubeconfig, *words], input=input, deadline=150)

    def _each(self, names: Iterable[str], do: Callable[[str], None]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(do, names))


def open_cluster(images: Sequence[Image], families: Families | None, say: Say) -> NamespaceCluster:
    """The cluster that runs, or a new one. Raises :class:`NoCluster` when this machine cannot have one."""
    reason = host.why_not(families or USUAL)
    if reason is not None:
        raise NoCluster(reason)
    programs = binaries(say)
    found = find_cluster()
    if found is not None:
        if families not in (None, found.families):
            raise NoCluster(f"one with {found.families} runs, and {families} is wanted; make cluster-down ends it.")
        found.load(images, say)
        return found
    folder = _folder()
    _clear(folder, programs, say)
    layout = Layout(folder, programs, NODES, free_port(), free_port(), families or USUAL)
    folder.mkdir(parents=True)
    record = {"programs": str(programs), "api": layout.api_port, "ingress": layout.ingress_port}
    (folder / RECORD).write_text(json.dumps({**record, "families": layout.families}))
    cluster = NamespaceCluster(layout)
    try:
        cluster.up(images, say)
    except (TimedOut, CommandFailed) as error:
        raise NoCluster(f"the cluster did not become ready: {error}\n{cluster_state(cluster)}") from None
    return cluster


def find_cluster() -> NamespaceCluster | None:
    """The cluster that was last started, if it still runs."""
    folder = _folder()
    try:
        record = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        return None
    families = Families(record.get("families", Families.IPV4))  # one that an earlier version started
    layout = Layout(folder, Path(record["programs"]), NODES, record["api"], record["ingress"], families)
    cluster = NamespaceCluster(layout)
    return cluster if cluster.running else None


def _folder() -> Path:
    return cache_folder() / "cluster" / "run"


def _clear(folder: Path, programs: Path, say: Say) -> None:
    """Remove what a cluster left that was not taken down (its machine was restarted, say)."""
    left = NamespaceCluster(Layout(folder, programs, NODES, 0, 0, USUAL))
    if folder.exists():
        left.down(say)
