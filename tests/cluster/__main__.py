"""``python -m cluster``: a real Kubernetes cluster to try Notifyx on (``make cluster``)."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.images.build import notifyx_images, peer_images
from cluster.install import trial_values, write_values
from cluster.provider import Cluster, NoCluster, Say, choose, running, wanted_families, wanted_provider
from cluster.waiting import CommandFailed, TimedOut
from support.helm import NoHelm, find_helm

SILENCE = 10.0
"""Seconds after which the last line is said again: some steps take minutes."""


@contextlib.contextmanager
def progress(silence: float = SILENCE) -> Iterator[Say]:
    """Prints each line with the seconds since the start, and what still goes on where nothing else is said."""
    start = time.monotonic()
    lock, said, ended = threading.Lock(), threading.Event(), threading.Event()
    last = ""

    def write(line: str) -> None:
        with lock:
            print(f"{time.monotonic() - start:6.1f} s  {line}", flush=True)

    def say(line: str) -> None:
        nonlocal last
        last = line
        write(line)
        said.set()

    def repeat() -> None:
        while not ended.is_set():
            if said.wait(silence):
                said.clear()
            elif last:
                write(f"still {last}")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield say
    finally:
        ended.set()
        said.set()
        thread.join()


def main() -> int:
    """Start or end the cluster; 1 and a sentence when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "env"], help="env prints shell settings for a running one")
    parser.add_argument("--context", default="", help="a cluster of your own, by its context in your kubeconfig")
    options = parser.parse_args()
    try:
        with progress() as say:
            cluster = _obeyed(options.command, options.context, say)
    except (NoCluster, NoHelm, CommandFailed, TimedOut) as error:
        print(error, file=sys.stderr)
        return 1
    if cluster is None:
        return 0
    if options.command == "env":
        print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl.parent}:{find_helm().parent}:$PATH")
        print(f"export NOTIFYX_URL={cluster.ingress} NOTIFYX_VALUES={values_file(cluster)}")
    else:
        print('To use it: eval "$(make -s cluster-env)"')
    return 0


def _obeyed(command: str, context: str, say: Say) -> Cluster | None:
    """The cluster that the command is about, unless it has ended it. Raises :class:`NoCluster` and others."""
    if command == "up":
        images = [*notifyx_images(say), *peer_images(say)]
        cluster = choose(context=context, way=wanted_provider(), families=wanted_families(), images=images, say=say)
        write_values(values_file(cluster), trial_values(cluster, images))
        say(f"ready: {len(cluster.nodes)} nodes; the ingress is at {cluster.ingress}")
        return cluster
    found = running(wanted_provider())
    if found is None and command == "down":
        say("no cluster of ours is running")
        return None
    if found is None:
        raise NoCluster("No cluster of ours is running; make cluster starts one.")
    if command == "down":
        found.down(say)
        return None
    return found


def values_file(cluster: Cluster) -> Path:
    """Where the chart's values for a trial on this cluster are written."""
    return cluster.kubeconfig.parent / "trial-values.yaml"


if __name__ == "__main__":
    sys.exit(main())
