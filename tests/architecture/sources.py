"""The files of the project as the architecture tests look at them: paths, text and syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "rq_py"

#: What tools make in a checkout; .gitignore names the same.
MADE = re.compile(r"/(\.(?!ci/)[^/]+/|\.venv\.lock$|build/|dist/|__pycache__/|[^/]+\.egg-info/)")


def modules(*folders: str) -> list[Path]:
    """The Python files under these folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """The full names of what a file imports anywhere, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def project_files() -> list[Path]:
    """Every text file that belongs to the project: what git would keep, or the tree where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        files = [REPOSITORY / name.decode() for name in listing.stdout.split(b"\0") if name]
    else:
        files = [path for path in REPOSITORY.rglob("*") if not MADE.search(f"/{short(path)}")]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()]


def short(path: Path) -> str:
    """A path as a test report shows it."""
    return str(path.relative_to(REPOSITORY))
