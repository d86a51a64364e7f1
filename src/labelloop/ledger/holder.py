"""Who holds a lease: a process, told from every other one, also of another machine or container."""

import os
import socket
from pathlib import Path


def this_process() -> str:
    """This process as a lease names it: its host, number, start, and the set of numbers it is from."""
    pid = os.getpid()
    return f"{socket.gethostname()} {pid} {started(pid)} {_numbering()}"


def named(holder: str) -> str:
    """A holder in words."""
    host, pid = holder.split(" ")[:2]
    return f"process {pid} on {host}"


def is_dead(holder: str) -> bool:
    """Whether the holder ran on this machine and certainly no longer does.

    A container may carry its host's name, but its process numbers are its own: there nothing is certain.
    """
    host, pid, began, numbering = [*holder.split(" "), "", "", ""][:4]
    if host != socket.gethostname() or numbering != _numbering() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(began) and started(int(pid)) != began


def started(pid: int) -> str:
    """When a process of this machine started, in clock ticks; '' where that can't be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _numbering() -> str:
    """Which process numbers count here (Linux: the namespace); '' where there is only one set."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""
