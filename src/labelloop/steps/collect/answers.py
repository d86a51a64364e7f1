"""Which answers count, and how what the annotator holds of a task changes what the ledger holds of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from labelloop.core.annotation import Annotation, Standing
from labelloop.ledger import Transaction, annotations
from labelloop.ledger.annotations import Stray
from labelloop.ports.annotator import RemoteAnnotation
from labelloop.steps.collect.duplicates import RemoteAnswers
from labelloop.steps.collect.tally import Tally


@dataclass(frozen=True, slots=True)
class AllowedAnswers:
    """What people may answer, and the old names that count as one of these."""

    live: frozenset[str]
    renamed: Mapping[str, str]

    def has(self, name: str) -> bool:
        """True if people may answer it, under its present name or an old one."""
        return self.present(name) in self.live

    def present(self, name: str) -> str:
        """The present name."""
        return self.renamed.get(name, name)

    def digest(self) -> str:
        """What changes with the renamed classes, and with nothing else."""
        return sha256(repr(sorted(self.renamed.items())).encode()).hexdigest()

    def chosen(self, said: RemoteAnnotation) -> str | None:
        """The class that was chosen, as it was called; None where it is no single one of ours."""
        if said.skipped or len(said.choices) != 1 or not self.has(said.choices[0]):
            return None
        return said.choices[0]


def merge(
    tx: Transaction,
    key: str,
    held: Sequence[Annotation],
    there: RemoteAnswers,
    allowed: AllowedAnswers,
    *,
    saw: Callable[[str, datetime], bool],
    tally: Tally,
    now: datetime,
) -> list[Annotation]:
    """The latest revision of each annotation of a task after the annotator's word; new ones are written.

    `saw` says of a person whether they had seen by a moment what the model said: their answer is void.

    A deletion changes its task. One that is missing from a task that hasn't changed since was lost by
    the annotator, restored from a backup say, and stands.
    """
    latest = {a.remote_id: a for a in held}
    fresh: list[Annotation] = []
    usable: set[str] = set()
    for said in there.annotations:
        known = latest.get(said.remote_id)
        answer = allowed.chosen(said)
        present = None if answer is None else allowed.present(answer)
        if known is None or said.updated_at > known.updated_at:
            if answer is None and not said.skipped:
                # an answer that became unusable withdraws what stood before it
                continue
            revision = Annotation(
                task_key=key,
                remote_id=said.remote_id,
                updated_at=said.updated_at,
                annotator=said.annotator,
                answer=answer,
                skipped=said.skipped,
                standing=Standing.VOID
                if answer is not None and saw(said.annotator, said.updated_at)
                else Standing.VOTE,
            )
            fresh.append(revision)
            tally.n_void += revision.standing is Standing.VOID
            latest[said.remote_id] = replace(revision, answer=present)
            tally.n_edited += known is not None and known.answer != present
            tally.n_skipped += said.skipped and (known is None or not known.skipped)
        elif known.deleted:
            annotations.mark_deleted(tx, [known], None)
            latest[said.remote_id] = replace(known, deleted=False)
        # what was taken in once stands, also when its class is retired since
        usable.add(said.remote_id)
    said_ids = {said.remote_id for said in there.annotations}
    gone = [
        a
        for a in latest.values()
        if a.remote_id not in usable
        and not a.deleted
        and a.standing is not Standing.DECISION
        and (a.remote_id in said_ids or a.updated_at < there.changed_at)
    ]
    annotations.insert(tx, fresh)
    annotations.mark_deleted(tx, gone, now)
    tally.n_deleted += len(gone)
    for a in gone:
        latest[a.remote_id] = replace(a, deleted=True)
    return list(latest.values())


def strays_of(
    key: str, said: Sequence[RemoteAnnotation], held: Sequence[Annotation]
) -> list[Stray]:
    """The answers to a task that are no class."""
    usable = {a.remote_id for a in held if not a.deleted}
    return [
        Stray(key, each.remote_id, " + ".join(each.choices) or "(nothing)", each.annotator)
        for each in said
        if each.remote_id not in usable
    ]
