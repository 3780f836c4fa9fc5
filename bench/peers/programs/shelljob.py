"""What a worker of a queue library does for a job: run a shell command, with output to files of its own."""

import itertools
import os
import subprocess
import threading

_numbers = itertools.count()


def run(command: str) -> None:
    """Run ``command`` with the shell of BENCH_SHELL; raises CalledProcessError when it fails."""
    name = f"{os.environ['BENCH_FOLDER']}/{os.getpid()}.{threading.get_ident()}.{next(_numbers)}"
    with open(f"{name}.out", "wb") as out, open(f"{name}.err", "wb") as err:
        argv = [os.environ["BENCH_SHELL"], "-c", command]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=True)
