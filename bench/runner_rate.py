"""How many `true` jobs a second the runner launches and reaps with two slots, beside xargs -P2.

    python bench/runner_rate.py [JOBS [ROUNDS]]

The two take turns and the medians count, because a shared machine drifts. CPU is microseconds a job of the
runner and its shells: where it is far below the wall time, the machine was busy with something else.
"""

from __future__ import annotations

import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rq_py.runner.client import Exit, Key, Launch, RunnerClient

SLOTS = 2
SCRIPT = "exec 3<&- 4<&-; unset go; eval true"


def xargs_rate(shell: str, jobs: int) -> float:
    """Return the jobs per second of xargs, each job a shell of its own."""
    begin = time.perf_counter()
    command = ["xargs", "-n1", f"-P{SLOTS}", shell, "-c", "true"]
    subprocess.run(command, input="x\n" * jobs, text=True, check=True)
    return jobs / (time.perf_counter() - begin)


def runner_rate(client: RunnerClient, jobs: int) -> float:
    """Return the jobs per second of the runner, driven as a feeder would but without any database."""
    launched = ended = 0
    begin = time.perf_counter()
    while ended < jobs:
        exits = client.take_exits()
        check(exits)
        client.confirm(item.key for item in exits)
        ended += len(exits)
        free = min(SLOTS - (launched - ended), jobs - launched)
        if free:
            shells = client.ready(free)
            keys = [Key(launched + number, 1, f"{time.monotonic_ns():x}") for number in range(len(shells))]
            orders = [
                Launch(shell.pid, key, restartable=False, script=SCRIPT)
                for shell, key in zip(shells, keys, strict=True)
            ]
            result = client.launch(orders, SLOTS)
            if result.failed:
                sys.exit(f"not launched: {result.failed}")
            launched += len(orders)
        elif not exits:
            select.select([client], [], [])
    return jobs / (time.perf_counter() - begin)


def check(exits: list[Exit]) -> None:
    """Stop if a job has failed: the figure would be of something else."""
    for item in exits:
        if item.exit_status != 0:
            sys.exit(f"a job failed: {item}")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children that it has waited for: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print a line for each shell."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as state_dir:
        client = RunnerClient.connect_or_start(state_dir)
        for shell in ("sh", "bash"):
            pid = client.hello([shell], dict(os.environ)).pid
            xargs, runner, cpu = [], [], []
            for _ in range(rounds):
                xargs.append(xargs_rate(shell, jobs))
                before = cpu_seconds(pid)
                runner.append(runner_rate(client, jobs))
                cpu.append((cpu_seconds(pid) - before) / jobs * 1e6)
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            sys.stdout.write(
                f"{shell:5} runner {statistics.median(runner):5.0f}/s ({statistics.median(cpu):.0f} us CPU)"
                f"  xargs {statistics.median(xargs):5.0f}/s"
                f"  runner RSS {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.1f} MB\n"
            )
        client.close()
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
