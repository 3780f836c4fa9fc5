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
from rq_py.runner.journal import Journal, Record
from rq_py.runner.shells import MAX_SHELLS, Order, Shells

#: Exits in the answer to a hello; the others are pushed after it.
_EXITS_AT_ONCE = 500

#: Orphans, and jobs of an earlier boot, in one answer to a hello; the others are in that to a later one.
_LOST_AT_ONCE = 1000

Message = Mapping[str, object]
Answer = dict[str, object]


class Requests:
    """The table of requests, and what they act upon."""

    def __init__(self, journal: Journal, shells: Shells, deadman: DeadMan) -> None:
        self._journal = journal
        self._shells = shells
        self._deadman = deadman
        self._table: dict[str, Callable[[Message, Connection], Answer]] = {
            "hello": self._hello,
            "ready": self._ready,
            "launch": self._launch,
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
        overdue = self._deadman.overdue(boottime())
        allowed = [order for order in orders if not (overdue and order.restartable)]
        failed = [
            _key(order) | {"error": "the node's lease was not renewed in time"}
            for order in orders
            if overdue and order.restartable
        ]
        launched: list[Record] = []
        for order, error in zip(allowed, self._shells.launch(allowed), strict=True):
            if error is None:
                launched.append(_key(order))
            else:
                failed.append(_key(order) | {"error": error})
        return {"launched": launched, "failed": failed, "shells": self._shells.list_ready(len(orders))}

    def _confirm(self, message: Message, _feeder: Connection) -> Answer:
        self._shells.forget([protocol.take_key(item) for item in protocol.take_objects(message, "exits")])
        return {}

    def _kill(self, message: Message, _feeder: Connection) -> Answer:
        signum = protocol.take_int(message, "signal", low=1, high=64)
        return {"signalled": self._shells.kill(protocol.take_key(message), signum)}

    def _renewed(self, message: Message, _feeder: Connection) -> Answer:
        lease, at = protocol.take_seconds(message, "lease"), protocol.take_seconds(message, "at")
        self._deadman.renew(lease, at, boottime())
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
        pid=protocol.take_int(item, "pid", low=1),
        key=protocol.take_key(item),
        restartable=protocol.take_bool(item, "restartable"),
        script=protocol.take_bytes(item, "script"),
    )


def _key(order: Order) -> Answer:
    jid, attempt, token = order.key
    return {"jid": jid, "attempt": attempt, "token": token}
