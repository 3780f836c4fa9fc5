"""What a feeder may ask for: each request checked field by field, done, and answered.

``docs/reference/runner-protocol.md`` describes them. A handler changes nothing before it has checked
everything; what it raises becomes the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from rq_py import __version__
from rq_py.errors import ProtocolError, RunnerError
from rq_py.runner import protocol
from rq_py.runner.connection import Connection
from rq_py.runner.deadman import DeadMan
from rq_py.runner.identity import boot_id, boottime
from rq_py.runner.journal import Journal, Key
from rq_py.runner.orders import Orders
from rq_py.runner.shell import MAX_REASON
from rq_py.runner.shells import MAX_SHELLS, Order, Shells

#: Exits in the answer to a hello; the others are pushed after it.
_EXITS_AT_ONCE = 500

#: Orphans, and jobs of an earlier boot, in one answer to a hello; the others are in that to a later one.
_LOST_AT_ONCE = 1000

Message = Mapping[str, object]
Answer = dict[str, object]


class Requests:
    """The table of requests, and what they act upon."""

    def __init__(self, journal: Journal, shells: Shells, orders: Orders, deadman: DeadMan) -> None:
        self._journal = journal
        self._shells = shells
        self._orders = orders
        self._deadman = deadman
        self._table: dict[str, Callable[[Message, Connection], Answer]] = {
            "hello": self._hello,
            "ready": self._ready,
            "launch": self._launch,
            "withdraw": self._withdraw,
            "confirm": self._confirm,
            "kill": self._kill,
            "renewed": self._renewed,
            "running": self._running,
            "drop": self._drop,
        }

    def answer(self, line: bytes, feeder: Connection) -> None:
        """Do what ``line`` asks for and send the answer to ``feeder``.

        Raises:
            ProtocolError: it is no JSON object, which was answered, and nothing that follows can be trusted.
            RunnerGone: the feeder does not read.

        """
        try:
            message = protocol.decode(line)
        except ProtocolError as error:
            feeder.send({"id": None, "ok": False, "error": str(error)})
            raise
        number: int | None = None
        answer: Answer
        try:
            number = protocol.take_int(message, "id")
            answer = {"id": number, "ok": True} | self._do(message, feeder)
        except VersionMismatch as error:
            answer = {"id": number, "ok": False, "error": str(error), "protocol": protocol.PROTOCOL}
        except (RunnerError, OSError) as error:
            answer = {"id": number, "ok": False, "error": str(error)}
        feeder.send(answer)

    def _do(self, message: Message, feeder: Connection) -> Answer:
        name = protocol.take_text(message, "do")
        if name not in self._table:
            raise ProtocolError(f"there is no request {name[:40]!r}")
        if name != "hello" and not feeder.greeted:
            raise ProtocolError("say hello first")
        return self._table[name](message, feeder)

    # --- one method a request ------------------------------------------------------------------------

    def _hello(self, message: Message, feeder: Connection) -> Answer:
        theirs = protocol.take_int(message, "protocol")
        if theirs != protocol.PROTOCOL:
            raise VersionMismatch(
                f"the runner speaks version {protocol.PROTOCOL} of the protocol, the feeder {theirs}: "
                "it keeps its jobs and their exits for a feeder of its own version"
            )
        shell = protocol.take_argv(message, "shell")
        self._shells.use(shell, protocol.take_environment(message, "env"))
        self._orders.forget()  # or their absence from the answer would prove nothing
        feeder.greeted = True
        feeder.offers.clear()
        feeder.offer(self._journal.exits.values())
        first = [feeder.offers.popleft() for _ in range(min(_EXITS_AT_ONCE, len(feeder.offers)))]
        orphans = [job for key, job in self._journal.goings.items() if not self._shells.runs(key)]
        rebooted = list(self._journal.rebooted.values())
        cut = bool(feeder.offers) or max(len(orphans), len(rebooted)) > _LOST_AT_ONCE
        return {
            "protocol": protocol.PROTOCOL,
            "version": __version__,
            "journal": self._journal.id,
            "boot": boot_id(),
            "pid": os.getpid(),
            "running": self._shells.running(),
            "exits": first,
            "orphans": orphans[:_LOST_AT_ONCE],
            "rebooted": rebooted[:_LOST_AT_ONCE],
            "complete": not cut,
        }

    def _ready(self, message: Message, _feeder: Connection) -> Answer:
        count = protocol.take_int(message, "count", high=MAX_SHELLS)
        self._shells.keep_ready(count)
        return {"shells": self._shells.list_ready(count)}

    def _launch(self, message: Message, _feeder: Connection) -> Answer:
        orders = [_order(item) for item in protocol.take_objects(message, "jobs")]
        slots = protocol.take_int(message, "slots", high=MAX_SHELLS)
        launched, refused = self._orders.take(orders, slots)
        ahead = 0 if self._orders.wait else min(len(orders), slots)  # what waits takes any shell
        return {
            "launched": [wire_key(key) for key in launched],
            "failed": [wire_key(key) | {"error": why} for key, why in refused],
            "shells": self._shells.list_ready(ahead),
        }

    def _withdraw(self, _message: Message, _feeder: Connection) -> Answer:
        return {"withdrawn": [wire_key(key) for key in self._orders.withdraw()]}

    def _confirm(self, message: Message, _feeder: Connection) -> Answer:
        self._shells.forget([protocol.take_key(item) for item in protocol.take_objects(message, "exits")])
        return {}

    def _kill(self, message: Message, _feeder: Connection) -> Answer:
        signum = protocol.take_int(message, "signal", low=1, high=64)
        key = protocol.take_key(message)
        reason = _reason(message)
        self._orders.drop(key)
        return {"signalled": self._shells.kill(key, signum, reason)}

    def _renewed(self, message: Message, _feeder: Connection) -> Answer:
        lease, at = protocol.take_seconds(message, "lease"), protocol.take_seconds(message, "at")
        now = boottime()
        # What is overdue ends all the same: after a freeze this may be heard before the loop sees the clock.
        self._deadman.tick(now, self._shells.restartable_trees)
        if self._deadman.look(now):
            self._orders.refuse_all()
        self._deadman.renew(lease, at, now)
        return {}

    def _running(self, _message: Message, _feeder: Connection) -> Answer:
        return {"running": self._shells.running()}

    def _drop(self, _message: Message, _feeder: Connection) -> Answer:
        self._shells.dismiss()
        return {}


class VersionMismatch(ProtocolError):
    """The feeder speaks another version of the protocol."""


def _order(item: Message) -> Order:
    return Order(
        pid=None if item.get("pid") is None else protocol.take_int(item, "pid", low=1),
        key=protocol.take_key(item),
        restartable=protocol.take_bool(item, "restartable"),
        script=protocol.take_bytes(item, "script"),
    )


def _reason(message: Message) -> str | None:
    """What the exit of a job that is killed is to say, if anything."""
    if message.get("reason") is None:
        return None
    return protocol.take_bytes(message, "reason")[:MAX_REASON].decode("utf-8", "replace")


def wire_key(key: Key) -> Answer:
    """Return ``key`` as the fields of a message."""
    jid, attempt, token = key
    return {"jid": jid, "attempt": attempt, "token": token}
