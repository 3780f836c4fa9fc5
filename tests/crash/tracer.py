"""Stops a process at its system calls, by ptrace(2): to count them, to kill it there, to have one fail.

Works on x86_64. No part of rq_py is changed or replaced: what runs is the program itself, in a process of its
own, and what it meets is what the kernel does.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash.calls import KINDS, Call

_SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = 0x4206, 0x4207, 0x420E
_CONT, _GETREGS, _SETREGS, _DETACH, _SYSCALL = 7, 12, 13, 17, 24
_GETEVENTMSG, _LISTEN = 0x4201, 0x4208
#: Syscall stops are told apart from signals; forks, threads and programs that are started are followed.
_OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10
_EVENT_EXEC, _EVENT_STOP = 4, 128
_EVENT_CHILD = frozenset({1, 2, 3})
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_WALL = 0x40000000
_ENTRY, _EXIT = 1, 2
_NO_CALL = (1 << 64) - 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


_REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
    "ds es fs gs"
)


class _Registers(ctypes.Structure):
    """user_regs_struct of sys/user.h."""

    _fields_ = tuple((name, ctypes.c_ulonglong) for name in _REGISTERS.split())


class _SyscallInfo(ctypes.Structure):
    """ptrace_syscall_info of linux/ptrace.h, as it is at a call's entry."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction_pointer", ctypes.c_uint64),
        ("stack_pointer", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("rest", ctypes.c_uint64 * 2),
    )


@dataclass(frozen=True, slots=True)
class Go:
    """The call is made."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL before the call is made."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The call is not made and returns this error; a close(2) is made, and returns it."""

    number: int


@dataclass(frozen=True, slots=True)
class Shorten:
    """The call gets only this many bytes to write."""

    count: int


Deed = Go | Kill | Fail | Shorten
GO = Go()


