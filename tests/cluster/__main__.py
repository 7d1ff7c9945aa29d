"""``python -m cluster``: a real Kubernetes cluster to try Notifyx on (``make cluster``)."""

from __future__ import annotations

import argparse
import sys
import time

from cluster.provider import NoCluster, Say, choose, running, wanted_provider
from cluster.waiting import CommandFailed, TimedOut


def progress() -> Say:
    """Prints each line with the seconds since the start."""
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {line}", flush=True)

    return say


def main() -> int:
    """Start or end the cluster; 1 and a sentence when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "env"], help="env prints shell settings for a running one")
    parser.add_argument("--context", default="", help="a cluster of your own, by its context in your kubeconfig")
    options = parser.parse_args()
    say = progress()
    try:
        if options.command == "up":
            cluster = choose(context=options.context, way=wanted_provider(), say=say)
            say(f"ready: {len(cluster.nodes)} nodes; the ingress is at {cluster.ingress}")
        else:
            found = running(wanted_provider())
            if found is None:
                raise NoCluster("No cluster of ours is running; make cluster starts one.")
            if options.command == "down":
                found.down(say)
                return 0
            cluster = found
    except (NoCluster, CommandFailed, TimedOut) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl.parent}:$PATH")
    return 0


if __name__ == "__main__":
    sys.exit(main())
