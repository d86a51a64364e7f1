"""The difference of two dataset versions as tables for people."""

from typing import TYPE_CHECKING

from labelloop.cli.render import new_table, plain, safe

if TYPE_CHECKING:
    from rich.table import Table

    from labelloop.views.dataset_diff import DatasetDiff

_PAIRS = 12


def diff_tables(found: "DatasetDiff") -> "list[Table]":
    """How many samples changed in which way and by whom; whose labels, and from what to what."""
    title = f"From {found.old} to {found.new}: {found.n_same:,} samples unchanged"
    table = new_table(title, "change", "labelled by", "who")
    table.add_column("samples", justify="right")
    for change in found.changes:
        if change.before and change.now:
            whose = f"{change.before} → {change.now}"
        else:
            whose = change.before or change.now or ""
        table.add_row(change.kind.value, whose, safe(plain(change.by)), f"{change.n:,}")
    tables = [table]
    if found.classes:
        pairs = new_table("Relabelled most", "was", "is")
        pairs.add_column("samples", justify="right")
        for was, is_, n in found.classes[:_PAIRS]:
            pairs.add_row(safe(plain(was)), safe(plain(is_)), f"{n:,}")
        tables.append(pairs)
    if found.relabelled:
        first = new_table("Relabelled, the first by sample_id", "sample", "was", "is", "who")
        for sample in found.relabelled:
            cells = (sample.sample_id, sample.before, sample.now, sample.by)
            first.add_row(*(safe(plain(cell)) for cell in cells))
        tables.append(first)
    return tables
