"""Dataset versions, what changed between two, and what is guaranteed of their labels, as tables."""

from typing import TYPE_CHECKING

from labelloop.views.table import NONE, Column, Row, Table, names, numbers
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.core.dataset import DatasetVersion
    from labelloop.measuring.guarantees import CertificateState
    from labelloop.steps.suspects import Suspects
    from labelloop.views.dataset_diff import Change, DatasetDiff

MOST_PAIRS = 12


def versions(found: "Sequence[DatasetVersion]", timezone: str) -> Table:
    """Every version with its counts and its content hash."""
    rows: list[Row] = []
    for v in found:
        was = NONE if v.redacted_from is None else v.redacted_from[:12]
        counts = (f"{v.n_human:,}", f"{v.n_model:,}")
        made = dated(v.created_at, timezone)
        rows.append((v.name, f"v{v.version}", made, v.content_hash[:12], was, *counts))
    return Table(
        title="Versions",
        columns=(
            *names("dataset", "version", "made"),
            *numbers("content hash"),
            *numbers("before redaction", if_any=True),
            *numbers("by people", "by the model"),
        ),
        rows=tuple(rows),
    )


def guarantees(states: "Sequence[CertificateState]") -> Table:
    """Every guarantee: its rounds, its checked labels, and what it keeps."""
    rows: list[Row] = []
    for s in states:
        of = f"{s.rounds[0]} to {s.rounds[-1]}" if len(s.rounds) > 1 else f"{s.rounds[0]}"
        kept = f"{s.n_accepted:,} of {s.n_listed:,}"
        rows.append(
            (
                str(s.id),
                of,
                f"{s.promise}, {100 * s.max_error:.3g}%",
                s.reason,
                f"{s.n_answered:,} of {s.n_audits:,}",
                f"{s.n_wrong:,}",
                kept if s.n_listed else NONE,
            )
        )
    return Table(
        title="Guarantees",
        columns=(
            *names("no.", "rounds", "covers", "because"),
            *numbers("labels checked", "wrong", "kept"),
        ),
        rows=tuple(rows),
    )


def of_diff(found: "DatasetDiff") -> list[Table]:
    """How many samples changed in which way and by whom; whose labels, and from what to what."""
    changes = Table(
        title=f"From {found.old} to {found.new}: {found.n_same:,} samples unchanged",
        columns=(*names("change", "labelled by", "who"), *numbers("samples")),
        rows=tuple((c.kind.value, _whose(c), plain(c.by), f"{c.n:,}") for c in found.changes),
    )
    pairs = Table(
        title="Relabelled most",
        columns=(*names("was", "is"), *numbers("samples")),
        rows=tuple(
            (plain(was), plain(is_), f"{n:,}") for was, is_, n in found.classes[:MOST_PAIRS]
        ),
    )
    first = Table(
        title="Relabelled, the first by sample_id",
        columns=names("sample", "was", "is", "who"),
        rows=tuple(
            (plain(r.sample_id), plain(r.before), plain(r.now), plain(r.by))
            for r in found.relabelled
        ),
    )
    return [table for table in (changes, pairs, first) if table.rows]


def suspects(found: "Suspects") -> Table:
    """The labels that a model contradicts, with what it says instead."""
    rows: list[Row] = []
    for s in found.first:
        by = f"guarantee {s.guarantee}" if s.guarantee is not None else s.by or s.origin.value
        again = NONE if s.asked_again is None else s.answer or s.asked_again.value
        rows.append(
            (
                plain(s.sample_id),
                plain(s.label),
                plain(by),
                plain(s.said),
                plain(s.model),
                f"{100 * s.label_probability:.1f}%",
                f"{100 * s.said_probability:.1f}%",
                plain(again),
            )
        )
    return Table(
        title="Contradicted labels",
        columns=(
            *names("sample", "label", "labelled by", "model says", "model"),
            *numbers("probability of the label", "of the model's class"),
            Column(name="asked again", is_number=False, if_any=True),
        ),
        rows=tuple(rows),
    )


def notes_on(found: "Suspects") -> list[str]:
    """What a list of contradicted labels doesn't tell."""
    notes = []
    if found.n_judged < found.n_labels:
        notes.append(f"{found.n_labels - found.n_judged:,} labels have no answer of a model")
    if found.n_by_confidence:
        notes.append(
            f"{found.n_by_confidence:,} answers have no probabilities for each class, in the order of "
            "[project] classes; their confidence is used, and the rest shared equally"
        )
    return notes


def _whose(change: "Change") -> str:
    if change.before and change.now:
        return f"{change.before} → {change.now}"
    return change.before or change.now or ""
