"""One peer, once: ``python -m bench.once PEER drain|submit COUNT FOLDER CACHE``, for a tracer around it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.lab import node_name
from bench.peers.everybody import PEERS
from bench.peers.peer import run
from bench.tools import Tools


def main() -> None:
    """Drain COUNT jobs, or submit them one by one to nobody."""
    name, verb, count, folder, cache = sys.argv[1:]
    os.environ["RQ_NODE"] = node_name()
    peer = next(kind for kind in PEERS if kind.name == name)()
    peer.install(Tools(Path(cache), lambda line: None))
    work = Path(folder)
    if verb == "drain":
        peer.drain(work, "sh", int(count))
        return
    with peer.accepting(work, workers=False) as client:
        for _ in range(int(count)):
            run(client.argv("true"), client.environment)


if __name__ == "__main__":
    main()
