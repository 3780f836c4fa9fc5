"""Programs to compare with: fetched into a private cache folder, never installed into the system.

Debian's packages are downloaded by apt-get and unpacked, so no daemon is started, no configuration is changed
and root is not needed. Python's go into a virtual environment in the cache, never into the project's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.case import CannotRun
from bench.turns import reason_of

#: Seconds that one download may take.
DOWNLOAD_TIMEOUT = 600
SYSTEM_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"


class Tools:
    """The cache folder and what is in it. ``tell`` hears what is being fetched, which may take a while."""

    def __init__(self, cache: Path, tell: Callable[[str], None]) -> None:
        self.cache = cache
        self._root = cache / "debian"
        self._venv = cache / "venv"
        self._tell = tell

    # --- Debian ------------------------------------------------------------------------------------------

    def debian(self, package: str, *further: str) -> str:
        """Have ``package`` and ``further`` ones here; returns the first one's version or raises CannotRun."""
        note = self._root / "versions" / package
        if not note.exists():
            version = self._installed(package) or self._unpack([package, *further])
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(version, encoding="utf-8")
        return note.read_text(encoding="utf-8")

    def _installed(self, package: str) -> str:
        """The version of a package that the system has, '' where it has none."""
        if not shutil.which("dpkg-query"):
            return ""
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]
        answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
        status, _, version = answer.partition(" ")
        return version if status == "installed" else ""

    def _unpack(self, packages: Sequence[str]) -> str:
        """Download packages with what they depend on and unpack them; the version of the first."""
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise CannotRun(f"{packages[0]} is a Debian package, and there is no apt-get here")
        archives = self.cache / "archives" / packages[0]
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        self._tell(f"fetching {' '.join(packages)} from Debian into {self.cache}")
        options = ["-q", "-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}"]
        command = ["apt-get", *options, "install", "--yes", "--no-install-recommends", "--download-only"]
        try:
            _quietly([*command, *packages])
        except CannotRun:
            if os.geteuid():
                raise
            _quietly(["apt-get", "-q", "update"])  # without lists, or with old ones, nothing is found
            _quietly([*command, *packages])
        version = ""
        for archive in sorted(archives.glob("*.deb")):
            fields = subprocess.run(
                ["dpkg-deb", "--showformat=${Package} ${Version}", "--show", str(archive)],
                capture_output=True, text=True, check=True,
            ).stdout.split()  # fmt: skip
            if self._installed(fields[0]):
                continue  # an update of something that the system has
            _quietly(["dpkg-deb", "-x", str(archive), str(self._root)])
            version = fields[1] if fields[0] == packages[0] else version
        if not version:
            raise CannotRun(f"apt-get downloaded no {packages[0]}")
        return version

    def program(self, name: str) -> str:
        """The path of a program from the cache, or from the system; raises CannotRun."""
        found = shutil.which(name, path=f"{self._root}/usr/bin:{self._root}/usr/sbin:{SYSTEM_PATH}")
        if found is None:
            raise CannotRun(f"no program {name} here")
        return found

    def folder(self, pattern: str) -> str:
        """The first folder that matches ``pattern`` below the cache's root, or else below /; '' for none."""
        for root in (self._root, Path("/")):
            for path in sorted(root.glob(pattern)):
                if path.is_dir():
                    return str(path)
        return ""

    def libraries(self) -> dict[str, str]:
        """The environment in which programs from the cache find their libraries."""
        folders = [str(path) for path in sorted(self._root.glob("usr/lib/*-linux-gnu*"))]
        folders += [str(path) for path in sorted(self._root.glob("usr/lib/*-linux-gnu*/slurm-wlm"))]
        perl = [str(path) for path in sorted(self._root.glob("usr/lib/*-linux-gnu*/perl5/*"))]
        perl.append(f"{self._root}/usr/share/perl5")
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders), "PERL5LIB": ":".join(perl)}

    # --- Python ------------------------------------------------------------------------------------------

    @property
    def python(self) -> str:
        """The Python of the cache's virtual environment."""
        return str(self._venv / "bin" / "python")

    def python_package(self, package: str, *further: str) -> str:
        """Have a package from PyPI in the virtual environment; returns its version or raises CannotRun."""
        if not (self._venv / "bin" / "pip").exists():
            _quietly([sys.executable, "-m", "venv", "--clear", str(self._venv)])
        version = self._python_version(package)
        if not version:
            self._tell(f"fetching {package} from PyPI into {self._venv}")
            install = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
            _quietly([self.python, *install, package, *further])
            version = self._python_version(package)
        return version

    def _python_version(self, package: str) -> str:
        query = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
        return subprocess.run(
            [self.python, "-I", "-c", query, package], capture_output=True, text=True, check=False
        ).stdout.strip()


def _quietly(command: Sequence[str]) -> None:
    """Run a command; raises CannotRun with the last of what it said when it fails."""
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout=DOWNLOAD_TIMEOUT,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise CannotRun(reason_of(error)) from error
