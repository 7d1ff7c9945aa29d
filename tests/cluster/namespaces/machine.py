"""One machine: a network namespace and a first process, whose end is a power cut."""

from __future__ import annotations

import signal
from pathlib import Path

from cluster.commands import run
from cluster.namespaces import cgroups
from cluster.namespaces.layout import Layout
from cluster.namespaces.process import detached, end, remember, remembered
from cluster.waiting import CommandFailed, wait_for

INIT = Path(__file__).with_name("init.sh")


_ONCE = 'echo $$ > /run/pids/$name; exec "$@"'
_RESTARTED = """
while :; do
    "$@" &
    echo $! > /run/pids/$name
    wait $!
    echo "E0000 $name ended with code $? and is started again"
    sleep 0.5
done
"""
"""How a shell runs a daemon ``$@``. The line about its end looks like an error of Kubernetes' own daemons."""


class Machine:
    """A machine of the cluster; what it needs to know of its process is kept in the cluster's folder."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.name = name
        self._layout = layout
        self._cgroup = f"{layout.cgroup}/{name}"
        self._pid_file = layout.folder / "pids" / name

    @property
    def running(self) -> bool:
        """Whether the machine has power."""
        return remembered(self._pid_file) is not None

    def boot(self) -> None:
        """Give it power. Its network namespace has to be there."""
        state = self._layout.state(self.name)
        state.mkdir(parents=True, exist_ok=True)
        # The kubelet takes 3 s over every pod's cgroup that an earlier life left.
        cgroups.remove(self._cgroup)
        cgroups.make(f"{self._cgroup}/system")
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        namespaces = ["-m", "-p", "-u", "-i", "--propagation", "private", "-f", "--kill-child", "--mount-proc"]
        outer = detached(
            [
                *cgroups.joining(f"{self._cgroup}/system"),
                "nsenter", f"--net=/run/netns/{self._layout.netns(self.name)}",
                "unshare", *namespaces, "bash", str(INIT), self.name, str(state),
            ],
            self._layout.logs / f"{self.name}-init.log",
        )  # fmt: skip

        def first_process() -> int:
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
            return int(children[0]) if children and Path(f"/proc/{children[0]}/root/run/ready").exists() else 0

        pid = wait_for(f"{self.name} has booted", first_process, deadline=20, pause=0.02)
        remember(self._pid_file, pid)

    def run(self, *command: str, deadline: float = 120.0) -> str:
        """Run a command in the machine; what it prints. Raises :class:`CommandFailed`."""
        return run([*self._inside, *command], deadline=deadline)

    def start(self, name: str, *command: str, restart: bool = False) -> None:
        """Start a daemon in the machine; its output goes to a log of its name.

        With ``restart`` it is started again whenever it ends, as an init system would.
        """
        log = self._layout.logs / f"{self.name}-{name}.log"
        script = 'name=$1; log=$2; shift 2; exec >> "$log" 2>&1 < /dev/null; ' + (_RESTARTED if restart else _ONCE)
        run(
            [
                *cgroups.joining(f"{self._cgroup}/system"), *self._inside,
                "setsid", "-f", "sh", "-c", script, "sh", name, str(log), *command,
            ]
        )  # fmt: skip

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a daemon a signal."""
        self.run("sh", "-c", 'kill "-$2" "$(cat /run/pids/$1)"', "sh", name, str(int(number)))

    def kill(self, name: str) -> None:
        """End a daemon at once."""
        self.send_signal(name, signal.SIGKILL)

    def power_off(self) -> None:
        """End everything in the machine at once."""
        end(self._pid_file, signal.SIGKILL)
        wait_for(f"{self.name} is off", lambda: not self.running, deadline=30, pause=0.02)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _inside(self) -> list[str]:
        pid = remembered(self._pid_file)
        if pid is None:
            raise CommandFailed(f"{self.name} has no power")
        return ["nsenter", "-t", str(pid), "-m", "-p", "-n", "-u", "-i", "--"]
