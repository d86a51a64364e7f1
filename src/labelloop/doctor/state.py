"""What labelloop remembers: the ledger, the log, and the disk that they lie on."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from labelloop.doctor.finding import Finding, fail, ok, warn
from labelloop.doctor.subject import Machine, Subject

LITTLE_BYTES, NOTHING_BYTES = 2 * 10**9, 200 * 10**6
PASSING = frozenset({"tmpfs", "ramfs"})
CONTAINERS_OWN = frozenset({"overlay", "aufs", "fuse-overlayfs"})
NETWORKED = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})


def engine(subject: Subject) -> Iterator[Finding]:
    """Whether Spark can be begun, where it is the engine."""
    if subject.settings.engine.kind != "spark":
        return
    subject.check_engine()
    at = subject.settings.engine.master or "its default master"
    yield ok(f"pyspark and Java are here; selections run on {at}")


def ledger(subject: Subject) -> Iterator[Finding]:
    """Whether the ledger can be opened."""
    ledger = subject.ledger
    if ledger is None:
        yield ok("none yet: the first run creates it")
        return
    identity = ledger.identity()
    yield ok(f"ledger {identity.ledger_id}" if identity else "new and empty")


def log(subject: Subject) -> Iterator[Finding]:
    """Whether the prediction log belongs to the ledger."""
    # another catalog may lend keys of its own
    if subject.log_files is not None and "://" in subject.settings.state.catalog.get_secret_value():
        subject.log_files.check_writable()
    found = subject.log_identity()
    own = subject.ledger.identity() if subject.ledger is not None else None
    warehouse = subject.settings.state.warehouse
    if found is None:
        yield ok("none yet: the first run creates it")
    elif own is None:
        yield fail(
            f"the prediction log at {warehouse} belongs to ledger {found.ledger_id}, and there is no ledger: "
            "it was lost, or [state] ledger names another one",
            "restore the ledger from a backup, or set [state] ledger to it; if there is no "
            "backup, `labelloop ledger rebuild` recovers what it can; to start over, move the "
            "log and its catalog away too",
        )
    elif found != own:
        yield fail(
            f"the prediction log at {warehouse} belongs to ledger {found.ledger_id}, not to this one",
            "set [state] ledger to the ledger that belongs to this log, or set another [state] "
            "warehouse and catalog to start a new log",
        )
    else:
        yield ok(f"the prediction log at {warehouse} belongs to this ledger")


# --- the disk ---------------------------------------------------------------------------------


def disk(subject: Subject) -> Iterator[Finding]:
    """Whether there is room, on a disk that lasts."""
    state = subject.settings.state
    named = {
        "ledger": _sqlite_folder(state.ledger.get_secret_value()),
        "log": None if "://" in state.warehouse else Path(state.warehouse),
        "catalog": _sqlite_folder(state.catalog.get_secret_value()),
        "datasets": state.datasets,
    }
    exact = {what: existing_folder(folder) for what, folder in named.items() if folder is not None}
    folders = {what: _outermost(folder, exact.values()) for what, folder in exact.items()}
    for folder in dict.fromkeys(folders.values()):
        what = ", ".join(name for name, other in folders.items() if other == folder)
        yield from _folder(folder, what, subject.machine)


def _outermost(folder: Path, folders: Iterable[Path]) -> Path:
    """The outermost of `folders` that holds `folder` on the same disk; itself where none does."""
    if not os.access(folder, os.W_OK):
        return folder
    device = folder.stat().st_dev
    around = [f for f in folders if folder.is_relative_to(f) and f.stat().st_dev == device]
    return min(around, key=lambda f: len(f.parts), default=folder)


def _folder(folder: Path, what: str, machine: Machine) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK):
        yield fail(
            f"{folder} ({what}) can't be written",
            "give this user the right to write there, or set another place in [state]",
        )
        return
    free = shutil.disk_usage(folder).free
    says = f"{folder} ({what}) has {free / 1e9:,.1f} GB free"
    kind = file_system(folder, machine.mounts)
    if free < NOTHING_BYTES:
        yield fail(says, "free disk space: labelloop stops when it can't write")
    elif kind in PASSING or (machine.in_container and kind in CONTAINERS_OWN):
        why = "memory" if kind in PASSING else "the container's own disk"
        yield fail(
            f"{folder} ({what}) is on {why}, and is lost when that ends",
            "mount a persistent volume there, or set another place in [state]",
        )
    elif kind in NETWORKED and {"ledger", "catalog"} & set(what.split(", ")):
        yield warn(
            f"{folder} ({what}) is on a network drive ({kind}), where SQLite isn't safe",
            "use a local disk, or keep the ledger in PostgreSQL",
        )
    elif free < LITTLE_BYTES:
        yield warn(says, "free disk space soon: a million predictions take about 100 MB")
    else:
        yield ok(says)


def existing_folder(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that exists."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def file_system(path: Path, mounts: str) -> str:
    """The kind of file system that `path` lies on, by Linux's /proc/self/mountinfo; '' if unknown.

    >>> lines = ["1 0 0:1 / / rw - overlay overlay rw", "2 1 8:1 / /data rw - ext4 /dev/sda rw"]
    >>> file_system(Path("/data/x"), "\\n".join(lines)), file_system(Path("/x"), "\\n".join(lines))
    ('ext4', 'overlay')
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), after.split(" ")[0]
    return found


def _sqlite_folder(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")).parent if url.startswith("sqlite:///") else None
