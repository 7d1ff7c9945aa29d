"""etcd, the API server, the controller manager and the scheduler, in the machine ``cp``.

A node that is gone is noticed after 10 s and its pods are replaced 5 s later; a cluster's usual minutes would only
make tests long. Rates are raised for the same reason.
"""

from __future__ import annotations

from cluster.namespaces.addresses import bracketed, listed
from cluster.namespaces.layout import CONTROL_PLANE, Layout
from cluster.namespaces.machine import Machine
from cluster.namespaces.pki import Authority

CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
CLUSTER_ISSUER = "https://kubernetes.default.svc.cluster.local"
_CLIENTS = {
    "apiserver-kubelet-client": ("apiserver-kubelet-client", "system:masters"),
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}


def issue_certificates(layout: Layout) -> None:
    """Everything that the control plane and the nodes show each other."""
    authority = Authority(layout.pki)
    service = "kubernetes.default.svc"
    names = ("kubernetes", "kubernetes.default", service, f"{service}.cluster.local", "localhost")
    addresses = (*layout.ips(CONTROL_PLANE), *(one.kubernetes for one in layout.ranges))
    authority.issue("apiserver", "kube-apiserver", names=(*names, "127.0.0.1", *addresses))
    for name, (common_name, group) in _CLIENTS.items():
        authority.issue(name, common_name, group=group)
    for node in layout.nodes:
        authority.issue(node, f"system:node:{node}", group="system:nodes", names=(node, *layout.ips(node), "127.0.0.1"))
    authority.issue_service_account_keys()
    server = f"https://{bracketed(layout.ip(CONTROL_PLANE))}:6443"
    for name in ("controller-manager", "scheduler", "kube-proxy", *layout.nodes):
        authority.kubeconfig(f"{name}.conf", name, server)
    authority.kubeconfig(layout.kubeconfig.name, "admin", f"https://127.0.0.1:{layout.api_port}")


def start_etcd(machine: Machine, layout: Layout) -> None:
    """etcd, which need not survive the machine."""
    machine.start(
        "etcd", f"{layout.binaries}/etcd", "--name=test", f"--data-dir={layout.state(machine.name)}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=test=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=warn",
    )  # fmt: skip


def start_api_server(machine: Machine, layout: Layout) -> None:
    """The API server."""
    bin_, pki = layout.binaries, layout.pki
    machine.start(
        "kube-apiserver", f"{bin_}/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
        f"--bind-address={layout.ranges[0].anywhere}", f"--advertise-address={layout.ip(CONTROL_PLANE)}",
        "--secure-port=6443",
        f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt", f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={CLUSTER_ISSUER}", f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key", _services(layout),
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
        "--profiling=false", "--default-not-ready-toleration-seconds=5",
        "--default-unreachable-toleration-seconds=5",
    )  # fmt: skip


def start_controllers(machine: Machine, layout: Layout) -> None:
    """The controller manager and the scheduler."""
    bin_, pki = layout.binaries, layout.pki
    rates = ("--kube-api-qps=500", "--kube-api-burst=1000", "--bind-address=127.0.0.1", "--leader-elect=false")
    machine.start(
        "kube-controller-manager", f"{bin_}/kube-controller-manager",
        f"--kubeconfig={pki}/controller-manager.conf", *rates, f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key", "--use-service-account-credentials",
        f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
        "--allocate-node-cidrs=false", f"--cluster-cidr={listed(one.pods for one in layout.ranges)}", _services(layout),
        "--node-monitor-period=1s", "--node-monitor-grace-period=10s", "--node-eviction-rate=10",
        "--unhealthy-zone-threshold=0.9", restart=True,
    )  # fmt: skip
    scheduler = f"--kubeconfig={pki}/scheduler.conf"
    machine.start("kube-scheduler", f"{bin_}/kube-scheduler", scheduler, *rates, restart=True)


def _services(layout: Layout) -> str:
    return f"--service-cluster-ip-range={listed(one.services for one in layout.ranges)}"
