"""One virtual machine: its disk, its QEMU process, power and pause; and what its time is in the lab's."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.nfs.lab import agent as guest_agent
from tests.nfs.lab.channel import Agent, ChannelError, Qmp, listen
from tests.nfs.lab.image import Image

HERE = Path(__file__).resolve().parent

#: Seconds from power on to an agent that answers; under emulation on a busy machine it takes ten.
BOOT_DEADLINE = 180

# PR_SET_PDEATHSIG, by which a machine cannot outlive the lab, means the thread that started it (prctl(2)):
# so one thread starts them all and lives as long as the lab.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


@dataclass(frozen=True)
class Moment:
    """The same instant on two clocks, in seconds: a guest's CLOCK_BOOTTIME and the lab's clock."""

    boottime: float
    lab: float


@dataclass
class Boot:
    """One life of a machine."""

    boot_id: str
    agent: Agent
    moments: list[Moment] = field(default_factory=list)


class Machine:
    """A machine that can be switched on and off; its disk stays."""

    def __init__(
        self, name: str, number: int, folder: Path, image: Image, wire: Path, memory: int, disk: int
    ) -> None:
        """``memory`` in MiB, ``disk`` in bytes."""
        self.name = name
        self.address = f"10.77.0.{number}"
        self.hardware = f"52:54:00:77:00:{number:02x}"
        self.folder = folder
        self.boots: list[Boot] = []
        self._image = image
        self._wire = wire
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._stood: Moment | None = None  # when it was paused
        folder.mkdir()
        self.disk = folder / "disk"
        with self.disk.open("wb") as file:
            file.truncate(disk)
        subprocess.run(
            ["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", self.disk],
            check=True,
        )

    @property
    def is_on(self) -> bool:
        """Whether its QEMU runs (paused or not)."""
        return self._process is not None and self._process.poll() is None

    @property
    def answers(self) -> bool:
        """Whether its agent can be asked: it is on, and not paused."""
        return self.is_on and self._stood is None

    @property
    def agent(self) -> Agent:
        """The agent of the present boot."""
        if not self.is_on:
            raise ChannelError(f"{self.name} is off")
        return self.boots[-1].agent

    @property
    def console(self) -> Path:
        """The socket of the present boot's serial console."""
        return self.folder / f"boot-{len(self.boots)}" / "tty"

    def power_on(self) -> None:
        """Start it; ``wait_for_agent`` says when it is up."""
        if self.is_on:
            raise ChannelError(f"{self.name} is on already")
        life = self.folder / f"boot-{len(self.boots) + 1}"
        life.mkdir()
        self._qmp = Qmp(listen(life / "qmp"))
        agent = Agent(listen(life / "agent"))
        start = life / "start.sh"
        start.write_text(self._start_script(), encoding="utf-8")
        argv = self._command_line(life, start)
        (life / "qemu.command").write_text(shlex.join(argv) + "\n", encoding="utf-8")
        with (life / "qemu.log").open("wb") as log:
            self._process = _starter.submit(
                lambda: subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *argv],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            ).result()  # fmt: skip
        self.boots.append(Boot("", agent))

    def wait_for_agent(self) -> None:
        """Wait until the guest answers. Raises ChannelError with the end of its console when it does not."""
        boot = self.boots[-1]
        try:
            assert self._qmp is not None
            self._qmp.connect(30)
            boot.boot_id = boot.agent.hello(BOOT_DEADLINE)
        except ChannelError as error:
            life = self.folder / f"boot-{len(self.boots)}"
            said = (life / "qemu.log").read_text(errors="replace") + (life / "console").read_text(
                errors="replace"
            )
            raise ChannelError(f"{self.name} did not come up: {error}; it said:\n{said[-2000:]}") from error
        self.note_time()

    def power_off(self) -> None:
        """Cut the power: SIGKILL to QEMU. What the guest had not written to its disk is gone."""
        if self._process is None:
            return
        if self.answers:
            with suppress(ChannelError):
                self.note_time()
        self._stood = None
        self._process.kill()
        self._process.wait()
        self._process = None
        self.boots[-1].agent.close()
        if self._qmp is not None:
            self._qmp.close()

    def pause(self) -> None:
        """Stop the processors; the guest's clocks stand still too."""
        self.note_time()
        before = self.boots[-1].moments[-1]
        stopped = self._at("stop")
        # The guest cannot be asked any more; for so short a time its clock goes as ours does.
        self._stood = Moment(before.boottime + stopped - before.lab, stopped)

    def resume(self) -> None:
        """Go on where ``pause`` stopped."""
        assert self._stood is not None, f"{self.name} is not paused"
        stood, went_on = self._stood, self._at("cont")
        self._stood = None
        after = self._measured()
        # Both ends of the pause: the same time there, two times here.
        boottime = min(stood.boottime, after.boottime)
        self.boots[-1].moments += [Moment(boottime, stood.lab), Moment(boottime, went_on), after]

    def _at(self, command: str) -> float:
        """When QEMU did this command, in the lab's time."""
        asked = time.monotonic()
        self.qmp(command)
        return (asked + time.monotonic()) / 2

    def qmp(self, command: str, **arguments: object) -> None:
        """One command for QEMU itself."""
        assert self._qmp is not None, f"{self.name} was never on"
        self._qmp(command, **arguments)

    def note_time(self) -> None:
        """Measure which boot time is which lab time, now."""
        self.boots[-1].moments.append(self._measured())

    def _measured(self) -> Moment:
        """Both clocks at the same moment: of a few tries the one with the quickest answer."""
        tries = []
        for _ in range(8):
            asked = time.monotonic()
            boottime = self.agent.ask("clock")["boottime"] / 1e9
            answered = time.monotonic()
            tries.append((answered - asked, Moment(boottime, (asked + answered) / 2)))
        return min(tries, key=lambda measured: measured[0])[1]

    def _start_script(self) -> str:
        facts = {
            "node": self.name,
            "address": f"{self.address}/24",
            "hardware": self.hardware,
            "kernel": self._image.modules,
            "python": sys.executable,
            "agent": guest_agent.__file__,
        }
        lines = [f"{name}={shlex.quote(str(value))}" for name, value in facts.items()]
        return "\n".join([*lines, f". {shlex.quote(str(HERE / 'guest.sh'))}", ""])

    def _command_line(self, life: Path, start: Path) -> list[str]:
        def device(kind: str, **options: object) -> list[str]:
            return ["-device", ",".join([kind, *(f"{name}={value}" for name, value in options.items())])]

        def channel(name: str) -> list[str]:
            return ["-chardev", f"socket,id={name},path={life / name}"]

        return [
            "qemu-system-x86_64",
            # A fifth level of page tables would only cost time.
            "-accel", self._image.accelerator, "-cpu", "max,la57=off",
            "-m", str(self._memory),
            "-nodefaults", "-nographic", "-no-reboot",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs),
            "-append", f"console=ttyS0 quiet panic=-1 mitigations=off rqlab.start={start}",
            # The console: a log, and a socket for a person.
            "-chardev", f"socket,id=tty,path={life / 'tty'},server=on,wait=off,logfile={life / 'console'}",
            "-serial", "chardev:tty",
            *channel("qmp"), "-mon", "chardev=qmp,mode=control",
            *device("virtio-serial-pci"),
            *channel("agent"), *device("virtserialport", chardev="agent", name=guest_agent.PORT),
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            # This host does not crash: leaving out its fsync changes nothing that a killed QEMU could lose.
            "-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe",
            *device("virtio-blk-pci", drive="disk"),
            "-netdev", f"stream,id=net,server=off,addr.type=unix,addr.path={self._wire}",
            *device("virtio-net-pci", netdev="net", mac=self.hardware, romfile=""),
            *device("virtio-rng-pci"),
        ]  # fmt: skip
