"""The table of predictions: is it there, has it the columns, and can its rows be read?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from labelloop.core.due import AHEAD
from labelloop.doctor.clock import dated_ahead
from labelloop.doctor.finding import Finding, fail, named, ok, warn
from labelloop.doctor.store import LISTED, old_predictions
from labelloop.doctor.subject import Subject
from labelloop.errors import SourceFileBad, SourceFileDenied
from labelloop.reading.rows import read_rows
from labelloop.steps.index.table import refuse_unknown_columns
from labelloop.views.wording import row_count

if TYPE_CHECKING:
    from datetime import datetime

LOOKED_FOR = 3


def table(subject: Subject) -> Iterator[Finding]:
    """Whether the table's newest file has the columns that the settings name."""
    if subject.settings.source is None:
        return
    source, names = subject.source, subject.reading.names
    files = source.files()
    if not files:
        yield warn(
            "there is no file in it yet",
            "check that [source] names the table that the application writes, and its kind",
        )
        return
    try:
        refuse_unknown_columns(names, source.columns(files[-1]), files[-1].uri)
    except SourceFileDenied as exc:
        yield warn(
            f"{files[-1].uri} can't be opened: {exc.args[0]}",
            f"it is rejected with {row_count(source.n_rows(files[-1]))} rows, and tried again each time",
        )
        return
    except SourceFileBad as exc:
        yield warn(
            f"{files[-1].uri} can't be read: {exc.args[0]}",
            f"it is rejected with {row_count(source.n_rows(files[-1]))} rows until it changes; "
            "check that the application writes complete files",
        )
        return
    there = "1 file" if len(files) == 1 else f"{len(files):,} files"
    yield ok(f"{there}; the newest has the columns that the settings name")


def _inputs(subject: Subject, uris: Sequence[str]) -> Iterator[Finding]:
    """Whether the inputs of some rows are where the table says."""
    if not uris or subject.by_text:
        return
    gone = [uri for uri in uris if not subject.store.exists(uri)]
    if len(gone) < len(uris):
        yield ok("the inputs of the newest rows exist")
    else:
        yield fail(
            f"none of the newest {len(uris):,} rows has its input, for example {gone[-1]}",
            "set uri in [source.columns] to the column or template with the URI of the input: "
            "docs/how-to/tables.md",
        )


def rows(subject: Subject) -> Iterator[Finding]:
    """Whether the first rows of the newest file can be read."""
    if (
        subject.settings.source is None or subject.source.joins
    ):  # one file alone may tell half of a row
        return
    files = subject.source.files()
    reading = subject.reading
    faults: Counter[str] = Counter()
    n = n_ahead = 0
    newest: list[str] = []
    moments: list[datetime] = []
    try:
        rows = subject.source.read(files[-1], reading.names.wanted()) if files else iter(())
        for some in islice(rows, 1):
            read = read_rows(
                some.batch,
                some.numbers,
                file_uri=files[-1].uri,
                names=reading.names,
                rules=reading.rules,
            )
            faults.update(r.reason.value for r in read.rejects)
            n = len(some.numbers)
            moments = read.table.column("predicted_at").to_pylist()
            latest = subject.clock.now() + AHEAD
            n_ahead = sum(at > latest for at in moments)
            newest = read.table.column("uri").to_pylist()[-LOOKED_FOR:]
    except SourceFileBad:
        return
    if not n:
        return
    yield from named("inputs", _inputs(subject, newest))
    yield from dated_ahead(n_ahead, n)
    yield from old_predictions(subject, moments)
    if not faults:
        yield ok(f"all {n:,} looked at, of the newest file, can be read")
        return
    reason, n_worst = faults.most_common(1)[0]
    says = (
        f"{faults.total():,} of {n:,} rows looked at would be rejected; most often ({n_worst:,}): "
        f"{reason}"
    )
    if faults.total() >= n:
        yield fail(
            says,
            "correct [source] and [source.columns], and list every class in [project] classes; "
            f"{LISTED}",
        )
    else:
        yield warn(says, f"docs/how-to/tables.md says what each column may hold; {LISTED}")
