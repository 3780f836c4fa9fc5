"""``bin/nfs-lab shell``: the lab for a person, with a prompt on each node, and a few faults by hand."""

from __future__ import annotations

import os
import select
import shlex
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.nfs.lab.channel import ChannelError
from tests.nfs.lab.cluster import Computer, Lab
from tests.nfs.lab.node import CommandFailed, Node

HELP = """\
NODE                  a shell on the node; leave it by exit, or by Ctrl-]
NODE COMMAND...       run a command there
cut NODE   heal NODE  its cable
off NODE   boot NODE   reboot NODE   pause NODE   resume NODE      its machine
help   quit           quit switches every machine off"""

_LEAVE = b"\x1d"  # Ctrl-]


def serve(lab: Lab) -> int:
    """Do what the person says, until they leave."""
    print(f"nodes: {' '.join(node.name for node in [lab.server, *lab.nodes])}\n{HELP}")
    while True:
        try:
            words = shlex.split(input("nfs-lab> "))
        except EOFError:
            return 0
        except ValueError as error:  # a quote is missing
            print(error)
            continue
        if words == ["quit"]:
            return 0
        try:
            _do(lab, words)
        except (ChannelError, CommandFailed) as error:
            print(error)


def _do(lab: Lab, words: list[str]) -> None:
    nodes = {node.name: node for node in [lab.server, *lab.nodes]}
    match words:
        case []:
            pass
        case [name] if name in nodes:
            attach(nodes[name])
        case [name, *command] if name in nodes:
            done = nodes[name].run(*command, check=False, timeout=600)
            print(f"{done.out}{done.err}[{done.status}]")
        case [verb, name] if name in nodes and (action := _action(verb, nodes[name])):
            action()
        case _:
            print(HELP)


def _action(verb: str, node: Node) -> Callable[[], None] | None:
    actions = {"cut": node.link.cut, "heal": node.link.heal}
    if isinstance(node, Computer):
        actions |= {"off": node.power_off, "boot": node.boot, "reboot": node.reboot}
        actions |= {"pause": node.pause, "resume": node.resume}
    return actions.get(verb)


def attach(node: Node) -> None:
    """A shell on the node's console, from here, until it ends or the person leaves it."""
    script = "cd /lab/nfs 2>/dev/null || cd /; exec setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1"
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(node.machine.console))
        shell = node.start("/bin/sh", "-c", script, env={"TERM": os.environ.get("TERM", "dumb")})
        with _raw(sys.stdin.fileno()):
            while shell.is_running:
                ready = select.select([console, sys.stdin.fileno()], [], [], 0.2)[0]
                if console in ready:
                    os.write(sys.stdout.fileno(), console.recv(4096))
                if sys.stdin.fileno() in ready:
                    typed = os.read(sys.stdin.fileno(), 4096)
                    if not typed or _LEAVE in typed:
                        break
                    console.sendall(typed)
        shell.signal(9)
    print()


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key goes through; nothing is done where this is no terminal."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
