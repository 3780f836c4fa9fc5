"""All who take part, in the order of the tables."""

from __future__ import annotations

from bench.peers.hyperqueue import HyperQueue
from bench.peers.libraries import Huey, LiteQueue, PersistQueue, RqRedis
from bench.peers.limits import Spawn, Xargs
from bench.peers.nq import Nq
from bench.peers.ours import RqPy
from bench.peers.parallel import ParallelJoblog, ParallelSql
from bench.peers.peer import Peer
from bench.peers.slurm import Slurm
from bench.peers.taskspooler import TaskSpooler

PEERS: tuple[type[Peer], ...] = (
    RqPy, Xargs, Spawn, TaskSpooler, Nq, ParallelJoblog, ParallelSql,
    HyperQueue, Huey, LiteQueue, PersistQueue, RqRedis, Slurm,
)  # fmt: skip

#: Who keeps a queue when the machine loses its power: whom a promise compares with.
KEEPERS = tuple(peer.name for peer in PEERS if peer.keeps and peer is not RqPy)
#: Who needs nothing to be fetched.
BUILT_IN = (RqPy.name, Xargs.name, Spawn.name)
