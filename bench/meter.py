"""Starts programs for the harness and measures them; a small process by itself, standard library only.

It reads a line of JSON for each program, ``[argv, environment, input file]``, and answers with one,
``[seconds, CPU seconds, end, peak RSS in bytes, exit status]``; ``end`` is of the monotonic clock. Linux
counts the memory of the process that starts a program into the program's own peak (wait4(2) after vfork(2)),
so the one that starts it has to be small.
"""

import json
import os
import sys
import time


def run(argv: list[str], environment: dict[str, str], source: str) -> list[float]:
    """Run one program to its end, its output to /dev/null; status 127 where there is none, like sh(1)."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, source, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    begin = time.monotonic()
    try:
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=actions)
    except OSError:
        return [0.0, 0.0, begin, 0, 127]
    _, status, usage = os.wait4(pid, 0)
    end = time.monotonic()
    cpu = usage.ru_utime + usage.ru_stime
    return [end - begin, cpu, end, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(*json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
