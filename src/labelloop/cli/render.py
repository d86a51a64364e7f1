"""Results as lines and tables for people."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from labelloop.cli.wrapping import wrapped
from labelloop.core.estimate import Estimate, Undefined
from labelloop.errors import LabelloopError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from labelloop.core.upkeep import Upkeep
    from labelloop.measuring.accuracy import Accuracy
    from labelloop.measuring.certify import CertificateState
    from labelloop.measuring.measured import Measured
    from labelloop.steps.build.build import Built, BuiltDataset
    from labelloop.steps.collect.tally import Collected
    from labelloop.steps.index.bucket import Indexed
    from labelloop.steps.select.select import Selected
    from labelloop.steps.send.send import Sent
    from labelloop.views.status import Status

VERB_WIDTH = 9


def line(verb: str, text: str) -> None:
    """Print one verb's outcome."""
    first, *below = text.split("\n")
    lines = wrapped(f"{verb:<{VERB_WIDTH}}{first}", VERB_WIDTH)
    click.echo(click.style(lines[:VERB_WIDTH], bold=True) + lines[VERB_WIDTH:])
    for said in below:
        click.echo(wrapped(f"{'':<{VERB_WIDTH}}{said}", VERB_WIDTH))


def outcome(verb: str, result: object, *, timezone: str = "UTC") -> None:
    """Print what a verb did, or why it didn't."""
    if isinstance(result, LabelloopError):
        said = f"{click.style('failed:', fg='red')} {result.args[0]}"
        line(verb, said + (f"\nremedy: {result.remedy}" if result.remedy else ""))
        return
    text = {
        "index": index_text,
        "collect": collect_text,
        "send": send_text,
        "measure": measure_text,
        "build": build_text,
        "log": upkeep_text,
    }
    if verb == "select":
        line(verb, select_text(result, timezone))  # type: ignore[arg-type]
    else:
        line(verb, text[verb](result))  # type: ignore[operator]


def index_text(r: "Indexed") -> str:
    """What `index` found, in a line."""
    seen = [] if r.n_notified is None else [f"{r.n_notified:,} notified"]
    if r.n_listed:
        seen.append(f"{r.n_listed:,} listed")
    if r.n_files is not None:
        files = "1 file" if r.n_files == 1 else f"{r.n_files:,} files"
        seen.append(f"{r.n_rows:,} rows in {files}" if r.n_files else "no new file")
    parts = [f"{r.n_new:,} new ({', '.join(seen)})"]
    if r.n_listed == 0 and r.n_files is None and r.n_notified is None:
        parts = ["nothing there: what [store] uri names, or each of its prefixes, is empty"]
    if r.n_unreadable:
        n = "1 notification" if r.n_unreadable == 1 else f"{r.n_unreadable:,} notifications"
        parts.append(f"{n} can't be read, so the bucket was listed")
    if r.n_batches_restored:
        parts.append(
            f"{r.n_batches_restored:,} batches taken in that the restored ledger didn't know"
        )
    if r.n_shadow:
        parts.append(f"{r.n_shadow:,} answers of shadow models")
    if r.n_set_aside_in_all:
        parts.append(f"{r.n_set_aside:,} set aside ({r.n_set_aside_in_all:,} in all)")
    if r.n_pending:
        parts.append(f"{r.n_pending:,} not tagged yet")
    if r.n_feedback:
        parts.append(f"{r.n_feedback:,} new flags and corrections")
    return "; ".join(parts)


def upkeep_text(r: "Upkeep") -> str:
    """What tidying the log did, or would do, in a line."""
    parts = []
    if r.n_small:
        parts.append(
            f"{r.n_small:,} small files {'to merge' if r.dry_run else 'merged'} into {r.n_merged:,}"
        )
    if r.n_snapshots:
        parts.append(f"{r.n_snapshots:,} old versions {'to let' if r.dry_run else 'let'} go")
    if r.n_removed:
        removed = "files that nothing needs"
        parts.append(
            f"{r.n_removed:,} {removed} {'to remove' if r.dry_run else 'removed'} "
            f"({r.freed_bytes / 1e6:,.1f} MB)"
        )
    n_files = r.n_files if r.dry_run else r.n_files - r.n_small + r.n_merged
    has = "1 file" if n_files == 1 else f"{n_files:,} files"
    return "; ".join(parts or ["nothing to tidy"]) + f"; the log has {has}"


