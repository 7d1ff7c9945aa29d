"""A node: containerd, the kubelet and kube-proxy in a machine, and their configuration.

Why each odd setting is there: where ``CAP_SYS_RESOURCE`` is withheld no process may lower its ``oom_score_adj`` or
raise its limit of open files; cgroup version 1 needs to be asked for; an image that the kubelet collects could not be
pulled again, as there is no registry.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cluster.commands import run
from cluster.namespaces.addresses import listed
from cluster.namespaces.layout import Layout
from cluster.namespaces.machine import Machine
from cluster.provider import Image
from cluster.waiting import wait_for

PAUSE = "localhost/pause:1"


def containerd_configuration() -> str:
    """For every containerd of the cluster (configuration version 2: containerd 1.6 and newer)."""
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def kubelet_configuration(layout: Layout, node: str) -> dict[str, object]:
    """The kubelet's, for a node that reports every 2 s."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"{layout.cgroup}/{node}",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 8,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "address": layout.ranges[0].anywhere,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/{node}.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/{node}.key",
        "clusterDNS": [layout.ranges[0].dns],
        "clusterDomain": "cluster.local",
        "resolvConf": "/run/resolv.conf",
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "720h",
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        "volumePluginDir": "/var/lib/kubelet/plugins_volume",
    }


def proxy_configuration(layout: Layout, node: str) -> dict[str, object]:
    """kube-proxy's."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": layout.ranges[0].anywhere,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": listed(one.pods for one in layout.ranges),
        "clientConnection": {"kubeconfig": f"{layout.pki}/kube-proxy.conf"},
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nodePortAddresses": [str(one.machines) for one in layout.ranges],
        "hostnameOverride": node,
        "oomScoreAdj": 0,
    }


def pod_network(layout: Layout, node: str) -> dict[str, object]:
    """The CNI configuration: a bridge, and addresses of the node's own range."""
    ranges = [[{"subnet": pods}] for pods in layout.pods(node)]
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "isDefaultGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": ranges},
    }
    port_map = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, port_map]}


def prepare(layout: Layout, node: str, template: Path) -> None:
    """Write the node's configuration, and give it the images of ``template`` by hard links."""
    state = layout.state(node)
    (state / "cni").mkdir(parents=True, exist_ok=True)
    (state / "cni" / "10-pods.conflist").write_text(json.dumps(pod_network(layout, node)))
    (state / "kubelet.yaml").write_text(json.dumps(kubelet_configuration(layout, node)))
    (state / "kube-proxy.yaml").write_text(json.dumps(proxy_configuration(layout, node)))
    (layout.folder / "containerd.toml").write_text(containerd_configuration())
    if not (state / "containerd").exists():
        run(["cp", "-al", template, state / "containerd"])
        # Layers are never written to again, databases are.
        for database in (state / "containerd").rglob("*.db"):
            own = database.with_suffix(".own")
            shutil.copy2(database, own)
            own.replace(database)


def start_runtime(machine: Machine, layout: Layout) -> None:
    """containerd."""
    machine.start("containerd", "containerd", "-c", f"{layout.folder}/containerd.toml", restart=True)


def start_kubelet(machine: Machine, layout: Layout) -> None:
    """The kubelet and kube-proxy; a kubelet that finds containerd still starting ends, and is started again."""
    state, bin_, node = layout.state(machine.name), layout.binaries, machine.name
    machine.start(
        "kubelet", f"{bin_}/kubelet", f"--config={state}/kubelet.yaml", f"--kubeconfig={layout.pki}/{node}.conf",
        "--root-dir=/var/lib/kubelet", f"--hostname-override={node}", f"--node-ip={','.join(layout.ips(node))}",
        restart=True,
    )  # fmt: skip
    machine.start("kube-proxy", f"{bin_}/kube-proxy", f"--config={state}/kube-proxy.yaml", restart=True)


def restart_clients(machine: Machine) -> None:
    """End what talks with the API server: it is started again."""
    for name in ("kubelet", "kube-proxy"):
        machine.kill(name)


def images(machine: Machine) -> frozenset[str]:
    """The names of the images that a running node knows."""
    return frozenset(machine.run("ctr", "-n", "k8s.io", "images", "ls", "-q").split())


def load(machine: Machine, image: Image) -> None:
    """Import an image into a running node."""
    wait_for("containerd answers", lambda: machine.run("ctr", "version"), deadline=30)
    machine.run("ctr", "-n", "k8s.io", "images", "import", str(image.archive), deadline=300)
