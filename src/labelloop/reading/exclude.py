"""The rule that a file is no input."""

import re
from collections.abc import Sequence
from fnmatch import translate

NEVER_INPUTS = ("Thumbs.db", "desktop.ini", ".DS_Store", "._*", "@eaDir/**", "__MACOSX/**")
"""What systems leave beside files: no input is called so."""


class Exclude:
    """Patterns of files to leave out, in any folder: `*` and `?` as in a shell, `**` for folders too.

    >>> exclude = Exclude(["*.txt", "Thumbs.db", "@eaDir/**"])
    >>> [exclude.matches(key) for key in ("a.png", "b/c.txt", "b/@eaDir/c/d.png", "Thumbs.db")]
    [False, True, True, True]
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        both = "|".join(translate(pattern.strip("/")) for pattern in patterns)
        self._any = re.compile(f"(.*/)?(?:{both})", re.DOTALL)

    def matches(self, key: str) -> bool:
        """Whether the file is to be left out."""
        return self._any.match(key) is not None