def collect_text(r: "Collected") -> str:
    """What `collect` brought, in a line."""
    parts = [counted(r.n_labels, "label")]
    for n, what in (
        (r.n_edited, "edited"),
        (r.n_skipped, "skipped"),
        (r.n_deleted, "deleted"),
        (r.n_duplicates, "duplicate tasks removed"),
        (r.n_lost, "tasks gone from Label Studio, to be sent again"),
    ):
        if n:
            parts.append(f"{n:,} {what}")
    if r.strays:
        shown = ", ".join(sorted({s.value for s in r.strays})[:3])
        parts.append(f"{len(r.strays):,} answers that are no class, set aside ({shown})")
    if r.lost_projects:
        parts.append(f"projects gone: {', '.join(r.lost_projects)}")
    return ", ".join(parts)


def select_text(r: "Selected", timezone: str) -> str:
    """What `select` decided, in a line."""
    due = f"next round due {moment(r.due_at, timezone)}"
    if not r.due:
        return f"no round is due before {moment(r.due_at, timezone)} (--now closes one early)"
    skipped = f"; {r.n_skipped:,} older than the first window" if r.n_skipped else ""
    if r.round is None:
        return f"nothing new to draw from{skipped}"
    drawn = ", ".join(
        f"{p.queue} {p.n_drawn:,}" + (f" of {p.n_matching:,}" if p.n_drawn < p.n_matching else "")
        for p in r.plans
    )
    held = "".join(f"; {name} holds {n:,} of them" for name, n in r.already_trained)
    return f"{drawn}{skipped}; " + (f"an extra round, reported apart{held}" if r.extra else due)


def send_text(r: "Sent") -> str:
    """What `send` did, in a line."""
    parts = [f"{counted(r.n_sent, 'task')}, {r.n_found:,} already there"]
    if r.n_unavailable:
        parts.append(f"{r.n_unavailable:,} whose input is gone")
    if r.n_refreshed:
        parts.append(f"{r.n_refreshed:,} image URLs renewed")
    if r.n_asked_again:
        parts.append(f"{r.n_asked_again:,} offered to one more person")
    if r.n_copies_removed:
        parts.append(f"{r.n_copies_removed:,} blind copies removed")
    return "; ".join(parts)


def measure_text(r: "Measured") -> str:
    """The accuracy of the last seven days, in a line."""
    from labelloop.views.wording import fallen

    fall = f"; {fallen(r.trend.alarm)}" if r.trend.alarm else ""
    estimate = r.last_seven_days.estimate
    if isinstance(estimate, Undefined):
        return f"no accuracy yet: {estimate.reason}{fall}"
    text = f"{interval(estimate)}, {counted(estimate.n, 'blind label')}, last 7 days"
    if r.n_random_sample is not None and not estimate.method.startswith("Wilson"):
        text += f" (a plain random sample would have needed about {r.n_random_sample:,})"
    if r.last_seven_days.n_waiting:
        text += f", {r.last_seven_days.n_waiting:,} more waiting"
    return text + fall


def build_text(r: "Built") -> str:
    """What `build` released, and below it what is promised of the model's labels."""
    text = f"{_dataset_text(r.training)}; {_dataset_text(r.evaluation)}"
    lines = [text]
    if r.n_walled:
        whose = "its input is a copy" if r.n_walled == 1 else "their inputs are copies"
        lines.append(f"{counted(r.n_walled, 'label')} left out: {whose} of what evaluation drew")
    if r.training.version is not None or r.certificates:
        lines += r.guarantee.split("; ")
    return "\n".join(lines)


