"""What machines boot from: packages, kernel, initramfs, and whether KVM works here; kept in a cache."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: What the lab runs on the host or in its guests -> the Debian package that has it.
PROGRAMS = {
    "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
    "/usr/bin/busybox": "busybox-static",
    "/usr/sbin/rpc.nfsd": "nfs-kernel-server",
    "/usr/sbin/mount.nfs": "nfs-common",
    "/usr/sbin/rpcbind": "rpcbind",
    "/usr/sbin/ip": "iproute2",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
    "/usr/sbin/depmod": "kmod",
    "/usr/bin/nsenter": "util-linux",
    "/usr/bin/mount": "mount",
}

#: The newest of these is taken: not cloud (which lacks 9p), not rt, not dbg.
KERNEL_PACKAGE = re.compile(r"^linux-image-6\.1\.(\d+)-(\d+)-amd64$", re.MULTILINE)

#: What the guest needs before it can reach the host's file system; the rest it loads from there.
EARLY_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_console"),
    *("9pnet_virtio", "9p", "overlay", "ext4", "crc32c_generic", "af_packet"),
)

#: Seconds after which a guest that said nothing will not say anything any more.
PROBE_DEADLINE = 20

_EARLY_INIT = r"""#!/bin/busybox sh
# First program of a guest: put an overlay over the host's root, and become the agent in there.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
start=$(sed -n 's/.*rqlab\.start=\([^ ]*\).*/\1/p' /proc/cmdline)
if grep -q rqlab.probe /proc/cmdline; then
    echo rqlab-alive
    poweroff -f
