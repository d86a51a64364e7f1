"""build: an evaluation and a training dataset version, with the wall between them."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from labelloop.core.dataset import DESCRIPTION, MANIFEST, DatasetVersion, Row
from labelloop.core.notice import Notice
from labelloop.core.queue import Purpose
from labelloop.core.round import FrameRange, Round
from labelloop.core.sample import RejectReason
from labelloop.errors import DatasetError
from labelloop.ledger import (
    Lease,
    Ledger,
    Transaction,
    certificates,
    cursors,
    datasets,
    events,
    outbox,
    rejects,
    rounds,
)
from labelloop.ledger.datasets import in_order
from labelloop.measuring.guarantee_text import guarantee
from labelloop.measuring.guarantees import CertificateState, Certified, certified
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import LabelPart, PredictionLog
from labelloop.steps.build import manifest_file
from labelloop.steps.build.same_content import LISTED_AT_MOST, Read, compared, name_of
from labelloop.steps.build.version_folder import clear, sync, write_description

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE_OF_TEXTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDataset:
    """The result for one dataset. `version` is None if there is nothing to release yet."""

    name: str
    version: int | None
    is_new: bool
    n_human: int
    n_model: int
    n_certified: int
    added_human: int
    added_model: int


@dataclass(frozen=True, slots=True)
class Built:
    """What one `build` released.

    guarantee
        what holds for the model-made labels, or why none are kept, in words
    certificates
        every certificate of the project, as the answers stand now, oldest first
    n_walled
        labels of training queues that stay out: their inputs are byte-identical copies of evaluation's
    released
        rounds whose evaluation labels may train from now on
    n_overwritten
        labels of training queues that stay out: another content stands where their input was
    """

    evaluation: BuiltDataset
    training: BuiltDataset
    guarantee: str
    certificates: tuple[CertificateState, ...]
    n_walled: int
    released: tuple[int, ...] = ()
    n_overwritten: int = 0


@dataclass(frozen=True, slots=True)
class _Sources:
    """The labels that the training set is made of, and the samples left out of it."""

    human: Sequence[Row]
    parts: Sequence[LabelPart]
    drawn: Sequence[str]
    walled: Sequence[str]
    n_walled: int
    n_overwritten: int
    certificates: Sequence[CertificateState]


class Build:
    """Builds dataset versions under one folder."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        folder: Path,
        *,
        min_confidence: float | None,
        clock: Clock,
        progress: Progress,
        with_texts: bool = False,
        release_after: timedelta | None = None,
        retrain_after: int = 500,
        read: Read | None = None,
    ) -> None:
        """`read` gives the bytes of an input, where its hash doesn't tell whether it is a copy.

        After `retrain_after` more labels by people in the training set, others are told.
        """
        self._ledger = ledger
        self._log = log
        self._folder = folder
        self._min_confidence = min_confidence
        self._clock = clock
        self._progress = progress
        self._with_texts = with_texts
        self._release_after = release_after
        self._retrain_after = retrain_after
        self._read = read

    def run(self) -> Built:
        """Release a new version of each dataset whose content changed."""
        with self._ledger.lease("build") as lease:
            released = self._release_rounds(lease)
            sources = self._sources(lease)
            states = sources.certificates
            self._keep(lease, states)
            evaluation = self._release(lease, "evaluation", self._evaluation(), {})
            described = self._described(states)
            training = self._release(lease, "training", self._training(sources), described)
        holds = guarantee(states, self._min_confidence)
        return Built(
            evaluation,
            training,
            holds,
            tuple(states),
            sources.n_walled,
            tuple(released),
            sources.n_overwritten,
        )

    def again(self, damaged: Sequence[DatasetVersion]) -> list[DatasetVersion]:
        """Write released versions anew, each in its place, whose content is what a build gives now.

        Returns which they were. Of the others the ledger doesn't hold the content any more.

        Raises:
            DatasetError: they can't be written.
        """
        with self._ledger.lease("build") as lease:
            sources = self._sources(lease)
            parts = {
                "evaluation": (self._evaluation, {}),
                "training": (
                    lambda: self._training(sources),
                    self._described(sources.certificates),
                ),
            }
            return [
                version
                for version in damaged
                if version.name in parts and self._again(version, *parts[version.name])
            ]

    def _again(
        self,
        version: DatasetVersion,
        batches: "Callable[[], Iterator[pa.RecordBatch]]",
        described: Mapping[str, object],
    ) -> bool:
        target = Path(version.uri)
        with self._writing(target.parent) as writing:
            _, digest = self._write(writing, version.name, batches())
            if digest != version.content_hash:
                return False
            _describe(writing / DESCRIPTION, version, described)
            target.mkdir(exist_ok=True)
            for name in (MANIFEST, DESCRIPTION):
                (writing / name).replace(target / name)
            sync(target)
        return True

    def _described(self, states: Sequence[CertificateState]) -> Mapping[str, object]:
        """The description of a training set."""
        return {
            "settings": {"confidence": self._min_confidence},
            "guarantee": guarantee(states, self._min_confidence),
            "certificates": [asdict(s) for s in states],
        }

    # --- rows ---------------------------------------------------------------------------------

    def _evaluation(self) -> "Iterator[pa.RecordBatch]":
        with self._ledger.read() as tx:
            judging, _ = rounds.evaluation_samples(tx)
            rows = datasets.human_rows(tx, Purpose.EVALUATION)
            return manifest_file.from_rows([row for row in rows if row.sample_id in judging])

    def _release_rounds(self, lease: Lease) -> list[int]:
        """Let the evaluation labels of old rounds train, where the settings say so."""
        if self._release_after is None:
            return []
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            made = rounds.release_before(tx, now - self._release_after)
            certificates.leave_out(tx, made)
            what = "its evaluation labels may train, and judge no more"
            events.record(
                tx, [events.Event(now, "build", "release", f"round {r}", what) for r in made]
            )
        return made

    def _same_content(self, lease: Lease) -> frozenset[str]:
        """Content hashes of copies of evaluation inputs that aren't known by their hash."""
        with self._ledger.read() as tx:
            judging, _ = rounds.evaluation_samples(tx)
        contents = self._log.same_size(sorted(judging), LISTED_AT_MOST)
        if self._read is None or not contents:
            return frozenset()
        with self._ledger.read() as tx:
            kept = {name: cursors.get(tx, _content(name)) for name in map(name_of, contents)}
        result = compared(contents, {n: h for n, h in kept.items() if h is not None}, self._read)
        if result.read:
            with self._ledger.write(lease) as tx:
                for name, value in result.read.items():
                    cursors.put(tx, _content(name), value)
        return result.walled

    def _sources(self, lease: Lease) -> _Sources:
        """People's labels and parts of the log, without samples drawn for evaluation and their twins."""
        same_content = self._same_content(lease)
        with self._ledger.read() as tx:
            judging, walled = rounds.evaluation_samples(tx)
            walled |= same_content
            rows = list(datasets.human_rows(tx, Purpose.TRAINING))
            # people saw a link to the object, so their answer may be about another content
            overwritten = rejects.with_reason(tx, RejectReason.OVERWRITTEN)
            trained = [row for row in rows if row.uri not in overwritten]
            # a released answer was given without seeing the prediction, so it goes before another
            released = {
                row.sample_id: row
                for row in datasets.human_rows(tx, Purpose.EVALUATION)
                if row.sample_id not in judging
            }
            every_row = {row.sample_id: row for row in trained} | released
            usable = [
                every_row[sample_id]
                for sample_id in sorted(every_row, key=in_order)
                if sample_id not in judging and not every_row[sample_id].extra_answer
            ]
            human = [row for row in usable if row.content_hash not in walled]
            drawn = rounds.drawn_samples(tx)
            walled |= {row.content_hash for row in human}
            found = certified(
                tx,
                self._log,
                without_samples=drawn,
                without_content=sorted(walled),
            )
            every = rounds.every(tx)
        proven = [c.part for c in found if c.part is not None]
        return _Sources(
            human=human,
            parts=[*proven, *self._by_confidence(every, found)],
            drawn=drawn,
            walled=sorted(walled),
            n_walled=len(usable) - len(human),
            n_overwritten=len(rows) - len(trained),
            certificates=[c.state for c in found],
        )

    def _by_confidence(
        self, every: Sequence[Round], found: Sequence[Certified]
    ) -> Iterator[LabelPart]:
        """The frames without certified labels, if the settings name a minimum confidence."""
        covered = {number for c in found if c.part is not None for number in c.state.rounds}
        frames = _merged(
            [(r.frame, r.extra) for r in every if r.round not in covered and r.rival is None]
        )
        if self._min_confidence is not None and frames:
            yield LabelPart(frames=tuple(frames), min_confidence=self._min_confidence)

    def _keep(self, lease: Lease, states: Sequence[CertificateState]) -> None:
        """Store the decisions on certificates that changed."""
        with self._ledger.read() as tx:
            before = certificates.results(tx)
        changed = [s for s in states if s.prefix and before.get(s.id) != s.to_json()]
        if not changed:
            return
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            for s in changed:
                certificates.decide(tx, s.id, s.to_json(), now)
            events.record(
                tx,
                [events.Event(now, "build", "certify", str(s.id), s.reason) for s in changed],
            )
            outbox.record(tx, [_reached(s, now) for s in changed])

    def _training(self, sources: _Sources) -> "Iterator[pa.RecordBatch]":
        labels: Iterator[pa.RecordBatch] = iter(())
        if sources.parts:
            labels = self._log.model_labels(
                sources.parts, without_samples=sources.drawn, without_content=sources.walled
            )
        return manifest_file.merged(sources.human, map(manifest_file.from_labels, labels))

    # --- a version ----------------------------------------------------------------------------

    def _release(
        self,
        lease: Lease,
        name: str,
        batches: "Iterator[pa.RecordBatch]",
        described: Mapping[str, object],
    ) -> BuiltDataset:
        home = self._folder / name
        with self._ledger.read() as tx:
            parent = datasets.latest(tx, name)
            begun = datasets.begun(tx, name)
        with self._writing(home) as writing:
            counts, digest = self._write(writing, name, batches)
            if counts.human + counts.model == 0 and parent is None:
                return _unchanged(name, None)
            if parent is not None and parent.content_hash == digest:
                return _unchanged(name, parent)
            version = self._version(home, name, counts, digest, parent)
            while version.version != begun and Path(version.uri).exists():
                # released by a ledger of which this one is an earlier copy: it stands
                number = version.version + 1
                version = replace(version, version=number, uri=str(home / f"v{number:04d}"))
            _describe(writing / DESCRIPTION, version, described)
            with self._ledger.write(lease) as tx:
                datasets.begin(tx, version)
            target = Path(version.uri)
            if target.exists():  # a run was killed between the two writes to the ledger
                shutil.rmtree(target)
            writing.rename(target)
            sync(home)
            with self._ledger.write(lease) as tx:
                datasets.release(tx, name, version.version)
                detail = f"{version.n_human} human, {version.n_model} model"
                now = self._clock.now()
                events.record(
                    tx,
                    [events.Event(now, "build", "release", f"{name} v{version.version}", detail)],
                )
                self._tell(tx, version, now)
        return BuiltDataset(
            name=name,
            version=version.version,
            is_new=True,
            n_human=counts.human,
            n_model=counts.model,
            n_certified=counts.certified,
            added_human=counts.human - (parent.n_human if parent else 0),
            added_model=counts.model - (parent.n_model if parent else 0),
        )

    def _tell(self, tx: Transaction, version: DatasetVersion, now: datetime) -> None:
        """Let others hear of a release, and of a training set that has grown enough."""
        subject, key = f"dataset {version.name}", f"{version.name} {version.version}"
        data = {
            "dataset": version.name,
            "version": version.version,
            "n_human": version.n_human,
            "n_model": version.n_model,
            "content_hash": version.content_hash,
            "uri": version.uri,
        }
        built = Notice(name="dataset.built", subject=subject, key=key, at=now, data=data)
        outbox.record(tx, [built])
        if version.name != "training":
            return
        grown_by = version.n_human - int(cursors.get(tx, _TOLD) or 0)
        if grown_by >= self._retrain_after:
            data = {**data, "grown_by": grown_by}
            outbox.record(tx, [replace(built, name="training.grown", data=data)])
            cursors.put(tx, _TOLD, str(version.n_human))

    @contextmanager
    def _writing(self, home: Path) -> Iterator[Path]:
        """A new folder below `home` to write a version in, gone at the end unless it was renamed."""
        writing = home / f".writing-{token_hex(4)}"
        try:
            home.mkdir(parents=True, exist_ok=True)
            clear(home)
            writing.mkdir()
            yield writing
        except OSError as exc:
            raise DatasetError(
                f"{home} can't be written: {exc}",
                remedy="free disk space, or give this user the right to write to [state] datasets; "
                "nothing was released",
            ) from exc
        finally:
            shutil.rmtree(writing, ignore_errors=True)

    def _write(
        self, writing: Path, name: str, batches: "Iterator[pa.RecordBatch]"
    ) -> tuple[manifest_file.Counts, str]:
        if self._with_texts:
            batches = manifest_file.with_texts(batches, self._log.texts, page=_PAGE_OF_TEXTS)
        return manifest_file.write(
            writing / MANIFEST, batches, lambda n: self._progress(f"{name} rows", n, None)
        )

    def _version(
        self,
        home: Path,
        name: str,
        counts: manifest_file.Counts,
        digest: str,
        parent: DatasetVersion | None,
    ) -> DatasetVersion:
        number = parent.version + 1 if parent else 1
        return DatasetVersion(
            name=name,
            version=number,
            content_hash=digest,
            parent=parent.version if parent else None,
            uri=str(home / f"v{number:04d}"),
            n_human=counts.human,
            n_model=counts.model,
            n_certified=counts.certified,
            created_at=self._clock.now(),
        )


