"""What the service writes about itself: a line for each thing that happened."""

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from labelloop.views.wording import plain


class Journal:
    """Writes lines to standard error, as text or as JSON; no line holds a key, a token or a link."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        project: str = "",
        to: Callable[[], TextIO] = lambda: sys.stderr,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`project`: the name that each line carries where one process serves several projects."""
        self.as_json = as_json
        self._project = {"project": project} if project else {}
        self._now = now
        self._to = to
        self._writing = threading.Lock()

    def line(self, what: str, *, level: str = "info", **fields: object) -> None:
        """Write what happened, with more about it; fields that are None are left out."""
        fields = self._project | fields
        at = self._now().isoformat(timespec="milliseconds")
        held: dict[str, object] = {"at": at, "level": level, "what": what}
        held |= {name: value for name, value in fields.items() if value is not None}
        if self.as_json:
            text = json.dumps(held, ensure_ascii=True, default=str)
        else:
            own = " ".join(
                f"{name}={json.dumps(plain(str(value)), ensure_ascii=False)}"
                for name, value in fields.items()
                if value is not None
            )
            text = f"{at} {level:<7} {what} {own}".rstrip()
        with self._writing:
            try:
                print(text, file=self._to(), flush=True)
            except (OSError, ValueError):
                return  # a full disk, or nobody who reads: the work goes on
