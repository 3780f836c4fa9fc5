"""The examples in a document: finds the fenced blocks, runs them in one shell, compares what they print.

A ``console`` block holds commands (``$ command``, continued on lines that begin with ``> ``), each followed
by what it prints, stderr included. A ``python`` block is a program that must end well. All blocks of a
document run in order in one bash, in one folder, so that ``cd`` and variables last. What differs from run to
run (times, pids, sizes, the node, the folder) compares equal; ``...`` stands for anything within a line, and
alone on a line for any lines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What the documents call the folder in which their examples run, and the node.
FOLDER = "/nfs/demo"
NODE = "redfish"

MARK = "\x1e"

#: What is different each time, and what it compares as.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?Z?"), "TIME"),
    (re.compile(r"\b\d+h\d\dm\d\d\.\d\ds\b"), "AGE"),
    (re.compile(r"\b\d+: AGE\b"), "N: AGE"),  # which job took longest
    (re.compile(r"\b(elapsed|user_cpu|system_cpu|max_rss|pid|runner_pid|uptime|cpu|rss): [\d.]+"), r"\1: N"),
    (re.compile(rf"\b{NODE}-[0-9a-f]{{10}}\b"), NODE),
    (re.compile(r"\"?\b[0-9a-f]{32}\b\"?"), "UUID"),
    (re.compile(r"\bpid \d+"), "pid N"),
)


@dataclass
class Example:
    """One command of a document, with the line on which it stands and what it is said to print."""

    line: int
    command: str
    expected: list[str] | None = field(default_factory=list)  # None: only its exit status counts


def examples_of(text: str) -> Iterator[Example]:
    """The examples of a Markdown text, in order."""
    kind: str | None = None
    example: Example | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if kind is not None and example:
                yield example
            kind = None if kind is not None else line[3:].strip()
            example = Example(number, "", None) if kind == "python" else None
        elif kind == "python" and example:
            example.command += line + "\n"
        elif kind == "console":
            if line.startswith("$ "):
                if example:
                    yield example
                example = Example(number, line[2:])
            elif example and example.expected == [] and line.startswith("> "):
                example.command += "\n" + line[2:]
            elif example and example.expected is not None:
                example.expected.append(line)


def run(
    examples: list[Example], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[Example, str]]:
    """Run the examples in one bash and yield each with what is wrong with it ('' where nothing is)."""
    script = []
    for example in examples:
        command = example.command
        if example.expected is None:
            command = f"{shlex.quote(sys.executable)} -W error - <<'END-OF-EXAMPLE'\n{command}END-OF-EXAMPLE"
        script.append(f"{{ {command}\n}} </dev/null 2>&1; printf '{MARK}%s{MARK}' $?\n")
    done = subprocess.run(
        ["bash", "-c", "".join(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=dict(environment),
        text=True,
        check=False,
        timeout=100,
    )
    pieces = done.stdout.split(MARK)
    for index, example in enumerate(examples):
        if 2 * index + 1 >= len(pieces):
            yield example, f"never ran to its end; bash said:\n{pieces[-1]}"
            return
        printed, status = pieces[2 * index], pieces[2 * index + 1]
        yield example, verdict(example, printed.replace(str(folder), FOLDER), int(status))


def verdict(example: Example, printed: str, status: int) -> str:
    """What is wrong with the output of an example: '' or a report."""
    if example.expected is None:
        return "" if status == 0 else f"exited with {status}:\n{printed}"
    expected = "\n".join(example.expected).rstrip("\n")
    printed = printed.rstrip("\n")
    if re.fullmatch(pattern(same(expected)), same(printed)):
        return ""
    return f"printed (exit status {status})\n{printed}\n--- instead of\n{expected}"


def same(text: str) -> str:
    """The text without what is different each time."""
    for regex, replacement in VARYING:
        text = regex.sub(replacement, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def pattern(expected: str) -> str:
    """A regular expression for an expected output with its ``...``."""
    parts = []
    for line in expected.split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*(?:\n|\Z))*?")
        else:
            parts.append(r"[^\n]*".join(map(re.escape, line.split("..."))) + r"(?:\n|\Z)")
    return "".join(parts)
