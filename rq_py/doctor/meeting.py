"""How two doctors on two nodes find each other in a directory, and speak by turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from rq_py import __version__
from rq_py.doctor import message
from rq_py.doctor.files import Skew
from rq_py.doctor.message import Message
from rq_py.doctor.scratch import Scratch, peer_folder, peers_in
from rq_py.runner.identity import boot_id

#: Seconds between two looks: for another doctor, and for its answer.
_LOOK_EVERY, _HEAR_EVERY = 0.3, 0.02
#: Seconds for which an answer is waited for.
PATIENCE = 60.0
#: Seconds more for somebody who was just found when the time was over.
_COURTESY = 10.0

#: What a doctor shows: what it says, a file to lock, a page that it changes.
SAID, LOCK, PAGE = "said", "lock", "page"


class Lost(Exception):
    """The other doctor went away, or took another partner."""


class Meeting:
    """One doctor, as ``node``, that looks for another in the directory of ``scratch``. Raises OSError."""

    def __init__(self, scratch: Scratch, node: str) -> None:
        self._scratch = scratch
        self.me = Message(scratch.token, node, boot_id(), __version__)
        self.saw_namesake = False  #: another doctor was there, but on a node of the same name
        self._first: dict[str, Message] = {}
        scratch.show({SAID: self.me.encode(), LOCK: b"\n", PAGE: scratch.token.encode()})

    def find(self, seconds: float) -> Dialogue | None:
        """Wait for another doctor, at most so long; None where none came."""
        deadline = time.monotonic() + seconds
        while True:
            self._say()
            self._scratch.refresh()
            others = list(self._others())
            for other in others:
                if other.token == self.me.partner and other.partner == self.me.token:
                    return Dialogue(self._scratch, self.me, other)
            self.me = replace(self.me, partner=_choice(others, self.me))
            late = time.monotonic() - deadline
            if late >= (_COURTESY if self.me.partner else 0):
                return None
            time.sleep(_LOOK_EVERY)

    def _say(self) -> None:
        self.me = replace(self.me, beat=self.me.beat + 1, wall=message.now())
        message.write(self._scratch.shown / SAID, self.me.encode())

    def _others(self) -> Iterator[Message]:
        """The other doctors that are alive: whose message changes, or names this one's partner."""
        for token in peers_in(self._scratch.directory):
            if token == self.me.token:
                continue
            other = None
            with suppress(OSError):  # it is leaving, or another user's
                other = Message.decode(message.read(peer_folder(self._scratch.directory, token) / SAID))
            if other is None or other.token != token:
                continue
            is_alive = self._first.setdefault(token, other) != other or other.partner == self.me.token
            if is_alive and other.node == self.me.node:
                self.saw_namesake = True
            elif is_alive:
                yield other


def _choice(others: list[Message], me: Message) -> str:
    """Whom to speak with: whoever has chosen this doctor, else the first that is free; '' for nobody."""
    chosen_by = [other.token for other in others if other.partner == me.token]
    free = [other.token for other in others if other.turn == 0]
    return min(chosen_by or free, default="")


class Dialogue:
    """Two doctors speak by turns, the one with the lesser token first; each turn bounds the clocks' skew."""

    def __init__(self, scratch: Scratch, me: Message, other: Message) -> None:
        self.me = me
        self.other = other
        self.is_first = me.token < other.token
        self.mine = scratch.shown
        self.theirs = peer_folder(scratch.directory, other.token)
        self._turn = 0
        self._spoke = 0.0
        self._least, self._most = float("-inf"), float("inf")

    def say(self, *words: str) -> None:
        """Take a turn. Raises OSError."""
        self._turn += 1
        self._spoke = message.now()
        self.me = replace(self.me, turn=self._turn, wall=self._spoke, words=" ".join(words))
        message.write(self.mine / SAID, self.me.encode())

    def hear(self) -> list[str]:
        """Wait for the other one's turn and return its words. Raises Lost."""
        self._turn += 1
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                said = Message.decode(message.read(self.theirs / SAID))
            except OSError:
                raise Lost from None
            heard = message.now()
            if said and said.partner not in ("", self.me.token):
                raise Lost
            if said and said.turn >= self._turn:
                break
            if time.monotonic() > deadline:
                raise Lost
            time.sleep(_HEAR_EVERY)
        if self._spoke:
            # It read its clock after this one had spoken, and before this one heard it.
            self._least = max(self._least, said.wall - heard)
            self._most = min(self._most, said.wall - self._spoke)
        return said.words.split()

    def part(self) -> None:
        """Wait until the other one has heard the last words, and so removed what it showed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                message.read(self.theirs / SAID)
            except OSError:
                return
            time.sleep(_HEAR_EVERY)

    @property
    def skew(self) -> Skew:
        """By how much the other one's clock is ahead, after both have spoken."""
        return Skew(self._least, self._most)
