"""Folders of a guest, copied to the host by way of the agent."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.nfs.lab.node import CommandFailed, Node


def fetch(node: Node, folder: str, into: Path) -> None:
    """Copy a folder on a node's own disk: files and folders, without sockets and the like.

    Raises CommandFailed, and ChannelError when the node is off or paused.
    """
    archive = "/lab/disk/fetched.tar"  # not in /run, which a namespace has for itself
    done = node.start("tar", "-C", folder, "-cf", archive, ".").wait(120)
    if done.status not in {0, 1}:  # 1: a file changed while it was read, as a log may
        raise CommandFailed(f"{node.name}: cannot read {folder}: {done.err.strip()}")
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(node.read(archive))) as tar:
        for member in tar:
            path = into / member.name
            if member.isdir():
                path.mkdir(exist_ok=True)
            elif member.isfile() and (content := tar.extractfile(member)):
                path.write_bytes(content.read())
