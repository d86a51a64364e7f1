"""A kept Label Studio: the data folder as it stood after a first boot, for quick later boots."""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

DATABASE = "label_studio.sqlite3"
CREDENTIALS = "labelloop-credentials.json"
COPIED = (".env", CREDENTIALS)  # .env holds the key that signs personal access tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The tokens of the one user of a data folder; they stay valid as long as the folder does."""

    legacy_token: str
    personal_access_token: str = ""

    @classmethod
    def load(cls, data: Path) -> "Credentials | None":
        """What `save` wrote into the folder; None where nothing readable stands."""
        try:
            kept = json.loads((data / CREDENTIALS).read_text("utf-8"))
            return cls(
                legacy_token=str(kept["legacy_token"]),
                personal_access_token=str(kept["personal_access_token"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, data: Path) -> None:
        """Keep the tokens in the folder, readable by this user alone."""
        handle = os.open(data / CREDENTIALS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)


class Template:
    """The kept data folder of one version and one user, below `home`."""

    def __init__(self, home: Path, *, version: str, username: str, password: str) -> None:
        identity = "\0".join((version, username, password)).encode()
        self._home = home
        self._folder = home / blake2b(identity, digest_size=8).hexdigest()

    def restore(self, data: Path) -> bool:
        """Fill an empty data folder from the template; False where either is not so."""
        if (data / DATABASE).exists() or Credentials.load(self._folder) is None:
            return False
        for name in (*COPIED, DATABASE):  # the database last: its presence says that all is there
            shutil.copy2(self._folder / name, data / name)
        return True

    def keep(self, data: Path) -> None:
        """Keep the folder of a freshly booted server as the template, unless one is kept already.

        The server may be running: the database is taken through SQLite's own backup.
        """
        if self._folder.exists():
            return
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._home, prefix="new-") as scratch:
            copy = Path(scratch) / "template"
            copy.mkdir(mode=0o700)
            for name in COPIED:
                shutil.copy2(data / name, copy / name)
            source = sqlite3.connect(data / DATABASE)
            target = sqlite3.connect(copy / DATABASE)
            with contextlib.closing(source), contextlib.closing(target):
                if source.execute("SELECT count(*) FROM project").fetchone()[0]:
                    return  # not fresh: someone's work is no template
                source.backup(target)
            # Another process may have been quicker: then its template stands.
            with contextlib.suppress(OSError):
                copy.rename(self._folder)
