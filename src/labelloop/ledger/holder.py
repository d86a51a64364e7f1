"""The holder of a lease: a process, distinct from all others, on other machines too."""

import os
import socket
from pathlib import Path


def this_process() -> str:
    """The name of this process in a lease: host, process id, start time, and process namespace."""
    pid = os.getpid()
    return f"{socket.gethostname()} {pid} {started(pid)} {_numbering()}"


def named(holder: str) -> str:
    """A holder in words."""
    host, pid = holder.split(" ")[:2]
    return f"process {pid} on {host}"


def is_dead(holder: str) -> bool:
    """True if the holder ran on this machine and has certainly ended.

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
    """When a process of this machine started, in clock ticks; '' if that can't be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _numbering() -> str:
    """The namespace of the process ids (Linux); '' elsewhere."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""
