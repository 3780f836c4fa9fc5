"""Slurm on this one node: munged, slurmctld and slurmd, which listen on the loopback address only."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.case import CannotRun
from bench.lab import SLOTS
from bench.leftovers import end_users_of
from bench.peers.peer import Client, Fifo, Peer, daemon, run
from bench.tools import Tools

#: Seconds until the node must be there.
START_TIMEOUT = 60.0

_CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
PluginDir={plugins}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={slots} State=UNKNOWN
PartitionName=bench Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm(Peer):
    """``sbatch``; scheduling is as Slurm does it unless told otherwise."""

    name = "slurm"
    title = f"Slurm, one node of {SLOTS} CPUs"
    keeps = "state files of slurmctld"
    most_jobs = 20

    def __init__(self) -> None:
        self._tools: Tools | None = None

    def install(self, tools: Tools) -> str:
        """Debian has it; munge proves to its parts who they are."""
        tools.debian("munge")
        version = tools.debian("slurm-wlm")
        for program in (
            "munged",
            "slurmctld-wlm",
            "slurmd-wlm",
            "slurmstepd-wlm",
            "sbatch",
            "sinfo",
            "squeue",
        ):
            tools.program(program)
        self._tools = tools
        return version

    @contextmanager
    def _cluster(self, folder: Path) -> Iterator[Mapping[str, str]]:
        """All three daemons; the environment leads the commands to them."""
        tools, host = self._tools, socket.gethostname().partition(".")[0]
        if tools is None:
            raise CannotRun("slurm was not installed")
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(mode=0o755)
        configuration = folder / "slurm.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                host=host,
                ports=free_ports(2),
                user=getpass.getuser(),
                folder=folder,
                plugins=tools.folder("usr/lib/*-linux-gnu*/slurm-wlm"),
                slots=SLOTS,
            ),
            encoding="ascii",
        )
        environment = {**tools.libraries(), "SLURM_CONF": str(configuration)}
        key = folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        munge = [tools.program("munged"), "--force", "--foreground", f"--key-file={key}"]
        munge += [f"--socket={folder}/munge/socket", f"--pid-file={folder}/munge/pid"]
        munge += [f"--log-file={folder}/munge/log", f"--seed-file={folder}/munge/seed"]
        controller = [tools.program("slurmctld-wlm"), "-D", "-c", "-f", str(configuration)]
        node = [tools.program("slurmd-wlm"), "-D", "-c", "-f", str(configuration), "-N", host]
        node += ["-d", tools.program("slurmstepd-wlm")]
        with ExitStack() as stack:
            # What runs a job is no child of slurmd, and tries to report when nobody is there any more.
            stack.callback(end_users_of, f"{folder}/")
            for name, argv in (("munged", munge), ("slurmctld", controller), ("slurmd", node)):
                stack.enter_context(daemon(argv, folder / f"{name}.out", environment))
                if name == "munged":
                    wait_for((folder / "munge" / "socket").exists, "munged")
            state = [tools.program("sinfo"), "--noheader", "--format=%t"]
            wait_for(lambda: run(state, environment).strip() == "idle", "an idle node")
            yield environment

    def _sbatch(self, folder: Path) -> list[str]:
        """Each job one CPU, its output to a file."""
        if self._tools is None:
            raise CannotRun("slurm was not installed")
        program = self._tools.program("sbatch")
        return [program, "--quiet", f"--chdir={folder}", "--ntasks=1", f"--output={folder}/%j.out"]

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """The node is given no work until all jobs wait: its partition is down till then."""
        with self._cluster(folder) as environment, Fifo(folder / "last") as last:
            tools = self._tools
            scontrol = [tools.program("scontrol") if tools else "", "update", "PartitionName=bench"]
            run([*scontrol, "State=DOWN"], environment)
            for command in (*["true"] * (jobs - 1), last.command):
                script = f"#!/bin/{shell}\n{command}\n"
                run(self._sbatch(folder), environment, text=script)
            begin = time.monotonic()
            run([*scontrol, "State=UP"], environment)
            return last.wait() - begin

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """One ``sbatch --wrap`` for each job, held where there are to be no workers."""
        with self._cluster(folder) as environment:
            hold = [] if workers else ["--hold"]
            yield Client([*self._sbatch(folder), *hold, "--wrap"], environment)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds; raises CannotRun after START_TIMEOUT."""
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise CannotRun(f"waited {START_TIMEOUT:.0f} s in vain for {what}")
        time.sleep(0.05)
