"""Completion: each shell's script works in that shell, and offers what is really in the queue."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.cli.modes import MODES
from rq_py.job import JobSpec
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """Jobs with tags: three that wait, one that has ended."""
    queue = Queue.create(queue_path)
    queue.submit("echo one", tag="important", cwd="/")
    queue.submit("two: with a colon", tag="not so important", cwd="/", stage=True)
    queue.submit("three", cwd="/", stage=True)
    return queue


@pytest.fixture
def shell(rqpy: Rqpy, tmp_path: Path) -> Rqpy:
    """``rqpy`` on the PATH, as the scripts call it."""
    program = tmp_path / "programs" / "rqpy"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m rq_py "$@"\n')
    program.chmod(0o755)
    rqpy.environment["PATH"] = f"{program.parent}:{rqpy.environment['PATH']}"
    return rqpy


def run(shell: Rqpy, program: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shlex.split(program), "-c", script],
        env=shell.environment,
        cwd=shell.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bash(shell: Rqpy, *words: str, environment: str = "") -> list[str]:
    """What bash offers for the last word, as it splits words: before and behind each ``=``."""
    split = [part for word in words for part in _split(word)]
    line = " ".join(map(shlex.quote, ["rqpy", *split]))
    script = (
        'eval "$(rqpy completion bash)"\n'
        f"COMP_WORDS=({line}); COMP_CWORD={len(split)}\n{environment}\n"
        "_rqpy_completion rqpy\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = run(shell, "bash", script)
    # Outside of a real completion compopt says that there is none.
    assert not [line for line in done.stderr.splitlines() if "compopt" not in line]
    return done.stdout.splitlines()[:-1] if done.stdout == "\n" else done.stdout.splitlines()


def _split(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [part for part in (name, equals, value) if part] or [""]


def test_modes_and_options(shell: Rqpy, queue: Queue) -> None:
    assert bash(shell, "sta") == ["status", "start"]
    assert set(bash(shell, "q", "")) == set(MODES), "q is a queue here, and not the mode query"
    assert bash(shell, "q", "list", "--out") == ["--output"]
    assert bash(shell, "-p9", "q", "submit", "--pri") == ["--priority"]
    assert bash(shell, "q", "list", "-o", "js") == ["json", "jsonl"]
    assert bash(shell, "q", "list", "--output=t") == ["table"]
    assert bash(shell, "q", "list", "--fields", "jid,sub") == ["jid,submitted", "jid,submitter"]
    assert bash(shell, "help", "resu") == ["resubmit"]
    assert bash(shell, "q", "cron", "s") == ["start", "stop", "shutdown"]
    assert bash(shell, "completion", "") == ["bash", "zsh", "fish"]
    assert bash(shell, "q", "create", "sh") == ["shell="]
    assert bash(shell, "q", "submit", "--", "--pri") == []


def test_jids_states_and_tags_of_the_queue(shell: Rqpy, queue: Queue) -> None:
    assert bash(shell, "q", "list", "") == [
        *("pending", "holding", "running", "finished", "dead", "all"),
        *("3", "2", "1"),
    ]
    assert bash(shell, "q", "delete", "3", "p") == ["pending"]
    assert bash(shell, "q", "update", "3", "2") == ["2"]
    assert bash(shell, "q", "stdout", "") == [], "none has started"
    shell("feed", "--until-empty", queue=queue.path, check=True)
    assert bash(shell, "q", "stdout", "") == ["1"]
    assert bash(shell, "q", "update", "sta") == ["state="]
    assert bash(shell, "--queue", "q", "tail", "") == ["3", "2"]
    assert bash(shell, "tail", "", environment="export RQ_Q=q") == ["3", "2"]
    assert bash(shell, "q", "submit", "--tag", "") == ["important", "'not so important'"]
    assert bash(shell, "q", "submit", "--tag=imp") == ["important"]
    assert bash(shell, "q", "query", "tag=imp") == ["important"]
    assert bash(shell, "q", "query", "state=h") == ["holding"]
    queue.submit_many([JobSpec("look", kind="human", key="k"), JobSpec("true")])
    assert bash(shell, "q", "complete", "") == ["4"]
    assert bash(shell, "q", "submit", "--key", "") == ["k"]


def test_errors_are_silent(shell: Rqpy, queue: Queue) -> None:
    assert bash(shell, "nowhere", "stdout", "") == []
    assert bash(shell, "a", "b", "c", "") == []
    (queue.path / "queue.yml").write_text("nonsense")
    assert bash(shell, "q", "stdout", "") == []
    done = shell("list", env={"_RQPY_COMPLETE": "bash_complete"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = shell("list", env={"_RQPY_COMPLETE": "tcsh_complete"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_fast_with_many_jobs(shell: Rqpy, queue: Queue) -> None:
    queue.submit_many(JobSpec("true", tag=f"t{number % 9}", cwd="/") for number in range(50_000))
    begin = time.monotonic()
    offered = bash(shell, "q", "list", "49")
    assert time.monotonic() - begin < 3, "starting bash and rqpy twice, on a busy machine"
    assert offered[:2] == ["49999", "49998"]
    assert len(offered) == 200


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
def test_fish(shell: Rqpy, queue: Queue) -> None:
    script = 'rqpy completion fish | source; complete -C "rqpy q update "'
    done = run(shell, "fish --no-config", script)
    assert "3\tholding three" in done.stdout.splitlines()
    assert "pending" in done.stdout.splitlines()


#: What zsh's completion system does with the offers, outside of a line editor: they are printed.
ZSH = """
compdef() { }
_describe() { print -l -- $completions_with_descriptions }
compadd() { print -l -- $completions }
eval "$(rqpy completion zsh)"
words=(rqpy q WORDS '') CURRENT=4
_rqpy_completion
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh(shell: Rqpy, queue: Queue) -> None:
    done = run(shell, "zsh -f", ZSH.replace("WORDS", "update"))
    assert {"pending", "3:holding three", "2:holding two: with a colon"} <= set(done.stdout.splitlines())


#: A zsh at a terminal of its own: the keys are typed, Tab among them, and then the line is echoed.
TYPED = """
zmodload zsh/zpty
zpty -b typed zsh -f -i
zpty -w typed 'PS1= PS2= RPS1=; setopt no_prompt_cr; bindkey -e; autoload -Uz compinit; compinit -u -D
eval "$(rqpy completion zsh)"; echo rea""dy'
until [[ $line == *ready* ]]; do zpty -r typed line; done
zpty -n -w typed $'KEYS\t\x01echo "typed: \x05"\n'
until [[ $line == *$'\n'typed:* || $line == typed:* ]]; do zpty -r typed line; done
print -r -- $line
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("rqpy q resu", "rqpy q resubmit"),
        ("rqpy q list hol", "rqpy q list holding"),
        ("rqpy q submit --tag imp", "rqpy q submit --tag important"),
        ("rqpy q list --verb", "rqpy q list --verbosity"),
        ("rqpy q list -v deb", "rqpy q list -v debug"),
    ],
)
def test_zsh_at_a_terminal(shell: Rqpy, queue: Queue, keys: str, line: str) -> None:
    done = run(shell, "zsh -f", TYPED.replace("KEYS", keys))
    assert f"typed: {line}" in done.stdout.splitlines(), done


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_scripts_are_printed(rqpy: Rqpy, name: str) -> None:
    assert "_RQPY_COMPLETE" in rqpy("completion", name, check=True).stdout
    assert rqpy("completion", "tcsh").returncode == 2
