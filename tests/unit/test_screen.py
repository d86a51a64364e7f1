"""What people see on a terminal of eighty columns."""

import fcntl
import os
import struct
import termios
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.s3.errors import Request, error_of_answer
from labelloop.cli.screen import table_lines, wrapped
from labelloop.core.estimate import Undefined
from labelloop.core.queue import Purpose
from labelloop.core.row_range import RowRange
from labelloop.core.task import TaskState
from labelloop.measuring.measured import Confusion
from labelloop.views.sentences import over_time
from labelloop.views.status import QueueStatus, Status
from labelloop.views.table import Mark, Table, names, numbers
from labelloop.views.tables.accuracy import accuracies, at_a_glance, of_measure
from labelloop.views.tables.confusion import confusion
from labelloop.views.tables.status import of_status
from labelloop.views.verbs import measure_line
from tests.history import History
from tests.unit.conftest import MakeWorld
from tests.world import START

AT = datetime(2026, 11, 25, 19, 12, tzinfo=UTC)


@contextmanager
def terminal_of(columns: int) -> Iterator[int]:
    """The file descriptor of a terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def terminal() -> Iterator[int]:
    with terminal_of(80) as found:
        yield found


def printed(table: Table) -> list[str]:
    return list(map(click.unstyle, table_lines(table, 80)))


def test_a_long_line_goes_on_below_its_text_and_no_word_is_cut(terminal: int) -> None:
    address = "http://127.0.0.1:9000/" + "a" * 90
    text = f"select   accuracy 36 of 208, low-confidence 56 {'and so on ' * 6}{address} end"
    lines = wrapped(text, 9, file_descriptor=terminal).split("\n")
    assert " ".join(line.strip() for line in lines).split() == text.split()
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert address in [line.strip() for line in lines]
    assert all(len(line) <= 80 for line in lines if address not in line)


@pytest.mark.parametrize(("columns", "longest"), [(0, 80), (5, 41)])
def test_a_terminal_without_a_width_or_with_hardly_any_is_written_to(
    columns: int, longest: int
) -> None:
    with terminal_of(columns) as found:
        lines = wrapped("word " * 60, 21, file_descriptor=found).split("\n")
    assert max(map(len, lines)) in range(longest - 4, longest + 1)


def test_lines_of_a_log_in_an_error_stay_lines(terminal: int) -> None:
    assert wrapped("it ended\nfirst\nsecond", 7, file_descriptor=terminal).count("\n") == 2


def test_where_there_is_no_terminal_a_line_stays_one() -> None:
    reading, writing = os.pipe()
    try:
        assert wrapped("word " * 60, 9, file_descriptor=writing) == "word " * 60
    finally:
        os.close(reading)
        os.close(writing)


def test_columns_stand_below_one_another_whatever_signs_a_name_has() -> None:
    rows = (("狐狸", "1,234"), ("Fu\u0308chse", "5"), ("a", "67,890"))
    table = Table(title="Classes", columns=(*names("class"), *numbers("n")), rows=rows)
    assert printed(table) == [
        "class        n",
        "──────────────",
        "狐狸     1,234",
        "Fu\u0308chse       5",
        "a       67,890",
    ]


def test_on_a_narrow_terminal_names_are_broken_and_numbers_are_not() -> None:
    rows = (("a/very-long-name-without-a-space", "1,234,567"), ("two words of it", "5"))
    table = Table(title="Classes", columns=(*names("class"), *numbers("n")), rows=rows)
    lines = list(map(click.unstyle, table_lines(table, 24)))
    assert [line.split() for line in lines[2:]] == [
        ["a/very-long-n", "1,234,567"],
        ["ame-without-a"],
        ["-space"],
        ["two", "words", "of", "5"],
        ["it"],
    ]
    assert max(map(len, lines)) == 24
    assert "1,234,567" in "\n".join(table_lines(table, 5))


def test_status_shows_every_number_on_eighty_columns() -> None:
    queues = tuple(
        QueueStatus(
            queue=name,
            purpose=purpose,
            by_state={
                TaskState.DRAWN: 11_111,
                TaskState.SENT: 22_222,
                TaskState.SKIPPED: 33_333,
                TaskState.RESOLVED: 44_444,
                TaskState.UNAVAILABLE: 55_555,
            },
            oldest_at=AT,
        )
        for name, purpose in (
            ("accuracy", Purpose.EVALUATION),
            ("low-confidence-of-the-swiss", Purpose.TRAINING),
        )
    )
    found = Status(queues=queues, n_rejected={}, strays=(), last_round=1, due_at=AT, due=False)
    lines = printed(of_status(found, "UTC")[0])
    text = "\n".join(lines)
    assert "…" not in text
    for number in ("11,111", "22,222", "33,333", "44,444", "55,555", "25 Nov 19:12"):
        assert text.count(number) == 2
    assert "evaluation" in text
    assert "lost" in text


def test_classes_too_long_for_headings_are_numbered_in_the_confusion_matrix() -> None:
    classes = [f"landscape/and a long name {i}" for i in range(8)]
    counts = [
        Confusion(predicted_class=classes[i], label=classes[(i * i) % 8], n=100 + i)
        for i in range(8)
    ]
    text = "\n".join(printed(confusion(cast("Any", counts), "last 7 days")))
    assert "…" not in text
    assert all(f"{i}  {name}" in text for i, name in enumerate(classes, 1))
    assert all(str(c.n) in text for c in counts)


def test_a_confusion_matrix_marks_what_is_right_and_what_is_wrong() -> None:
    classes = [f"landscape/and a long name {i}" for i in range(6)]
    counts = [Confusion(predicted_class=n, label=n, n=70 + i) for i, n in enumerate(classes[1:])]
    wrong = Confusion(predicted_class=classes[1], label=classes[0], n=99)
    table = confusion([*counts, wrong], "last 7 days")
    text = "\n".join(printed(table))
    assert "…" not in text
    assert all(f"{i}  {name}" in text for i, name in enumerate(classes, 1))
    assert all(text.count(str(n)) == 1 for n in (70, 71, 72, 73, 74, 99))
    assert [at for at, mark in table.marks.items() if mark is Mark.WRONG] == [(1, 1)]
    assert len(table.marks) == 6


def test_a_bucket_that_isnt_there_is_no_matter_of_one_key() -> None:
    from botocore.exceptions import ClientError

    request = Request(doing="writing", access=S3Access(), bucket="blind", key="labelloop-check-1")
    no = {"Error": {"Code": "NoSuchBucket"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    error = error_of_answer(ClientError(cast("Any", no), "PutObject"), request)
    assert (
        error.args[0]
        == "writing failed at AWS, bucket 'blind': there is no such bucket (NoSuchBucket)"
    )


def test_nothing_lost_is_no_column_of_zeros() -> None:
    queue = QueueStatus(queue="a", purpose=Purpose.TRAINING, by_state={}, oldest_at=None)
    found = Status(queues=(queue,), n_rejected={}, strays=(), last_round=1, due_at=AT, due=False)
    assert not any("lost" in line for line in printed(of_status(found, "UTC")[0]))


def test_a_report_shows_long_headings_and_every_number_on_eighty_columns() -> None:
    found = Table(
        title="Blind labels needed",
        columns=(
            *names("at most"),
            *numbers(
                "plain, endless traffic",
                "plain, this round",
                "by risk, this round",
                "by a useless risk",
            ),
        ),
        rows=(("±1 points", "9,600,000", "2,030,000", "-", "2,050,000"),),
    )
    text = "\n".join(printed(found))
    assert "…" not in text
    assert all(cell in text for cell in found.rows[0])
    assert "traffic" in text
    assert "useless" in text


def test_an_accuracy_table_has_no_column_of_zeros() -> None:
    rows = [
        SimpleNamespace(
            name="landscape/mountain",
            estimate=Undefined("nothing yet"),
            n_labelled=0,
            n_waiting=35,
            n_skipped=0,
            set_aside=RowRange.exactly(n),
        )
        for n in (0, 5)
    ]
    lines = printed(accuracies("by class", cast("Any", rows)))
    assert not any("skipped" in line for line in lines)
    assert [line.split() for line in lines if "mountain" in line] == [
        ["landscape/mountain", "-", "-", "0", "35", n, "-"] for n in ("0", "5")
    ]


def test_before_anything_is_drawn_a_measure_has_no_empty_tables(make_world: MakeWorld) -> None:
    assert of_measure(make_world().loop.measure(), "UTC") == []


def test_a_first_look_at_a_measure_fits_a_screen(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world()
    classes = tuple(f"landscape {i}" for i in range(9))
    History(world.loop.project.ledger, tmp_path / "sets", classes, now=START).write(30)
    measured = world.loop.measure()
    lines = [measure_line(measured), *list(over_time(measured.trend, "UTC"))[:1]]
    shown = [part for text in lines for part in textwrap.wrap(text, 80)]
    for table in at_a_glance(measured):
        shown += ["", table.title, *printed(table)]
    assert len(shown) + 2 <= 24
    assert "the newest 3 of 30" in "\n".join(shown)
    assert "the lowest 3 of 9" in "\n".join(shown)
    lowest = [float(row[5].split()[0]) for row in at_a_glance(measured)[1].rows]
    assert lowest == sorted(lowest)
    assert len(of_measure(measured, "UTC")) > 4
