"""The login environment, read from real login shells with profiles that misbehave."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rq_py.feeder import environment


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home / ".bash_profile"


def test_once_gives_what_the_profile_sets(profile: Path) -> None:
    profile.write_text("export A='one\ntwo=three' B=$'\\xff'; umask 027; export PATH=/opt/bin:$PATH\n")
    found = environment.for_jobs("bash", "once")
    assert (found.shell, found.warning, found.umask) == (["bash"], "", 0o027)
    assert found.variables["A"] == "one\ntwo=three"
    assert found.variables["B"] == "\udcff"
    assert "/opt/bin" in found.variables["PATH"]


def test_noise_before_the_environment_is_passed_over(profile: Path) -> None:
    profile.write_text("echo welcome; printf 'A=noise\\0B=noise\\0'; export A=real\nenv() { echo A=fake; }\n")
    assert environment.for_jobs("bash", "once").variables["A"] == "real"


def test_a_profile_that_hangs_costs_its_time_only(profile: Path) -> None:
    profile.write_text("sleep 1000\n")
    begun = time.monotonic()
    found = environment.for_jobs("bash", "once", limit=0.5)
    assert time.monotonic() - begun < 5
    assert "did not come to an end in time" in found.warning
    assert found.variables["HOME"] == str(profile.parent)


@pytest.mark.parametrize("text", ["exit 0\n", "exec true\n", "kill -9 $$\n"])
def test_a_profile_that_ends_the_shell_is_said(profile: Path, text: str) -> None:
    profile.write_text(text)
    assert "its profile ended it" in environment.for_jobs("bash", "once").warning


def test_a_profile_that_prints_without_end(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LONGEST_OUTPUT", 1_000_000)
    profile.write_text("yes\n")
    assert "prints without end" in environment.for_jobs("bash", "once").warning


def test_what_a_profile_leaves_running_does_not_hold_the_feeder_up(profile: Path, tmp_path: Path) -> None:
    profile.write_text(f"sleep 30 & echo $! > {tmp_path}/pid; export A=1\n")
    begun = time.monotonic()
    assert environment.for_jobs("bash", "once").variables["A"] == "1"
    assert time.monotonic() - begun < 10


def test_a_shell_that_does_not_exist_is_a_warning(profile: Path) -> None:
    found = environment.for_jobs("/no/such/shell", "once")
    assert "cannot be started" in found.warning
    assert found.variables["HOME"] == str(profile.parent)


def test_never_gives_the_feeders_own(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile.write_text("export A=profile\n")
    monkeypatch.setenv("OWN", "yes")
    found = environment.for_jobs("bash", "never")
    assert found.variables["OWN"] == "yes"
    assert "A" not in found.variables


def test_each_makes_every_shell_a_login_shell(profile: Path) -> None:
    found = environment.for_jobs("dash", "each")
    assert (found.shell, found.umask) == (["dash", "-l"], None)
    assert found.variables["HOME"] == str(profile.parent)


@pytest.mark.parametrize("login", ["once", "each", "never"])
def test_nothing_of_rqpy_leaks(profile: Path, monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    profile.write_text("export RQ_Q=/profile RQ_EDITOR=vi\n")
    for name in ("RQ", "RQ_Q", "RQ_JID", "RQ_TEST_PAUSE_AT", "RQ_DEBUG"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("RQ_NODE", "redfish")
    variables = environment.for_jobs("bash", login).variables
    assert {name for name in variables if name.startswith("RQ")} == {"RQ_NODE"}
    assert not {"_", "SHLVL", "PWD", "OLDPWD"} & variables.keys()


def test_what_cron_leaves_out_is_added(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USER", "LOGNAME", "PATH"):
        monkeypatch.delenv(name, raising=False)
    variables = environment.for_jobs("bash", "never").variables
    assert {"HOME", "USER", "LOGNAME", "PATH"} <= variables.keys()
