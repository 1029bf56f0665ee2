"""A small machine with a real v4l2loopback: Debian's kernel and its module, in QEMU without KVM.

The machine has no disk: it sees the files of this computer, which it cannot change, and runs the same Python.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

TOOLS = (
    *("qemu-system-x86_64", "busybox", "cpio", "kmod", "dpkg-deb", "apt-get", "apt-cache"),
    *("make", "gcc", "ffmpeg"),
)
MODULES = ("virtio_pci", "9p", "9pnet_virtio", "v4l2loopback")
LABELS = ("Avatar", "Spare", "Shared")
"""Of the devices /dev/video0, 1, 2. The last one announces capture and output at once: exclusive_caps=0."""
OPTIONS = (
    "devices=3",
    "video_nr=0,1,2",
    "exclusive_caps=1,1,0",
    "card_label=" + ",".join(LABELS),
)

_PROCESSOR = "max,avx=off,avx2=off,fma=off,f16c=off"
"""With AVX, which is new in QEMU 7.2, numpy crashes now and then."""

_INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
while read -r module options; do /bin/busybox insmod /modules/$module $options; done < /modules/order
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
for place in proc sys dev; do /bin/busybox mount -o bind /$place /host/$place; done
/bin/busybox mount -t tmpfs tmpfs /host/run
/bin/busybox mkdir /host/run/out
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 out /host/run/out
/bin/busybox ip link set lo up
/bin/busybox chroot /host /bin/sh /run/out/job > /host/run/out/log 2>&1
echo $? > /host/run/out/status
/bin/busybox sync
/bin/busybox poweroff -f
"""


class MissingError(Exception):
    """Something that the machine is made of cannot be had, or made, here."""


def build(folder: Path) -> None:
    """Fetch Debian's packages into `folder` and make kernel and initramfs of them.

    Raises:
        MissingError: a tool is not installed, a package cannot be had, or the module cannot be built.
    """
    if os.uname().machine != "x86_64":
        raise MissingError(f"the machine is an x86_64, this one is an {os.uname().machine}")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise MissingError(f"not installed: {', '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    release = _release()
    for package in _packages(release):
        for archive in _fetched(package, folder):
            _call("dpkg-deb", "-x", archive, root)
    _build_module(root, release)
    shutil.copy(root / f"boot/vmlinuz-{release}", folder / "vmlinuz")
    _pack(root, release, folder)


def run(folder: Path, job: str, out: Path, *, seconds: float) -> str:
    """Run the shell script `job` in the machine; what it writes into /run/out is in `out` afterwards.

    Args:
        folder: as `build` made it.
        job: lines of sh; the first failure does not end it.
        out: an empty folder.
        seconds: longest time that it may take, with the start.

    Returns:
        What the script wrote to its standard output and error.

    Raises:
        AssertionError: the script failed, or the machine did not come to its end.
    """
    (out / "job").write_text(job)
    shared = "local,security_model=none"
    command: tuple[str | Path, ...] = (
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", _PROCESSOR, "-m", "2000", "-smp", "2"),
        *("-kernel", folder / "vmlinuz", "-initrd", folder / "initramfs"),
        *("-append", "console=ttyS0 quiet panic=-1", "-no-reboot", "-nographic", "-nic", "none"),
        *("-virtfs", f"{shared},path=/,mount_tag=host,readonly=on,multidevs=remap"),
        *("-virtfs", f"{shared},path={out},mount_tag=out"),
    )
    try:
        console = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        ).stdout
    except subprocess.TimeoutExpired as error:
        console = f"{(error.stdout or b'').decode(errors='replace')}\nnot done after {seconds} s"
    log = (out / "log").read_text(errors="replace") if (out / "log").exists() else ""
    status = (out / "status").read_text().strip() if (out / "status").exists() else "none"
    assert status == "0", f"status {status}\n{log}\n{console}"
    return log


def _release() -> str:
    """The newest kernel of the package lists, as `6.1.0-50-amd64`."""
    found = re.search(r"Depends: linux-image-(\S+)", _call("apt-cache", "depends", "linux-image-amd64"))
    if not found:
        raise MissingError("the package lists have no linux-image-amd64")
    return found[1]


def _packages(release: str) -> list[str]:
    headers = f"linux-headers-{release}"
    needed = re.findall(r"Depends: (linux-(?:headers|kbuild)-\S+)", _call("apt-cache", "depends", headers))
    return [f"linux-image-{release}", headers, *needed, "v4l2loopback-dkms"]


def _fetched(package: str, folder: Path) -> list[Path]:
    pattern = f"{package}_*.deb"
    if not any(folder.glob(pattern)):
        _call("apt-get", "download", "-q", package, cwd=folder)
    return list(folder.glob(pattern))


def _build_module(root: Path, release: str) -> None:
    """Build v4l2loopback against the headers, which think that they lie in /usr."""
    headers = root / f"usr/src/linux-headers-{release}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("include /usr/src", f"include {root}/usr/src"))
    (source,) = (root / "usr/src").glob("v4l2loopback-*")
    _call("make", "-C", headers, f"M={source}", "modules")
    place = root / f"lib/modules/{release}/updates"
    place.mkdir(exist_ok=True)
    shutil.copy(source / "v4l2loopback.ko", place)
    _call("kmod-depmod", "-b", root, release)


def _pack(root: Path, release: str, folder: Path) -> None:
    """Write the initramfs: busybox, the modules in the order of loading, the script that begins."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "host", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", tree / "bin/busybox")
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    order = []
    for path in _loaded(root, release):
        name = path.name.removesuffix(".xz")
        data = path.read_bytes()
        (tree / "modules" / name).write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
        order.append(" ".join([name, *(OPTIONS if name == "v4l2loopback.ko" else ())]))
    (tree / "modules/order").write_text("\n".join(order) + "\n")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ("cpio", "--quiet", "-o", "-H", "newc"),
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=True,
    )
    (folder / "initramfs").write_bytes(packed.stdout)


def _loaded(root: Path, release: str) -> list[Path]:
    """The files of all modules that are needed, those that others need first."""
    paths: list[Path] = []
    for module in MODULES:
        shown = _call("kmod-modprobe", "-d", root, "-S", release, "--show-depends", module)
        for line in shown.splitlines():
            if line.startswith("insmod ") and (path := Path(line.split()[1])) not in paths:
                paths.append(path)
    return paths


def _call(*command: str | Path, cwd: Path | None = None) -> str:
    """Call a program, or a face of kmod (`kmod-depmod`), which goes by its name; gives what it wrote.

    Raises:
        MissingError: it failed.
    """
    name = str(command[0])
    found = shutil.which("kmod" if name.startswith("kmod-") else name)
    done = subprocess.run(
        (name.removeprefix("kmod-"), *command[1:]), executable=found, cwd=cwd, capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise MissingError(f"{' '.join(map(str, command))}: {lines[-1]}")
    return done.stdout
