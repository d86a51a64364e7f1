"""forget: samples that a person asked to be erased leave everything that labelloop keeps.

One transaction notes what there is to do and leaves in the ledger what the estimates need, under a keyed
hash. From then on no verb knows the samples. What lies elsewhere is deleted after it, each part so that it
can be repeated; only then the note goes, and with it the last place that names the samples.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from labelloop.core.dataset import MANIFEST, DatasetVersion
from labelloop.core.erasure import Begun, Erasure, Redacted, total
from labelloop.core.task import Task, TaskState
from labelloop.core.token import project_marker
from labelloop.errors import (
    ArgumentError,
    LabelloopError,
    LeaseLost,
    ProjectGone,
    StoreDenied,
)
from labelloop.ledger import (
    Lease,
    Ledger,
    batches,
    datasets,
    erasures,
    events,
    rejects,
    tombstones,
    verb_states,
    waiting_rows,
)
from labelloop.ledger.datasets import Export
from labelloop.ports.annotator import Annotator, RemoteTask
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import PredictionLog
from labelloop.ports.store import Store
from labelloop.steps.build.version_folder import clear
from labelloop.steps.forget.redact import n_held, redaction
from labelloop.steps.index.batch_writer import recover_batches
from labelloop.steps.send.settled import settled

OTHERS = ("index", "collect", "select", "send", "build")
"""The verbs that may not run meanwhile: each writes what one of them could bring back."""

_TWINS = 1_000
_WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What one `forget` deleted, or with `dry_run` would delete.

    n_samples, n_again
        samples named; those of them that were forgotten before
    n_draws, n_answers
        draws that stay without their sample; people's answers that were deleted or made nameless
    n_tasks, n_copies
        tasks that people may still see; blind copies
    redacted
        dataset versions that lost rows; with `dry_run` without their new hash
    exports
        of those versions, taken before: they hold the samples still
    inputs
        where the user's own objects lie: they are not deleted
    twins
        other samples with the same content, the first thousand: they stay unless they are named too
    """

    dry_run: bool
    n_samples: int
    n_again: int
    n_predictions: int
    n_feedback: int
    n_draws: int
    n_answers: int
    n_set_aside: int
    n_tasks: int
    n_copies: int
    redacted: tuple[Redacted, ...]
    exports: tuple[Export, ...]
    inputs: tuple[str, ...]
    twins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be erased, and the ledger's traces of it."""

    erasure: Erasure
    held: tuple[tuple[int, int], ...]
    """Batches of the log, and how many of their rows go."""
    tasks: tuple[Task, ...]
    rejects: tuple[str, ...]
    n_again: int


