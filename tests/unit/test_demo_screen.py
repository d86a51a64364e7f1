from io import StringIO

import pytest
from rich.console import Console

from labelloop.demo.screen import Screen


def screen(*, terminal: bool) -> tuple[Screen, StringIO]:
    file = StringIO()
    return Screen(Console(file=file, force_terminal=terminal, width=100)), file


def test_a_pipe_gets_plain_lines() -> None:
    shown, file = screen(terminal=False)
    with shown.step("uploading") as progress:
        progress("", 1, 3)
    assert file.getvalue() == "uploading ...\n"


def test_a_terminal_gets_steps_that_overlap() -> None:
    shown, file = screen(terminal=True)
    with shown.step("booting") as boot:
        with shown.step("uploading") as upload:
            boot("loading", 0, None)
            upload("", 3, 3)
        shown.say("meanwhile")
    assert "✓ booting" in _plain(file.getvalue())
    assert "✓ uploading" in _plain(file.getvalue())
    assert "meanwhile" in file.getvalue()


def test_a_step_that_fails_lets_its_error_through() -> None:
    for terminal in (True, False):
        shown, _ = screen(terminal=terminal)
        with pytest.raises(ValueError, match="no"), shown.step("uploading"):
            raise ValueError("no")


def _plain(text: str) -> str:
    from rich.text import Text

    return Text.from_ansi(text).plain
