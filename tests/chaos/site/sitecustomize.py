"""What every process of a killed service begins with: it picks the point at which it will kill itself.

It is found by PYTHONPATH, so that the program itself is started as a user starts it.
"""

import os
import random
import sys
from pathlib import Path

_ASKED = "LABELLOOP_CHAOS"


def _aim() -> None:
    """Count the points of this process; kill it at one of the first so many."""
    folder, highest = os.environ[_ASKED].rsplit(":", 1)
    from tests.chaos.points import Points

    note = Path(folder, "kills", f"{os.getpid()}-{random.randrange(10**9)}")
    Points(Path(folder, ".labelloop"), random.randint(1, int(highest)), note).install()


if _ASKED in os.environ and "labelloop.service.worker" in sys.orig_argv:
    _aim()