def certificate_table(states: "Sequence[CertificateState]") -> "Table":
    """Every certificate: its rounds, its audits, and what it keeps."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="Certificates")
    for name in ("no.", "rounds", "promise", "audits", "wrong", "kept", "because"):
        right = name in {"audits", "wrong", "kept"}
        table.add_column(name, justify="right" if right else "left")
    for s in states:
        rounds = f"{s.rounds[0]} .. {s.rounds[-1]}" if len(s.rounds) > 1 else f"{s.rounds[0]}"
        table.add_row(
            str(s.id),
            rounds,
            f"{s.promise}, {100 * s.max_error:.3g}%",
            f"{s.n_answered:,} of {s.n_audits:,}",
            f"{s.n_wrong:,}" if s.closed else "-",
            f"{s.n_accepted:,} of {s.n_listed:,}" if s.closed else "-",
            s.reason,
        )
    return table


def _dataset_text(d: "BuiltDataset") -> str:
    if d.version is None:
        return f"{d.name}: nothing yet"
    if not d.is_new:
        return f"{d.name} v{d.version}: unchanged"
    if not d.added_human and not d.added_model:
        model = f", {d.n_model:,} model" if d.n_model else ""
        return f"{d.name} v{d.version}: {d.n_human:,} human{model}, some changed"
    added = [f"{d.added_human:+,} human"]
    if d.n_model or d.added_model:
        added.insert(0, f"{d.added_model:+,} model")
    return f"{d.name} v{d.version}: {', '.join(added)}"


def interval(estimate: Estimate) -> str:
    """A number with its interval and level.

    >>> from labelloop.statistics import wilson
    >>> interval(wilson(336, 372))
    '90.3% (86.9 .. 92.9, 95%)'
    """
    return (
        f"{estimate.value:.1%} ({100 * estimate.low:.1f} .. {100 * estimate.high:.1f}, "
        f"{estimate.level:.0%})"
    )


def moment(at: datetime, timezone: str) -> str:
    """An instant in the project's time zone."""
    return f"{at.astimezone(ZoneInfo(timezone)):%a} {day_and_time(at, timezone)}"


def day_and_time(at: datetime, timezone: str) -> str:
    """The same without its weekday, for tables."""
    return f"{at.astimezone(ZoneInfo(timezone)):%d %b %H:%M}"


# --- tables -------------------------------------------------------------------------------------


def print_tables(tables: "Sequence[Table]") -> None:
    """Print tables to standard output, each below its title."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for table in tables:
        title, table.title = table.title, None  # a table's own title is cut to its width
        console.print()
        console.print(title, style="bold", highlight=False)
        console.print(table, highlight=False)


def select_tables(r: "Selected") -> "list[Table]":
    """How many match each queue, how many would be drawn, and why."""
    table = new_table("Queues, in the order of drawing", "queue", "purpose", "rule")
    for name in ("match", "drawn", "chance of each"):
        table.add_column(name, justify="right")
    for p in r.plans:
        chance = "-" if p.inclusion is None else f"{p.inclusion:.3g}"
        if p.chances is not None:
            chance = f"{p.chances[0]:.3g}–{p.chances[1]:.3g}"
        table.add_row(
            p.queue, p.purpose.value, safe(p.rule), f"{p.n_matching:,}", f"{p.n_drawn:,}", chance
        )
    return [table]


def measure_tables(r: "Measured") -> "list[Table]":
    """Accuracy by round, day, predicted class and model, and the confusion matrix, where there is any."""
    of = r.period.name if r.period else "last 7 days"
    tables = [_accuracies("Accuracy by round", r.rounds), _accuracies("Accuracy by day", r.days)]
    if r.extra_rounds:
        tables.append(_accuracies("Extra rounds, never pooled with the others", r.extra_rounds))
    if r.period:
        tables.append(_accuracies("Accuracy of the period", [r.period]))
    tables.append(_accuracies(f"Accuracy by predicted class, {of}", r.by_class))
    tables.append(_accuracies(f"Accuracy by model, {of}", r.by_model))
    if r.confusion:
        tables.append(_confusion(r, of))
    if r.agreement:
        tables.append(_agreement(r))
    return [table for table in tables if table.row_count]


def _agreement(r: "Measured") -> "Table":
    """How far people agree, queue by queue."""
    table = new_table("How often two people agree on a sample, all rounds", "queue")
    for name in ("agree", "95%\ninterval", "samples", "tied now"):
        table.add_column(name, justify="right", no_wrap=True)
    for a in r.agreement:
        e = a.estimate
        shown = ("-", "-")
        if not isinstance(e, Undefined):
            shown = (f"{e.value:.1%}", f"{100 * e.low:.1f}–{100 * e.high:.1f}")
        table.add_row(safe(a.queue), *shown, f"{a.n_samples:,}", f"{a.n_tied:,}")
    return table


def _accuracies(title: str, rows: "Sequence[Accuracy]") -> "Table":
    table = new_table(title, "")
    for name in ("accuracy", "95%\ninterval", "blind\nlabels"):
        table.add_column(name, justify="right", no_wrap=True)
    counted = {
        "still\nopen": [a.n_waiting for a in rows],
        "skipped": [a.n_skipped for a in rows],
        "set\naside": [a.n_set_aside for a in rows],
    }
    shown = {name: counts for name, counts in counted.items() if any(counts)}
    for name in (*shown, "at\nworst"):
        table.add_column(name, justify="right", no_wrap=True)
    for i, a in enumerate(rows):
        e = a.estimate
        if isinstance(e, Undefined):
            value, span, worst = "-", "-", "-"
        else:
            value = f"{e.value:.1%}"
            span = f"{100 * e.low:.1f}–{100 * e.high:.1f}"
            worst = f"{100 * e.worst_low:.1f}–{100 * e.worst_high:.1f}"
        counts = (a.n_labelled, *(counts[i] for counts in shown.values()))
        table.add_row(safe(a.name), value, span, *(f"{n:,}" for n in counts), worst)
    return table


WIDEST_MATRIX = 12


def _confusion(r: "Measured", of: str) -> "Table":
    """The confusion matrix; where it has many classes, the pairs that were mixed up most."""
    from labelloop.views.tables import fit_as_headings

    predicted = sorted({c.predicted_class for c in r.confusion})
    labels = sorted({c.label for c in r.confusion} | set(predicted))
    if len(labels) > WIDEST_MATRIX:
        return _mixed_up(r, of)
    cells = {(c.predicted_class, c.label): c for c in r.confusion}
    table = new_table(f"Confusion, {of}: what the model said (rows), what people said", "")
    numbered = not fit_as_headings(labels)
    called = {name: f"{i}  {name}" if numbered else name for i, name in enumerate(labels, 1)}
    for name in labels:
        heading = called[name].partition(" ")[0] if numbered else name
        table.add_column(safe(heading), justify="right", no_wrap=True)
    for row in labels if numbered else predicted:
        shown = []
        for name in labels:
            cell = cells.get((row, name))
            shown.append(
                "·" if cell is None else f"[{'red' if cell.is_wrong else 'bold'}]{cell.n}[/]"
            )
        table.add_row(safe(called[row]), *shown)
    return table


def _mixed_up(r: "Measured", of: str) -> "Table":
    wrong = [c for c in r.confusion if c.is_wrong]
    table = new_table(f"Mixed up most, {of}", "the model said", "people said")
    table.add_column("labels", justify="right")
    for c in sorted(wrong, key=lambda c: -c.n)[:WIDEST_MATRIX]:
        table.add_row(safe(c.predicted_class), safe(c.label), f"{c.n:,}")
    return table


def counted(n: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "label"), counted(1200, "label")
    ('1 label', '1,200 labels')
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def plain(text: str) -> str:
    r"""A line that stays one, and steers no terminal: keys and tags may hold any character.

    >>> plain("a\tb\x1b[31m é")
    'a\\tb\\x1b[31m é'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def safe(name: str) -> str:
    """A name that isn't read as markup."""
    from rich.markup import escape

    return escape(name)