fi
while read -r module; do insmod "$module"; done </modules
mkdir -p /host /top /new
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
mount -t tmpfs -o size=60% top /top
mkdir /top/upper /top/work
mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work overlay /new
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys
exec switch_root /new /bin/sh "$start"
"""


class LabUnavailable(Exception):
    """This machine cannot run the lab; the text says what is missing."""


@dataclass(frozen=True)
class Image:
    """What a machine is booted with."""

    kernel: Path
    initramfs: Path
    modules: Path  #: the folder that holds lib/modules
    accelerator: str  #: QEMU's -accel


def cache_folder() -> Path:
    """Where kernel and initramfs are kept: ``RQPY_LAB_CACHE``, or below the user's cache folder."""
    named = os.environ.get("RQPY_LAB_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "rqpy-nfs-lab"


def require_root() -> None:
    """Raises LabUnavailable for anybody else."""
    if os.geteuid() != 0:
        raise LabUnavailable("the lab shows the host's root to its guests: run it as root")


def prepare() -> Image:
    """Install, download and build whatever is not there yet (the first time about a minute).

    Raises LabUnavailable where that cannot be done.
    """
    require_root()
    if os.uname().machine != "x86_64":
        raise LabUnavailable(f"the lab's kernels are for x86_64, this is {os.uname().machine}")
    _install_packages()
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    root = _kernel_tree(cache)
    kernel = root / "boot" / "vmlinux"
    initramfs = _initramfs(cache, root)
    return Image(kernel, initramfs, root, _accelerator(cache, kernel, initramfs))


def _run(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise LabUnavailable(f"{shlex.join(map(str, argv))} failed: {last}")
    return done.stdout


def _install_packages() -> None:
    missing = [package for program, package in PROGRAMS.items() if not Path(program).exists()]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LabUnavailable(
            f"these Debian packages are missing and there is no apt-get: {' '.join(missing)}"
        )
    _run("apt-get", "update")
    # Services of these packages are used in the guests only: none is to be started on the host.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        policy.chmod(0o755)
    try:
        _run("apt-get", "install", "-y", "--no-install-recommends", *missing)
    finally:
        if ours:
            policy.unlink()


def _kernel_tree(cache: Path) -> Path:
    """The unpacked kernel package; the one in the cache stays, so that figures stay comparable."""
    unpacked = sorted(cache.glob("kernel-*"))
    if unpacked:
        return unpacked[-1]
    package = _newest_kernel()
    if package is None:  # the lists may be missing, or old
        _run("apt-get", "update")
        package = _newest_kernel()
    if package is None:
        raise LabUnavailable(
            "apt has no package linux-image-6.1.*-amd64; the lab needs a source of Debian 12"
        )
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, cwd=Path(folder))
        tree = Path(folder) / "tree"
        _run("dpkg", "-x", next(Path(folder).glob("*.deb")), tree)
        version = next((tree / "lib" / "modules").iterdir()).name
        _run("depmod", "-b", tree, version)
        _uncompress(tree / "boot" / f"vmlinuz-{version}", tree / "boot" / "vmlinux")
        return tree.rename(cache / f"kernel-{version}")


def _newest_kernel() -> str | None:
    listed = _run("apt-cache", "search", "--names-only", "^linux-image-6\\.1\\.")
    names = "\n".join(line.partition(" ")[0] for line in listed.splitlines())
    found = KERNEL_PACKAGE.finditer(names)
    newest = max(found, key=lambda hit: (int(hit[1]), int(hit[2])), default=None)
    return newest and newest[0]


def _uncompress(packed: Path, kernel: Path) -> None:
    """The kernel as QEMU can start it at once (PVH): under emulation unpacking takes longer than booting."""
    data = packed.read_bytes()
    begin = data.find(b"\xfd7zXZ\0")
    if begin < 0:
        raise LabUnavailable(f"{packed} is not packed by xz, as Debian 12's kernels are")
    kernel.write_bytes(lzma.LZMADecompressor().decompress(data[begin:]))


def _initramfs(cache: Path, root: Path) -> Path:
    """A compressed archive of busybox, the early modules and the early init; made anew when these change."""
    modules = next((root / "lib" / "modules").iterdir())
    wanted = _in_loading_order(modules)
    recipe = "\n".join([modules.name, *wanted, _EARLY_INIT])
    archive, made_from = cache / "initramfs.gz", cache / "initramfs.recipe"
    if archive.exists() and made_from.exists() and made_from.read_text(encoding="utf-8") == recipe:
        return archive
    files = {
        "bin/busybox": (0o755, Path("/usr/bin/busybox").read_bytes()),
        "init": (0o755, _EARLY_INIT.encode()),
        "modules": (0o644, "".join(f"/{Path(name).name}\n" for name in wanted).encode()),
    }
    for name in wanted:
        files[Path(name).name] = (0o644, (modules / name).read_bytes())
    new = archive.with_suffix(".new")
    new.write_bytes(gzip.compress(_newc(files), compresslevel=1))
    new.rename(archive)
    made_from.write_text(recipe, encoding="utf-8")
    return archive


def _in_loading_order(modules: Path) -> list[str]:
    """The files of the early modules and of what they depend on, each after what it needs: modules.dep(5)."""
    depends = {}
    for line in (modules / "modules.dep").read_text(encoding="utf-8").splitlines():
        name, _, needed = line.partition(":")
        depends[name] = needed.split()
    by_name = {Path(name).stem.replace("-", "_"): name for name in depends}
    order: list[str] = []
    for module in EARLY_MODULES:
        if module in by_name:  # else it is built into this kernel
            name = by_name[module]
            order += [needed for needed in (*reversed(depends[name]), name) if needed not in order]
    return order


def _newc(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive of regular files (and the folders above them) in the format of initramfs: newc."""
    archive = bytearray()

    def add(number: int, name: str, mode: int, content: bytes) -> None:
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        archive.extend(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        archive.extend(b"\0" * (-len(archive) % 4))
        archive.extend(content)
        archive.extend(b"\0" * (-len(archive) % 4))

    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    for number, folder in enumerate(sorted(folders | {"dev", "proc", "sys"}), 1):
        add(number, folder, 0o040755, b"")
    for number, (name, (mode, content)) in enumerate(files.items(), 1000):
        add(number, name, 0o100000 | mode, content)
    add(0, "TRAILER!!!", 0, b"")
    return bytes(archive)


def _accelerator(cache: Path, kernel: Path, initramfs: Path) -> str:
    """KVM where a guest really comes up with it, and emulation elsewhere; the answer is remembered.

    /dev/kvm may exist where guests hang at their first instruction, so only a boot tells.
    """
    remembered = cache / "accelerator"
    if remembered.exists():
        return remembered.read_text(encoding="ascii").strip()
    answer = "tcg,thread=multi"
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        argv = [
            "qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "512", "-nodefaults", "-nographic",
            "-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initramfs),
            "-append", "console=ttyS0 quiet panic=-1 rqlab.probe",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_DEADLINE, check=False
            )
            if b"rqlab-alive" in done.stdout:
                answer = "kvm"
        except subprocess.TimeoutExpired:
            pass  # run() has killed it
    remembered.write_text(answer + "\n", encoding="ascii")
    return answer