_TOLD = "training:told of"
"""The cursor that keeps how many labels by people the training set had when others were last told."""


def _reached(s: CertificateState, now: datetime) -> Notice:
    """A guarantee that came, as others hear of it: once, whatever it grows to."""
    data = {
        "guarantee": s.id,
        "says": s.reason,
        "n_labels": s.n_accepted,
        "max_error": s.max_error,
        "failure_probability": s.failure_probability,
    }
    return Notice(
        name="guarantee.reached", subject=f"guarantee {s.id}", key=str(s.id), at=now, data=data
    )


def _content(name: str) -> str:
    """The cursor that keeps the hash of a content's bytes."""
    return f"content:{name}"


def _describe(path: Path, version: DatasetVersion, also: Mapping[str, object]) -> None:
    described = {
        "name": version.name,
        "version": version.version,
        "content_hash": version.content_hash,
        "parent": version.parent,
        "created_at": version.created_at.isoformat(),
        "counts": {
            "rows": version.n_human + version.n_model,
            "human": version.n_human,
            "model": version.n_model,
            "certified": version.n_certified,
        },
        **also,
    }
    write_description(path, described)


def _merged(frames: Sequence[tuple[FrameRange, bool]]) -> list[FrameRange]:
    """The frames of all rounds in as few ranges as possible: regular rounds adjoin."""
    merged: list[FrameRange] = []
    for frame, extra in frames:
        before = merged[-1] if merged and not extra else None
        joins = before is not None and before.since == before.until == frame.since is None
        if before is not None and joins and before.batch_to == frame.batch_after:
            merged[-1] = FrameRange(batch_after=before.batch_after, batch_to=frame.batch_to)
        else:
            merged.append(frame)
    return merged


def _unchanged(name: str, version: DatasetVersion | None) -> BuiltDataset:
    return BuiltDataset(
        name=name,
        version=version.version if version else None,
        is_new=False,
        n_human=version.n_human if version else 0,
        n_model=version.n_model if version else 0,
        n_certified=version.n_certified if version else 0,
        added_human=0,
        added_model=0,
    )