def is_possible() -> bool:
    """Whether this machine lets us trace."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return False
    try:
        return Trace(lambda: os.getpid() and 0, lambda _call: GO).run() == 0
    except OSError:
        return False


def _ptrace(request: int, pid: int, address: int = 0, data: object = None) -> int:
    result: int = _libc.ptrace(request, pid, address, data)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"ptrace {request:#x}")
    return result


@dataclass
class Trace:
    """Runs ``program`` in a forked process, and asks ``judge`` what becomes of each of its calls.

    Its threads are traced too. A process that it starts is let go. With ``whose`` it is not the calls of the
    program itself that are judged, but those of each process that it starts for which this is true: it is
    asked of a pid when that begins to run its program.
    """

    program: Callable[[], int]
    judge: Callable[[Call], Deed]
    whose: Callable[[int], bool] | None = None
    root: int = 0
    status: int | None = None
    was_killed: bool = False
    _judged: dict[int, bool] = field(default_factory=dict)  # thread -> whether its calls are judged
    _failing: dict[int, int] = field(default_factory=dict)  # thread -> the error that its call will return
    _expected: set[int] = field(default_factory=set)  # new threads that have not stopped yet
    _seen: set[int] = field(default_factory=set)  # those that have
    _info: _SyscallInfo = field(default_factory=_SyscallInfo)

    def run(self) -> int:
        """Run to the end of the program, or until a kill; returns its status, negative for a signal."""
        reader, writer = os.pipe()
        self.root = os.fork()
        if self.root == 0:
            _be_the_program(self.program, reader)
        os.close(reader)
        try:
            _ptrace(_SEIZE, self.root, 0, _OPTIONS)
            self._judged[self.root] = self.whose is None
            _ptrace(_INTERRUPT, self.root)
        finally:
            os.write(writer, b"g")
            os.close(writer)
        try:
            while self.status is None and not self.was_killed:
                self._next()
        finally:
            self._let_all_go()
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.root, 0)[1])
        return self.status

    def _next(self) -> None:
        """Handle one event."""
        thread, status = os.waitpid(-1, _WALL)
        if not os.WIFSTOPPED(status):
            self._forget(thread)
            if thread == self.root:
                self.status = os.waitstatus_to_exitcode(status)
            return
        with suppress(ProcessLookupError):  # somebody else killed it while it was stopped
            self._handle(thread, os.WSTOPSIG(status), status >> 16)

    def _handle(self, thread: int, number: int, event: int) -> None:
        if number == _SYSCALL_STOP:
            self._at_call(thread)
            return
        if event in _EVENT_CHILD:
            self._expect(thread)
            self._go_on(thread)
        elif event == 0:
            self._go_on(thread, number)  # a signal
        elif event == _EVENT_EXEC:
            if self.whose is not None and self.whose(thread):
                self._judged[thread] = True
                self._go_on(thread)
            else:
                self._let_go(thread)
        elif event == _EVENT_STOP and thread not in self._judged:
            self._begin(thread)
        elif event == _EVENT_STOP and number in {
            signal.SIGSTOP,
            signal.SIGTSTP,
            signal.SIGTTIN,
            signal.SIGTTOU,
        }:
            _ptrace(_LISTEN, thread)  # it stays stopped, as it was told to
        else:
            self._go_on(thread)

    def _begin(self, thread: int) -> None:
        """A new thread, or a new process that has not run its program yet."""
        self._seen.add(thread)
        self._expected.discard(thread)
        with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
            values = dict(line.split(":", 1) for line in file if ":" in line)
        group, parent = int(values["Tgid"]), int(values["PPid"])
        elder = group if group != thread else parent
        if group == thread and self.whose is None:
            self._let_go(thread)
            return
        self._judged[thread] = self._judged.get(elder, False)
        self._go_on(thread)

    def _expect(self, parent: int) -> None:
        """A fork or a new thread: its own first stop may have been seen already, or is still to come."""
        message = ctypes.c_ulong()
        _ptrace(_GETEVENTMSG, parent, 0, ctypes.byref(message))
        if message.value not in self._seen:
            self._expected.add(message.value)

    def _at_call(self, thread: int) -> None:
        _ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(self._info), ctypes.byref(self._info))
        if self._info.op == _EXIT and thread in self._failing:
            self._set(thread, rax=(1 << 64) - self._failing.pop(thread))
        if self._info.op == _ENTRY and self._judged.get(thread):
            kind = KINDS.get(self._info.number)
            if kind is not None:
                call = Call(thread, kind, tuple(self._info.arguments))
                if call.counts:
                    self._do(thread, call, self.judge(call))
                    if self.was_killed:
                        return
        self._go_on(thread)

    def _do(self, thread: int, call: Call, deed: Deed) -> None:
        match deed:
            case Kill():
                self._set(thread, orig_rax=_NO_CALL)
                self.was_killed = True
                os.kill(thread, signal.SIGKILL)
            case Fail(number):
                self._failing[thread] = number
                if call.kind.name != "close":
                    self._set(thread, orig_rax=_NO_CALL)
            case Shorten(count):
                self._set(thread, rdx=count)
            case Go():
                pass

    def _set(self, thread: int, **values: int) -> None:
        registers = _Registers()
        _ptrace(_GETREGS, thread, 0, ctypes.byref(registers))
        for name, value in values.items():
            setattr(registers, name, value)
        _ptrace(_SETREGS, thread, 0, ctypes.byref(registers))

    def _go_on(self, thread: int, number: int = 0) -> None:
        _ptrace(_SYSCALL if self._judged.get(thread) or thread in self._failing else _CONT, thread, 0, number)

    def _let_go(self, thread: int) -> None:
        self._forget(thread)
        _ptrace(_DETACH, thread)

    def _let_all_go(self) -> None:
        """Detach from all that still runs; it can be done to a stopped process only."""
        for thread in self._judged:
            with suppress(ProcessLookupError):
                _ptrace(_INTERRUPT, thread)
        while self._judged or self._expected:
            try:
                # Of any: the end of a process is told when all its threads are gone.
                thread, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                self._release(thread, os.WSTOPSIG(status), status >> 16)
            elif thread == self.root:
                self.status = os.waitstatus_to_exitcode(status)
            if not os.WIFSTOPPED(status):
                self._forget(thread)

    def _release(self, thread: int, number: int, event: int) -> None:
        with suppress(ProcessLookupError):
            if event in _EVENT_CHILD:
                self._expect(thread)
            if number == _SYSCALL_STOP and thread in self._failing:
                self._at_call(thread)
                _ptrace(_INTERRUPT, thread)
                return
            self._forget(thread)
            _ptrace(_DETACH, thread, 0, 0 if event or number == _SYSCALL_STOP else number)

    def _forget(self, thread: int) -> None:
        self._seen.add(thread)
        self._expected.discard(thread)
        self._judged.pop(thread, None)
        self._failing.pop(thread, None)


def _be_the_program(program: Callable[[], int], reader: int) -> None:
    """Never returns."""
    status = 70
    try:
        os.read(reader, 1)
        os.close(reader)
        status = program()
    finally:
        os._exit(status)