def status_tables(r: "Status", timezone: str) -> "list[Table]":
    """What waits, by queue, and what was set aside."""
    table = new_table("Tasks", "queue")
    table.add_column("", no_wrap=True)
    lost = ["lost"] if any(q.n_lost for q in r.queues) else []
    for name in ("to\nsend", "with\npeople", "skipped", "labelled", *lost, "oldest\nsince"):
        table.add_column(name, justify="right", no_wrap=True)
    for q in r.queues:
        since = day_and_time(q.oldest_at, timezone) if q.oldest_at else "-"
        counts = [q.n_to_send, q.n_open, q.n_skipped, q.n_resolved, *([q.n_lost] if lost else [])]
        table.add_row(q.queue, q.purpose.value, *(f"{n:,}" for n in counts), since)
    tables = [table]
    if any(q.n_open for q in r.queues):
        tables.append(_ages(r))
    if r.n_rejected:
        aside = new_table("Set aside (labelloop status --rejected lists them)", "reason")
        aside.add_column("rows", justify="right")
        aside.add_column("last 24 hours", justify="right")
        for reason, n in r.n_rejected.items():
            fresh = r.n_rejected_last_day.get(reason, 0)
            aside.add_row(reason, f"{n:,}", f"{fresh:,}" if fresh else "-")
        tables.append(aside)
    return tables


def _ages(r: "Status") -> "Table":
    """How long tasks have waited for people."""
    table = new_table("With people, by how long (labelloop status --waiting lists them)", "queue")
    names = list(dict.fromkeys(age for q in r.queues for age in q.by_age))
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for q in r.queues:
        if q.n_open:
            counts = (q.by_age.get(name, 0) for name in names)
            table.add_row(safe(q.queue), *(f"{n:,}" if n else "-" for n in counts))
    return table


def new_table(title: str, *columns: str) -> "Table":
    """A table in the house's style. On a narrow terminal names are folded, never numbers cut."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
