"""The whole lab: a server, clients and namespace nodes on one wire; set up together and always taken down."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from tests.nfs.lab.channel import ChannelError
from tests.nfs.lab.diary import Diary
from tests.nfs.lab.fetching import fetch
from tests.nfs.lab.image import Image
from tests.nfs.lab.machine import HERE, Machine
from tests.nfs.lab.node import CommandFailed, Node
from tests.nfs.lab.wire import Wire
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.nfs.lab.trial import Verdict

T = TypeVar("T")

#: Seconds of the server's leases and grace periods (90 by default, which only makes every wait longer).
LEASE = 10

#: Where clients and namespace nodes have the export, and the queue in it.
MOUNT = "/lab/nfs"
QUEUE = f"{MOUNT}/q"

#: Where the jobs and submitters of every node write down what they do: on the node's own disk.
EVIDENCE = "/lab/evidence"

#: Where disks and sockets are: in a folder rqlab-<pid>-<by chance>.
WORK = Path("/var/tmp")

_CLIENT_MEMORY = 1024  # MiB
_SERVER_MEMORY = 1024
_DISK = 8 << 30  # bytes, of which only what is written takes room


@dataclass(frozen=True)
class Plan:
    """What a lab consists of, and how its clients mount."""

    clients: int = 2
    namespaces: int = 0  #: further nodes in each client
    nfs: str = "4.2"
    mount_options: str = ""
    seed: int = 0
    keep: bool = False  #: whether the disks outlive the lab, in its folder


class Namespace(Node):
    """A further node in a client's machine: own network, host name, mounts, NFS client; the same kernel."""

    def enter(self) -> None:
        """Make the namespaces: what is run here afterwards runs in them."""
        self.prefix = ()
        holder = self.start("unshare", "--net", "--uts", "--mount", "sleep", "infinity")
        # They are there when unshare has become sleep.
        wait_until(lambda: any(seen.argv[0] == "sleep" for seen in self.processes("infinity")), 60)
        device = f"n{self.address.rpartition('.')[2]}"
        self.sh(
            'ip link add link eth0 name "$1" address "$2" type macvlan mode bridge\n'
            'ip link set "$1" netns "$3"',
            device, self.hardware, str(holder.pid),
        )  # fmt: skip
        self.prefix = ("nsenter", "-t", str(holder.pid), "-n", "-u", "-m", "--")
        self.sh(
            'hostname "$1"; ip link set lo up; ip address add "$2" dev "$3"; ip link set "$3" up;'
            "mount -t tmpfs run /run",  # where rpcbind of this node has its socket
            self.name, f"{self.address}/24", device,
        )  # fmt: skip


class Computer(Node):
    """A node that is a machine of its own: it can lose its power, stand still, and boot."""

    def __init__(self, machine: Machine, wire: Wire, diary: Diary, prepare: Callable[[], None]) -> None:
        super().__init__(machine.name, machine, machine.address, machine.hardware, wire, diary)
        self.prepare = prepare

    def power_off(self) -> None:
        """Cut the power, at this instant; also of the namespace nodes in it."""
        self.diary.fault(f"power off {self.name}")
        self.machine.power_off()

    def boot(self) -> None:
        """Switch it on, and wait until it has mounted (or exports) the queue's folder."""
        self.machine.power_on()
        self.machine.wait_for_agent()
        self.prepare()
        self.diary.note(f"{self.name} has booted")

    def reboot(self) -> None:
        """Cut the power and switch it on again."""
        self.power_off()
        self.boot()

    def pause(self) -> None:
        """Freeze it as a whole, its clocks too, as a suspended virtual machine."""
        self.diary.fault(f"pause {self.name}")
        self.machine.pause()

    def resume(self) -> None:
        """Let it go on, unaware."""
        self.diary.note(f"resume {self.name}")
        self.machine.resume()


