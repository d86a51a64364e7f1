"""backup: copies of the ledger, the log's catalog and the answers, made while verbs run, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger, backup
from labelloop.ports.clock import Clock, Progress

DESCRIPTION = "backup.json"
LEDGER, CATALOG, ANSWERS = "ledger.db", "catalog.db", "answers.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A folder with copies; of a restore what was put back.

    sizes_bytes
        the size of each copy
    elsewhere
        what is kept in a database of another kind, and has to be copied by its own means
    """

    folder: Path
    ledger_id: str
    sizes_bytes: Mapping[str, int]
    elsewhere: tuple[str, ...] = ()


def back_up(
    ledger: Ledger,
    others: Mapping[str, Path | None],
    into: Path,
    *,
    clock: Clock,
    progress: Progress,
) -> BackedUp:
    """Copy the ledger, then other files, into a new folder below `into`; verbs may run meanwhile.

    The ledger goes first, so that it is never newer than the others: what the log or the answers have
    beyond it, the next `index` and `collect` take in.

    others
        the file of the log's CATALOG and that of the ANSWERS; None: it is kept elsewhere

    Raises:
        LedgerError: there is no ledger yet, or a copy can't be made.
    """
    identity = ledger.identity()
    if identity is None:
        raise LedgerError("there is no ledger to copy yet", remedy="the first run creates it")
    folder = into / f"{clock.now():%Y-%m-%dT%H%M%SZ}"
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except OSError as exc:
        raise LedgerError(
            f"{folder} can't be made: {exc}", remedy="name a folder that this user may write to"
        ) from exc
    backup.back_up(ledger, folder / LEDGER, progress=progress)
    for name, file in others.items():
        if file is not None and file.exists():
            backup.copy_sqlite(file, folder / name)
    copies = [folder / name for name in (LEDGER, *others) if (folder / name).exists()]
    described = {
        "ledger_id": identity.ledger_id,
        "at": clock.now().isoformat(),
        "sha256": {copy.name: _digest(copy) for copy in copies},
    }
    # last: a folder without it is no backup
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return BackedUp(
        folder=folder,
        ledger_id=identity.ledger_id,
        sizes_bytes={copy.name: copy.stat().st_size for copy in copies},
        elsewhere=tuple(name for name, file in others.items() if file is None),
    )


def restore(
    folder: Path, url: str, others: Mapping[str, Path | None], *, progress: Progress
) -> BackedUp:
    """Put the copies of a folder in their places, where nothing is: `others` that are there stay.

    Raises:
        LedgerError: the folder is no backup or damaged, or there is a ledger already.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        held = {name: _digest(folder / name) for name in described["sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LedgerError(
            f"{folder} is no whole backup: {exc}",
            remedy="name a folder that `labelloop ledger backup` printed",
        ) from exc
    for name, digest in described["sha256"].items():
        if held[name] != digest:
            raise LedgerError(
                f"{folder / name} is damaged: its content isn't what was copied",
                remedy="restore another backup; nothing was changed",
            )
    backup.restore(folder / LEDGER, url, progress=progress)
    restored = [LEDGER]
    for name, file in others.items():
        if file is not None and name in held and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            backup.copy_sqlite(folder / name, file)
            restored.append(name)
    return BackedUp(
        folder=folder,
        ledger_id=str(described["ledger_id"]),
        sizes_bytes={name: (folder / name).stat().st_size for name in restored},
        elsewhere=tuple(name for name, file in others.items() if file is None),
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
