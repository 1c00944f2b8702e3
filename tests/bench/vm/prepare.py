"""What the VM boots, made once: kernel, the modules it needs, gpio-sim, an initramfs.

Debian's kernels leave gpio-sim out, so its source, as Debian ships it, is built as a module of its
own. Everything lies in a cache folder named after the Debian suite and this recipe, outside of
the working copy, so that a fresh clone boots at once.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bench.vm.packages import RELEASE, Apt, CannotPrepare, suite

HERE = Path(__file__).resolve().parent
# Loaded by the initramfs, before there is a root folder.
FOR_ROOT = ("9pnet_virtio", "9p", "overlay")
# Loaded by the guest.
FOR_TESTS = (
    "kvaser_pci",
    "vcan",
    "can-raw",
    "can-isotp",
    "sch_tbf",
    "i2c-dev",
    "uhid",
    "hid-mcp2221",
    "gpio-sim-bench",
    "configfs",
)
# kernel/irq/irq_sim.c is meant to be built in; the two differ in one call that modules lack, and
# in the licence that a module has to name.
IRQ_SIM_CALL = "handle_simple_irq(irq_to_desc(irqnum));"
IRQ_SIM_MODULE_CALL = "generic_handle_irq(irqnum);"
GPIO_SIM_MAKEFILE = """\
obj-m := gpio-sim-bench.o
gpio-sim-bench-y := gpio-sim.o irq_sim.o
ccflags-y := -DCONFIG_IRQ_SIM=1
"""


def prepared() -> Path:
    """The folder with `vmlinuz`, `initramfs` and `lib/modules`; made if it is not there.

    Raises:
        CannotPrepare: packages cannot be fetched or built; the text says what to do.
    """
    folder = _cache() / f"{suite()}-{_recipe()}"
    if not (folder / "initramfs").exists():
        print("Preparing the bench VM's kernel; this is done once and takes a minute.", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as work:
            made = _make(Path(work))
            # At one stroke: another run never sees half of it, and the last of two wins.
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    return folder


def _cache() -> Path:
    if named := os.environ.get("FIELDKIT_BENCH_CACHE"):
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldkit/bench-vm"


def _recipe() -> str:
    parts = b"".join((HERE / name).read_bytes() for name in ("packages.py", "prepare.py", "init"))
    return hashlib.sha256(parts).hexdigest()[:16]


def _make(work: Path) -> Path:
    apt = Apt(work / "apt")
    version = apt.version()
    common = version.removesuffix("-amd64")
    packages = apt.download(
        [
            f"linux-image-{version}",
            f"linux-headers-{version}",
            f"linux-headers-{common}-common",
            f"linux-kbuild-{common}",
            f"linux-source-{RELEASE}",
        ]
    )
    root = work / "root"
    for package in packages:
        _run("dpkg-deb", "--extract", str(package), str(root))
    _merge_usr(root)
    _build_gpio_sim(root, version, work / "gpio-sim")
    made = work / "made"
    made.mkdir()
    shutil.copy(root / f"boot/vmlinuz-{version}", made / "vmlinuz")
    for_root = _copy_modules(root, version, made)
    _make_initramfs(work / "initramfs", for_root, made / "initramfs")
    return made


def _build_gpio_sim(root: Path, version: str, folder: Path) -> None:
    folder.mkdir()
    archive = root / f"usr/src/linux-source-{RELEASE}.tar.xz"
    wanted = ("drivers/gpio/gpio-sim.c", "kernel/irq/irq_sim.c")
    names = [f"linux-source-{RELEASE}/{name}" for name in wanted]
    _run("tar", "-xf", str(archive), "-C", str(folder), "--transform=s,.*/,,", *names)
    source = (folder / "irq_sim.c").read_text()
    if IRQ_SIM_CALL not in source:
        raise CannotPrepare(
            f"irq_sim.c of Linux {version} is not the one that this recipe changes.",
            "Look at IRQ_SIM_CALL in tests/bench/vm/prepare.py.",
        )
    (folder / "irq_sim.c").write_text(source.replace(IRQ_SIM_CALL, IRQ_SIM_MODULE_CALL))
    (folder / "Makefile").write_text(GPIO_SIM_MAKEFILE)
    headers = root / f"usr/src/linux-headers-{version}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{root}/usr/src/"))
    # With it the build wants pahole, for debugging information that nobody reads.
    (headers / "vmlinux").unlink(missing_ok=True)
    _run("make", "-s", "-C", str(headers), f"M={folder}", "CC=gcc", "modules")
    updates = root / f"lib/modules/{version}/updates"
    updates.mkdir()
    shutil.copy(folder / "gpio-sim-bench.ko", updates)


def _copy_modules(root: Path, version: str, made: Path) -> list[Path]:
    """Copy what is needed out of 4,000 modules; gives those of the initramfs, in order."""
    _run("depmod", "-b", str(root), version)
    found = {name: _with_dependencies(root, version, name) for name in FOR_ROOT + FOR_TESTS}
    source = (root / f"lib/modules/{version}").resolve()
    target = made / "lib/modules" / version
    for path in {path for paths in found.values() for path in paths}:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(source / name, target)
    _merge_usr(made)
    _run("depmod", "-b", str(made), version)
    in_order = [path for name in FOR_ROOT for path in found[name]]
    return list(dict.fromkeys(in_order))


def _merge_usr(root: Path) -> None:
    """Debian 12 keeps modules in /lib, Debian 13 in /usr/lib: make the two the same."""
    if (root / "lib").exists():
        (root / "usr").mkdir(exist_ok=True)
        if not (root / "usr/lib").exists():
            (root / "usr/lib").symlink_to("../lib")
    else:
        (root / "lib").symlink_to("usr/lib")


def _with_dependencies(root: Path, version: str, name: str) -> list[Path]:
    told = _run("modprobe", "-d", str(root), "-S", version, "--show-depends", name)
    lines = (line.split() for line in told.splitlines())
    return [Path(words[1]).resolve() for words in lines if words[0] == "insmod"]


def _make_initramfs(folder: Path, modules: list[Path], target: Path) -> None:
    for name in ("bin", "dev", "modules"):
        (folder / name).mkdir(parents=True)
    shutil.copy(_run("sh", "-c", "command -v busybox").strip(), folder / "bin/busybox")
    shutil.copy(HERE / "init", folder / "init")
    (folder / "init").chmod(0o755)
    for number, path in enumerate(modules):
        plain = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        (folder / f"modules/{number:02}-{path.name.partition('.')[0]}.ko").write_bytes(plain)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    packed = subprocess.run(
        ["busybox", "cpio", "-o", "-H", "newc"],
        input=names.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        check=True,
    )
    target.write_bytes(packed.stdout)


def _run(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CannotPrepare(
            f"'{' '.join(words[:3])} …' failed: {(ended.stderr or ended.stdout).strip()[-2000:]}",
            "Put that right, then 'make bench-vm' again.",
        )
    return ended.stdout