class Lab:
    """The lab as a context: set up at its beginning, taken down at its end, whatever happens in between."""

    def __init__(self, image: Image, plan: Plan, folder: Path) -> None:
        """``folder``, which must not exist, is for logs and evidence; disks live as long as the lab."""
        self.plan = plan
        self.folder = folder
        self.random = random.Random(plan.seed)
        folder.mkdir(parents=True)
        self.diary = Diary(folder / "diary")
        self.verdicts: list[Verdict] = []
        # Its path is short (sun_path has 108 bytes) and has no blanks (it is on the kernel's command line).
        self._work = Path(tempfile.mkdtemp(prefix=f"rqlab-{os.getpid()}-", dir=WORK))
        self.wire = Wire(self._work / "wire")
        self._image = image
        self.server = Computer(self._machine("server", 1), self.wire, self.diary, self._prepare_server)
        self.clients: list[Computer] = []
        self.nodes: list[Node] = []
        for number in range(1, plan.clients + 1):
            self._add_client(number)
        self._hosts = self._work / "hosts"
        self._write_hosts()

    def __enter__(self) -> Self:
        try:
            self._boot_all()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, Exception):  # what was written down shows why
                self._rescue()
        finally:
            self.close()

    def fetch(self) -> None:
        """Copy what every node wrote down, and the queue as it is on the server's disk, into ``folder``.

        Raises CommandFailed, and ChannelError when a machine is off or paused.
        """
        for node in self.nodes:
            self._fetch_node(node)
        self._fetch_queue()

    def _fetch_node(self, node: Node) -> None:
        for part in ("evidence", "logs", "var-tmp"):
            fetch(node, f"{node.disk}/{part}", self.folder / node.name / part)

    def _fetch_queue(self) -> None:
        fetch(self.server, "/lab/disk/export", self.folder / "export")

    def _rescue(self) -> None:
        """Fetch what can still be fetched."""
        for node in self.nodes:
            if node.machine.answers:
                with suppress(ChannelError, CommandFailed):
                    self._fetch_node(node)
        if self.server.machine.answers:
            with suppress(ChannelError, CommandFailed):
                self._fetch_queue()

    def close(self) -> None:
        """Kill every machine, and keep of them only consoles."""
        for machine in self.machines:
            machine.power_off()
        self.wire.close()
        self.diary.close()
        for machine in self.machines:
            for console in sorted(machine.folder.glob("boot-*/console")):
                shutil.copy(console, self.folder / f"{machine.name}.{console.parent.name}.console")
            if self.plan.keep:
                shutil.move(machine.disk, self.folder / f"{machine.name}.disk")
        shutil.rmtree(self._work)

    @property
    def machines(self) -> list[Machine]:
        """Every machine, the server first."""
        return [self.server.machine, *(client.machine for client in self.clients)]

    @property
    def accelerator(self) -> str:
        """What the machines run on, as QEMU's option says it: kvm, or tcg where they are emulated."""
        return self._image.accelerator

    def node(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in [self.server, *self.nodes] if node.name == name)

    def wait_until(self, predicate: Callable[[], T], deadline: float = 120, interval: float = 0.5) -> T:
        """The first true value of ``predicate``; AssertionError after ``deadline`` seconds."""
        return wait_until(predicate, deadline, interval)

    def _machine(self, name: str, number: int) -> Machine:
        memory = _SERVER_MEMORY if name == "server" else _CLIENT_MEMORY
        return Machine(name, number, self._work / name, self._image, self.wire.path, memory, _DISK)

    def _add_client(self, number: int) -> None:
        name = f"c{number}"
        machine = self._machine(name, number + 1)
        namespaces = []
        for inner, letter in enumerate("abcdefgh"[: self.plan.namespaces]):
            last = 16 * (number + 1) + inner
            namespaces.append(
                Namespace(
                    f"{name}{letter}",
                    machine,
                    f"10.77.0.{last}",
                    f"52:54:00:77:00:{last:02x}",
                    self.wire,
                    self.diary,
                )
            )
        client: Computer

        def prepare() -> None:
            for namespace in namespaces:  # before the client mounts: they would inherit it
                namespace.enter()
            for node in [client, *namespaces]:
                self._prepare_client(node)

        client = Computer(machine, self.wire, self.diary, prepare)
        self.clients.append(client)
        self.nodes += [client, *namespaces]

    def _write_hosts(self) -> None:
        names = [f"{node.address} {node.name}\n" for node in [self.server, *self.nodes]]
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(names), encoding="ascii")

    def _prepare_server(self) -> None:
        self.server.run("/bin/sh", "-eu", str(HERE / "server.sh"), str(LEASE), str(self._hosts))

    def _prepare_client(self, node: Node) -> None:
        node.run(
            "/bin/sh", "-eu", str(HERE / "client.sh"),
            node.name, self.plan.nfs, self.plan.mount_options, str(self._hosts),
        )  # fmt: skip

    def _boot_all(self) -> None:
        for machine in self.machines:
            machine.power_on()
        in_parallel(machine.wait_for_agent for machine in self.machines)
        self.server.prepare()
        in_parallel(client.prepare for client in self.clients)
        self.diary.note(f"the lab is up, with NFS {self.plan.nfs}")


def remove_leftovers() -> None:
    """Remove what labs have left whose process was killed; their machines died with it."""
    for folder in WORK.glob("rqlab-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder)


def in_parallel(actions: Iterable[Callable[[], object]]) -> None:
    """Do several things that mostly wait; the first error is raised when all have ended."""
    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(action) for action in actions]:
            future.result()
