"""Waiting for the person at the browser."""

import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from labelloop.demo.screen import Screen
from labelloop.demo.servers import LabelStudio

LOOK_EVERY_S = 2.0


def for_person(screen: Screen, n_waiting: Callable[[], int], studio: LabelStudio) -> None:
    """Return once every task is answered, or at Enter or Ctrl-C; shows how many are."""
    total = n_waiting()
    screen.say(f"{total:,} images wait for you at {_login(studio)}")
    screen.say("answer as many as you like; Enter ends the day early")
    with screen.step("your answers") as progress:
        try:
            while (left := n_waiting()) > 0:
                progress("", total - left, total)
                if _enter_within(LOOK_EVERY_S):
                    return
        except KeyboardInterrupt:
            return


def stay(screen: Screen, studio: LabelStudio | None, config: Path, dashboard: str) -> None:
    """Say where everything is, and return at Ctrl-C."""
    if config.is_relative_to(Path.cwd()):
        config = config.relative_to(Path.cwd())
    screen.say()
    if studio is None:
        screen.say(f"label yourself: [bold]{dashboard}label[/bold]")
    else:
        screen.say(f"Label Studio listens at {_login(studio)}")
    screen.say(f"look around meanwhile: [bold]labelloop measure --config {config}[/bold]")
    screen.say(f"everything that the three days produced: [bold]{dashboard}[/bold]")
    screen.say("Ctrl-C ends the demonstration; `labelloop demo --clean` deletes what it wrote")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        screen.say()


def _login(studio: LabelStudio) -> str:
    return (
        f"[bold]{studio.url}[/bold]: log in as [bold]{studio.username}[/bold], "
        f"password [bold]{studio.password}[/bold]"
    )


def _enter_within(seconds: float) -> bool:
    """Whether Enter was pressed; where nobody can press it, the time just passes."""
    if not sys.stdin.isatty():
        threading.Event().wait(seconds)
        return False
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and bool(sys.stdin.readline() or True)