class Forget:
    """Forgets samples of one project."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        store: Store,
        annotator: Callable[[], Annotator],
        folder: Path,
        *,
        also_delete: Sequence[str],
        clock: Clock,
        progress: Progress,
    ) -> None:
        """`annotator` is asked for only where it may hold something; `folder` holds the dataset
        versions; `also_delete`: what else may show a sample.
        """
        self._ledger = ledger
        self._log = log
        self._store = store
        self._annotator = annotator
        self._folder = folder
        self._also_delete = tuple(also_delete)
        self._clock = clock
        self._progress = progress

    def run(
        self, sample_ids: Sequence[str], *, unknown_too: bool = False, dry_run: bool = False
    ) -> Forgotten:
        """Forget samples, and finish what a killed run had begun; without samples only that.

        `unknown_too`: also samples that labelloop has never seen, so that it never takes them in.

        Raises:
            ArgumentError: a sample is unknown; nothing was done.
            LeaseHeld: a verb is running; nothing was done.
        """
        names = list(dict.fromkeys(sample_ids))
        if dry_run:
            return self._told(self._look(names, unknown_too))
        with ExitStack() as held:
            lease = held.enter_context(self._ledger.lease("forget"))
            leases = {step: held.enter_context(self._ledger.lease(step)) for step in OTHERS}
            index = leases["index"]
            recover_batches(self._ledger, self._log, index, self._clock.now())
            n_again = self._begin(lease, names, unknown_too) if names else 0
            with self._ledger.read() as tx:
                begun = erasures.unfinished(tx)
            if not names and not begun:
                raise ArgumentError(
                    "no sample was given, and no earlier `labelloop forget` was interrupted",
                    remedy="give samples, or a file that lists them with --from",
                )
            done = [self._finish(lease, index, one) for one in begun]
        return self._result(total(done), n_again, dry_run=False)

    # --- looking ------------------------------------------------------------------------------

    def _look(self, names: Sequence[str], unknown_too: bool) -> _Found:
        """Look for samples everywhere but in dataset versions.

        Raises:
            ArgumentError: a sample is unknown.
        """
        held = self._log.held(names)
        uris = dict.fromkeys(self._store.uri_of(name) for name in names)
        uris |= dict.fromkeys(rows.uri for rows in held if rows.uri)
        with self._ledger.read() as tx:
            traces = tombstones.traces(tx, names)
            uris |= dict.fromkeys(task.uri for task in traces.tasks if task.uri)
            aside = rejects.uris_of_names(tx, [*names, *uris])
            again = tombstones.every(tx).among(names)
        known = {rows.sample_id for rows in held} | traces.drawn | again
        places = set(aside)
        known |= {name for name in names if self._store.uri_of(name) in places}
        there = self._there(list(uris))
        known |= {name for name in names if self._store.uri_of(name) in there}
        unknown = [name for name in names if name not in known]
        if unknown and not unknown_too:
            raise ArgumentError(
                f"labelloop doesn't know {_listed(unknown)}; nothing was erased",
                remedy="check the spelling: a sample_id is the whole key of the object. "
                "--unknown-too accepts unknown samples, and never indexes them",
            )
        sent = [task for task in traces.tasks if task.sent_at is not None]
        erasure = Erasure(
            sample_ids=tuple(names),
            task_keys=tuple(task.task_key for task in sent),
            unsettled=tuple(t.task_key for t in sent if t.state is TaskState.SENDING),
            copies=tuple(task.media_uri for task in traces.tasks if task.media_uri),
            inputs=tuple(there),
            n_predictions=sum(rows.n_rows for rows in held if rows.kind == "predictions"),
            n_feedback=sum(rows.n_rows for rows in held if rows.kind == "feedback"),
            n_draws=traces.n_draws,
            n_answers=traces.n_answers,
            n_set_aside=len(aside),
            twins=tuple(self._log.twins(names, _TWINS)),
        )
        rows_of = tuple((rows.batch, rows.n_rows) for rows in held)
        return _Found(erasure, rows_of, traces.tasks, tuple(aside), len(again))

    def _there(self, uris: Sequence[str]) -> list[str]:
        """Those of the user's objects that exist."""

        def exists(uri: str) -> bool:
            try:
                return self._store.exists(uri)
            except StoreDenied:  # a name that can't be one of the store's
                return False

        with ThreadPoolExecutor(_WORKERS) as pool:
            found = list(pool.map(exists, uris))
        return [uri for uri, there in zip(uris, found, strict=True) if there]

    def _told(self, found: _Found) -> Forgotten:
        """What would be erased; versions are read, and nothing is written."""
        redacted = [
            Redacted(
                name=version.name,
                version=version.version,
                n_rows=n,
                old_hash=version.content_hash,
                new_hash="",
            )
            for version in self._versions()
            if (n := n_held(Path(version.uri), found.erasure.sample_ids))
        ]
        erasure = replace(found.erasure, redacted=tuple(redacted))
        return self._result(erasure, found.n_again, dry_run=True)

    def _versions(self) -> list[DatasetVersion]:
        with self._ledger.read() as tx:
            return datasets.every(tx)

    # --- the ledger's part --------------------------------------------------------------------

    def _begin(self, lease: Lease, names: Sequence[str], unknown_too: bool) -> int:
        """Record the erasure and do the ledger's part; return how many were forgotten before."""
        found = self._look(names, unknown_too)
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            erasures.begin(tx, found.erasure, now)
            tombstones.bury(tx, names, found.tasks, now)
            rejects.clear(tx, [*found.rejects, *waiting_rows.forget(tx, names)])
            verb_states.forget_errors(tx, now)
            for batch, n_rows in found.held:
                batches.subtract_rows(tx, batch, n_rows)
            detail = f"{len(names):,} samples"
            events.record(tx, [events.Event(now, "forget", "forget", "ledger", detail)])
        return found.n_again

    # --- what lies elsewhere ------------------------------------------------------------------

    def _finish(self, lease: Lease, index: Lease, begun: Begun) -> Erasure:
        """Delete what is outside of the ledger; an error in one part doesn't stop the others."""
        if begun.erasure is not None:
            erasure = begun.erasure
            troubles: list[LabelloopError] = []
            with _noted(troubles):
                self._still_holds(index)
                self._log.erase(erasure.sample_ids, allowed=lambda: self._still_holds(index))
            with _noted(troubles):
                shown = [uri for uri in self._also_delete if self._store.exists(uri)]
                for uri in (*erasure.copies, *shown):
                    self._store.delete(uri)
            with _noted(troubles):
                self._delete_tasks(erasure)
            with _noted(troubles):
                erasure = self._redact(lease, begun, erasure)
            if troubles:
                raise LabelloopError(
                    f"the samples aren't erased everywhere yet: {troubles[0].args[0]}",
                    remedy=f"{troubles[0].remedy}; then run `labelloop forget` again without a sample: it "
                    "finishes the erasure",
                ) from troubles[0]
            done = erasure
            with self._ledger.write(lease) as tx:
                erasures.update(tx, begun.number, None)
        else:
            done = total([])
        self._ledger.scrub()
        with self._ledger.write(lease) as tx:
            erasures.finish(tx, begun.number)
        return done

    def _still_holds(self, index: Lease) -> None:
        """Return if index was not taken over while this process stood still; raise if it was."""
        with self._ledger.write(index):
            pass

    def _delete_tasks(self, erasure: Erasure) -> None:
        """Delete the samples' tasks in every project of ours, duplicates too."""
        if not erasure.task_keys:
            return
        own = project_marker(self._log.ledger_id, "")
        annotator = self._annotator()
        for project in annotator.projects():
            if not project.marker.startswith(own):
                continue
            for remote in self._remote(annotator, project.project_ref, erasure):
                annotator.delete_task(remote.remote_id)

    def _remote(
        self, annotator: Annotator, project_ref: str, erasure: Erasure
    ) -> Sequence[RemoteTask]:
        """The tasks in a project; where some were being sent, once what was asked is carried out."""

        def look() -> Sequence[RemoteTask]:
            try:
                return annotator.find(project_ref, erasure.task_keys)
            except ProjectGone:
                return []

        if not erasure.unsettled:
            return look()
        return settled(
            look,
            lambda found: set(erasure.unsettled) <= {remote.task_key for remote in found},
            timeout_s=annotator.timeout_s,
            clock=self._clock,
            progress=self._progress,
        )

    def _redact(self, lease: Lease, begun: Begun, erasure: Erasure) -> Erasure:
        """Take the samples out of every version, also of those that only the folder knows."""
        known = {Path(version.uri): version for version in self._versions()}
        on_disk = {path.parent for path in self._folder.glob(f"*/v*/{MANIFEST}")}
        for home in {folder.parent for folder in (*known, *on_disk)}:
            clear(home)
        for folder in sorted({*known, *on_disk}):
            n = n_held(folder, erasure.sample_ids)
            if not n:
                continue
            with redaction(folder, erasure.sample_ids) as redacted:
                change = redacted.change(n)
                if change is not None and change not in erasure.redacted:
                    erasure = erasure.having_redacted(change)
                    with self._ledger.write(lease) as tx:
                        if folder in known:
                            datasets.redact(tx, redacted.of(known[folder]))
                        erasures.update(tx, begun.number, erasure)
                        events.record(tx, [_event(change, self._clock.now())])
                redacted.take_place(change, begun.begun_at)
        return erasure

    def _result(self, erasure: Erasure, n_again: int, *, dry_run: bool) -> Forgotten:
        with self._ledger.read() as tx:
            exports = [
                e for r in erasure.redacted for e in datasets.exports_of(tx, r.name, r.version)
            ]
        return Forgotten(
            dry_run=dry_run,
            n_samples=len(erasure.sample_ids),
            n_again=n_again,
            n_predictions=erasure.n_predictions,
            n_feedback=erasure.n_feedback,
            n_draws=erasure.n_draws,
            n_answers=erasure.n_answers,
            n_set_aside=erasure.n_set_aside,
            n_tasks=len(erasure.task_keys),
            n_copies=len(erasure.copies),
            redacted=erasure.redacted,
            exports=tuple(exports),
            inputs=erasure.inputs,
            twins=erasure.twins,
        )


@contextmanager
def _noted(troubles: list[LabelloopError]) -> Iterator[None]:
    """Record an error inside the block, and go on after it."""
    try:
        yield
    except LeaseLost:
        raise
    except LabelloopError as exc:
        troubles.append(exc)


def _event(change: Redacted, at: datetime) -> events.Event:
    detail = f"{change.old_hash} is now {change.new_hash}, {change.n_rows:,} rows less"
    return events.Event(at, "forget", "redact", f"{change.name} v{change.version}", detail)


def _listed(names: Sequence[str]) -> str:
    """Names for a message; of many only the first."""
    first = ", ".join(repr(name) for name in names[:10])
    return first if len(names) <= 10 else f"{first} and {len(names) - 10:,} more"
