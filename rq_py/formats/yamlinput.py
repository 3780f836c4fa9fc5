"""Jobs given as YAML: mappings of fields, streamed one job at a time from the events of the parser.

A document is never built as a whole: a list of a million jobs takes the memory of one. No value is
converted by its looks; the field that it stands in says what it is, so that ``command: 42`` and
``tag: 2004-11-12`` stay the texts that they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from rq_py.errors import InputError
from rq_py.formats.excerpt import shown
from rq_py.formats.jobspec import Alike, spec_from_mapping
from rq_py.formats.lineinput import Readable

#: The longest text of one job in bytes. A command of 64 KiB and 1 MiB of variables fit, escaped as
#: lavishly as YAML can.
MAX_JOB_BYTES = 8 * 1024 * 1024
#: The longest input in bytes.
MAX_INPUT_BYTES = 1024 * 1024 * 1024

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})  # yaml.org/type/null.html
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})  # yaml.org/type/bool.html
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,19})")
#: What is no character of YAML (yaml.org/spec/1.1, 5.1), lone surrogates among it.
_NO_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: With what a chunk may begin because the one before it ended in a character.
_END_OF_CHARACTER = re.compile(rb"^[\x80-\xbf]{1,3}")
_FLAGS = frozenset({"restartable", "stage", "collect"})
_TYPED = frozenset({"priority", "retries", *_FLAGS})

Fields = dict[str, object]


def read_yaml(stream: Readable, source: str, first_line: int = 1) -> Iterator[Alike]:
    """Read jobs from YAML: a list of mappings, one mapping, or several documents of these.

    ``stream`` begins at line ``first_line`` of ``source``, which errors name. Raises InputError for what is
    not YAML or not UTF-8, for tags, aliases and nested values, and for what ``spec_from_mapping`` refuses.
    """
    for line, fields in read_mappings(stream, source, first_line):
        spec = spec_from_mapping(fields, f"{source} line {line}")
        jid = fields.get("jid")
        yield Alike(spec, (spec.command,), jid if isinstance(jid, str) else None)


def read_mappings(stream: Readable, source: str, first_line: int = 1) -> Iterator[tuple[int, Fields]]:
    """Read the mappings of a YAML stream with the line at which each begins; their fields are not checked.

    ``priority`` is an int where it is written as one, ``restartable`` and ``stage`` are bools, ``env`` is a
    mapping, ``after`` may be a list, a plain null is None, and everything else is the text as written.
    Raises InputError.
    """
    return _Documents(stream, source, first_line).mappings()


class _Documents:
    """One pass over a YAML stream."""

    def __init__(self, stream: Readable, source: str, first_line: int) -> None:
        import yaml

        self._yaml_error = yaml.YAMLError
        self._events = yaml.events
        self._scalar = yaml.events.ScalarEvent
        self._mapping_end = yaml.events.MappingEndEvent
        self._source = source
        self._first_line = first_line
        self._line = first_line  # of the last job, or of what was wrong
        self._bounded = _Bounded(stream, self._error)
        self._loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._next: Callable[[], Any]

    def mappings(self) -> Iterator[tuple[int, Fields]]:
        """The jobs of all documents, as mappings, each with its line."""
        try:
            self._next = self._loader(self._bounded).get_event
            yield from self._stream()
        except (self._yaml_error, ValueError, OverflowError) as error:
            # The parsers let the latter two through: for a tag that is not UTF-8 once its % escapes are
            # undone, for a character beyond Unicode, and for a version of thousands of digits.
            raise self._not_yaml(error) from None

    def _stream(self) -> Iterator[tuple[int, Fields]]:
        """All documents."""
        events = self._events
        while (event := self._next()) is not None:
            if not isinstance(event, events.DocumentStartEvent):
                continue  # the beginning and end of the stream, the ends of documents
            event = self._next()
            if isinstance(event, events.SequenceStartEvent):
                yield from self._list(event)
            elif isinstance(event, events.MappingStartEvent):
                yield self._job(event)
            elif not (isinstance(event, events.ScalarEvent) and self._plain(event) is None):
                raise self._error(f"{self._what(event)}, not a list of jobs", event)

    def _list(self, start: Any) -> Iterator[tuple[int, Fields]]:
        """The items of a list of jobs."""
        self._untagged(start)
        events = self._events
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            if not isinstance(event, events.MappingStartEvent):
                raise self._error(f"{self._what(event)}, not a job with `command: ...`", event)
            yield self._job(event)

    def _job(self, start: Any) -> tuple[int, Fields]:
        """One job, behind the start of its mapping."""
        line = self._line = self._first_line + start.start_mark.line
        self._untagged(start)
        self._bounded.restart()
        fields: Fields = {}
        scalar, following = self._scalar, self._next
        while not isinstance(key := following(), self._mapping_end):
            name = self._name(key, fields)
            event = following()
            if isinstance(event, scalar):
                fields[name] = self._value(name, event)
            elif name == "env" and isinstance(event, self._events.MappingStartEvent):
                self._untagged(event)
                fields[name] = self._variables()
            elif name == "after" and isinstance(event, self._events.SequenceStartEvent):
                self._untagged(event)
                fields[name] = self._texts(name)
            elif name == "attempts" and isinstance(event, self._events.SequenceStartEvent):
                self._pass_over(event)  # what the queue has written is left behind
            else:
                raise self._error(f"{shown(name)}: {self._what(event)}, not a single value", event)
        return line, fields

    def _pass_over(self, event: Any) -> None:
        """Read to the end of what begins with ``event``."""
        events, depth = self._events, 1
        while depth:
            event = self._next()
            if isinstance(event, events.CollectionStartEvent):
                depth += 1
            elif isinstance(event, events.CollectionEndEvent):
                depth -= 1

    def _texts(self, name: str) -> list[str | None]:
        """The list of single values in field ``name``, behind its start."""
        texts = []
        while not isinstance(event := self._next(), self._events.SequenceEndEvent):
            if not isinstance(event, self._scalar):
                raise self._error(f"{shown(name)}: {self._what(event)}, not a single value", event)
            texts.append(self._plain(event))
        return texts

    def _variables(self) -> Fields:
        """The mapping ``env``, behind its start; values that are no text are left to the checks."""
        variables: Fields = {}
        while not isinstance(key := self._next(), self._mapping_end):
            name = self._name(key, variables)
            event = self._next()
            if not isinstance(event, self._scalar):
                raise self._error(f"env: {shown(name)}: {self._what(event)}, not a text", event)
            variables[name] = self._plain(event)
        return variables

    def _name(self, event: Any, taken: Fields) -> str:
        """The name of a field, which must not be ``taken``."""
        if not isinstance(event, self._scalar):
            raise self._error(f"{self._what(event)}, where the name of a field must stand", event)
        name: str = event.value
        if event.tag is not None:
            self._untagged(event)
        if name in taken:
            raise self._error(f"{shown(name)} is given twice", event)
        return name

    def _value(self, name: str, event: Any) -> object:
        """The value of field ``name``, as what the field holds."""
        text = self._plain(event)
        if name not in _TYPED or text is None or event.style:
            return text
        if name in _FLAGS:
            return text in _TRUE if text in _TRUE or text in _FALSE else text
        return int(text) if _DECIMAL.fullmatch(text) else text

    def _plain(self, event: Any) -> str | None:
        """The text of a scalar, None for a plain null."""
        if event.tag is not None:
            self._untagged(event)
        text: str = event.value
        return None if text in _NULLS and not event.style else text

    def _untagged(self, event: Any) -> None:
        """Refuse a tag: a field says itself what it holds."""
        if event.tag is not None:
            raise self._error(f"the tag {shown(event.tag)} is not read, leave it out", event)

    def _what(self, event: Any) -> str:
        """An event that should not be here, in words."""
        events = self._events
        if isinstance(event, events.AliasEvent):
            return f"the alias *{event.anchor[:60]} is not read, write the value out"
        if isinstance(event, events.SequenceStartEvent):
            return "a list"
        if isinstance(event, events.MappingStartEvent):
            return "a mapping"
        return f"the text {shown(event.value)}" if isinstance(event, events.ScalarEvent) else "nothing"

    def _error(self, message: str, event: Any = None) -> InputError:
        """An error at ``event``, or behind what was read last."""
        if event is not None:
            self._line = self._first_line + event.start_mark.line
        return InputError(f"{self._source} line {self._line}: {message}")

    def _not_yaml(self, error: Exception) -> InputError:
        """What the parser says, in one line. It has no mark for what is wrong with a character."""
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        lines = mark.line if mark else self._bounded.lines_before_no_yaml()
        where = f"line {self._line} or after it" if lines is None else f"line {self._first_line + lines}"
        return InputError(f"{self._source} {where}: is not YAML in UTF-8: {' '.join(str(reason).split())}")


class _Bounded:
    """The input as the parser reads it, limited for one job and as a whole."""

    def __init__(self, stream: Readable, error: Callable[[str], InputError]) -> None:
        self._stream = stream
        self._error = error
        self._total = 0
        self._job = 0
        self._chunk = b""
        self._lines = 0  # before that chunk

    def read(self, size: int = 64 * 1024) -> bytes:
        self._lines += self._chunk.count(b"\n")
        self._chunk = chunk = self._stream.read(size)
        self._total += len(chunk)
        self._job += len(chunk)
        if self._job > MAX_JOB_BYTES:
            raise self._error(f"a single job is longer than {MAX_JOB_BYTES} bytes")
        if self._total > MAX_INPUT_BYTES:
            raise self._error(f"the input is longer than {MAX_INPUT_BYTES} bytes, submit it in parts")
        return chunk

    def restart(self) -> None:
        """A new job begins."""
        self._job = 0

    def lines_before_no_yaml(self) -> int | None:
        """How many lines come before the first character that YAML cannot hold; None if it is not found.

        It is looked for in what was read last: the parsers look at all of that before they go on.
        """
        text = _END_OF_CHARACTER.sub(b"", self._chunk).decode("utf-8", "surrogateescape")
        found = _NO_YAML.search(text)
        return None if found is None else self._lines + text.count("\n", 0, found.start())
