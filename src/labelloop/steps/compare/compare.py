"""compare: is a candidate better than the model that serves, on the same blind labels?"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from labelloop.core.costs import Costs
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.notice import Notice
from labelloop.core.outcome import outcome
from labelloop.errors import ArgumentError, DatasetError
from labelloop.ledger import Ledger, comparisons, datasets, outbox, rounds, verdicts
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.ledger.verdicts import KeptVerdict
from labelloop.measuring.answers import RestsOn
from labelloop.measuring.blind_frame import BlindFrame, blind_frames
from labelloop.measuring.more_labels import rounds_for
from labelloop.ports.clock import Clock
from labelloop.statistics.accuracy import pooled
from labelloop.statistics.compare import Difference, Verdict, where_they_differ
from labelloop.statistics.compare import compare as paired
from labelloop.statistics.cost import CostDifference, cost_difference, cost_where_they_differ
from labelloop.statistics.frame import BlindRound
from labelloop.statistics.gate import level_at_every_look
from labelloop.steps.build import manifest_file
from labelloop.steps.compare.candidate import Candidate

MANY_CANDIDATES = 5
"""With more candidates than this, repeated testing inflates the best result noticeably."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGain:
    """What samples that people call `label` contribute to the difference, in shares of all traffic."""

    label: str
    n: int
    difference: Difference | Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A round of which the candidate answered `n_answered` of the `n_labelled` labelled samples."""

    round: int
    n_answered: int
    n_labelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both accuracies on the same blind labels, for fresh traffic of this kind, and the verdict.

    serving_model, rounds
        the model that served, and the rounds whose labels judge
    drawn_for_it
        whether these were drawn where the two models differ; the accuracies rest on regular rounds
    candidate_name
        the file, or the model in the log
    left_out
        rounds that can't judge a model in the log: it answered some of their samples only
    n_candidates
        candidates that any of these rounds has judged, this one included: the interval allows for
        them
    gate
        the difference with bounds that hold at every look, which then decide; None: no gate was asked
    more_labels
        labels that settle a NOT YET in 4 of 5 cases, if the difference is what it looks like; None: no
        sensible number would
    top_up
        the rounds that hold so many more, to be topped up; none where they don't
    trained_on
        the versions that were named as trained on
    unchecked
        released training versions that hold some of these samples, and were not named as trained on
    rests_on
        what the labels are: single answers, or confirmed by second looks
    cost
        the difference in the mean cost of a prediction; None where the settings have no [costs]
    """

    serving_model: str
    candidate_name: str
    rounds: tuple[int, ...]
    drawn_for_it: bool
    left_out: tuple[LeftOut, ...]
    serving: Estimate | Undefined
    candidate: Estimate | Undefined
    difference: Difference | Undefined
    min_gain: float
    verdict: Verdict | None
    more_labels: int | None
    by_class: tuple[ClassGain, ...]
    n_candidates: int
    trained_on: tuple[tuple[str, int], ...]
    unchecked: tuple[tuple[str, int], ...]
    rests_on: RestsOn | None = None
    gate: Difference | Undefined | None = None
    cost: CostDifference | Undefined | None = None
    top_up: tuple[int, ...] = ()

    @property
    def many_candidates(self) -> bool:
        """True if these labels judged so many candidates that the best result is inflated."""
        return self.n_candidates > MANY_CANDIDATES


def compare(
    ledger: Ledger,
    candidate: Candidate,
    *,
    clock: Clock,
    min_gain: float = 0.0,
    trained_on: Sequence[tuple[str, int]] = (),
    level: float = 0.95,
    gate: bool = False,
    costs: Costs | None = None,
    by_itself: bool = False,
) -> Compared:
    """The candidate against the model that serves.

    Judged by the rounds that were drawn where the two differ, if there are any. Otherwise by the
    regular rounds that the newest model served; of a model in the log, by those of which it answered
    every labelled sample, as the others would stand for another traffic. `trained_on` names the dataset
    versions (name, number) that the candidate learned from: with any of their samples, or of
    byte-identical ones, among the judges there is no difference to tell, and the result says so.

    gate
        whether the verdict has to hold at every look, however many
    by_itself
        nobody asked for it, so nobody is told of a failure

    Raises:
        ArgumentError: the candidate lacks labelled samples, or serves itself.
        DatasetError: a version that doesn't exist.
    """
    if not -1 <= min_gain <= 1:
        raise ArgumentError(
            f"min_gain = {min_gain}: expected a number from -1 to 1",
            remedy="write 0.01 for 1 point",
        )
    own = drawn_for(ledger, candidate.digest)
    frames, left_out = _judged_by(judges(ledger), candidate, others=bool(own))
    both = _Answered.of(frames, candidate)
    judging = _Answered.of(own, candidate) if own else both
    labelled = [d for f in judging.frames for d in f.reached if d.label is not None]
    seen = _seen(ledger, judging.frames, trained_on)
    n_candidates = _record(ledger, candidate, judging.frames, clock) if labelled else 1

    rivals = [f.round.rival for f in own if f.round.rival]
    n_differ, n_both = sum(f.round.n_frame for f in own), sum(r.n_both for r in rivals)

    def of_all_traffic(found: Difference | Undefined) -> Difference | Undefined:
        if isinstance(found, Undefined) or not rivals:
            return found
        return where_they_differ(found, n_differ=n_differ, n_both=n_both)

    def difference_at(held: float) -> Difference | Undefined:
        return of_all_traffic(
            paired(
                *(judging.serving, judging.scores),
                level=held,
                trained_on=seen,
                n_candidates=n_candidates,
            )
        )

    difference = difference_at(level)
    deciding = difference_at(level_at_every_look(len(labelled))) if gate else difference
    settled = None if isinstance(deciding, Undefined) else deciding
    cost: CostDifference | Undefined | None = None
    if costs is not None and isinstance(difference, Undefined):
        cost = difference
    elif costs is not None:
        cost = _cost(judging, candidate, costs, level, n_candidates)
    if isinstance(cost, CostDifference) and rivals:
        cost = cost_where_they_differ(cost, n_differ=n_differ, n_both=n_both)
    verdict = settled.verdict(min_gain) if settled else None
    if gate and not by_itself and settled is not None and verdict is Verdict.FAIL:
        _tell(ledger, candidate, settled, min_gain, clock)
    by_class = _by_class(judging, level, n_candidates) if settled else ()
    more_labels = settled.labels_to_settle(min_gain) if settled else None
    found = Compared(
        serving_model=judging.frames[-1].draws[-1].model if judging.frames else "",
        candidate_name=candidate.name,
        rounds=tuple(f.round.round for f in judging.frames),
        drawn_for_it=bool(own),
        left_out=left_out,
        serving=pooled(both.serving, level=level, fresh=True),
        candidate=_accuracy(both.serving, both.scores, level),
        difference=difference,
        min_gain=min_gain,
        verdict=verdict,
        more_labels=more_labels,
        top_up=rounds_for(judging.frames, more_labels),
        by_class=tuple(replace(c, difference=of_all_traffic(c.difference)) for c in by_class),
        n_candidates=n_candidates,
        trained_on=tuple(trained_on),
        unchecked=_unchecked(ledger, labelled, trained_on),
        rests_on=RestsOn.of(labelled, ()),
        gate=deciding if gate else None,
        cost=cost,
    )
    if labelled:
        _remember(ledger, candidate, found, clock, by_itself=by_itself)
    return found


@dataclass(frozen=True, slots=True)
class _Answered:
    """Rounds with the outcomes of both models on the draws reached."""

    frames: Sequence[BlindFrame]
    serving: list[BlindRound]
    scores: list[list[float]]

    @classmethod
    def of(cls, frames: Sequence[BlindFrame], candidate: Candidate) -> "_Answered":
        said = candidate.answers
        scores = [[outcome(d.label, said.get(d.sample_id)) for d in f.reached] for f in frames]
        return cls(frames, [f.blind_round() for f in frames], scores)


def _judged_by(
    frames: Sequence[BlindFrame], candidate: Candidate, *, others: bool
) -> tuple[list[BlindFrame], tuple[LeftOut, ...]]:
    """The rounds that judge, and the rounds left out because answers of the candidate are missing.

    others
        whether there are rounds that judge besides, so that none of these has to
    """
    used: list[BlindFrame] = []
    left_out: list[LeftOut] = []
    absent: list[DrawWithLabel] = []
    for frame in frames:
        labelled = [d for d in frame.reached if d.label is not None]
        without = [d for d in labelled if d.sample_id not in candidate.answers]
        absent += without
        if without:
            n = len(labelled) - len(without)
            left_out.append(
                LeftOut(round=frame.round.round, n_answered=n, n_labelled=len(labelled))
            )
        else:
            used.append(frame)
    if absent and not others and (not candidate.in_log or not used):
        n_labelled = sum(d.label is not None for f in frames for d in f.reached)
        raise ArgumentError(
            f"{candidate.name} has no answer for {len(absent)} of the {n_labelled} labelled samples, "
            f"{absent[0].sample_id!r} among them",
            remedy="run the model on the samples that `labelloop compare --write-samples FILE` lists, "
            "and compare that file: a round counts only if all of its labelled samples have an answer"
            if candidate.in_log
            else "run the candidate on all samples that `labelloop compare --write-samples FILE` "
            "lists; without some of them the result wouldn't hold for your traffic",
        )
    return used, tuple(left_out)


def judges(ledger: Ledger) -> list[BlindFrame]:
    """The regular rounds with answers in which the newest serving model made every prediction drawn.

    Rounds that were released judge no more: models learn from them.
    """
    return _of_newest_model(f for f in _unreleased(ledger) if not f.round.extra)


def drawn_for(ledger: Ledger, digest: str) -> list[BlindFrame]:
    """The newest round with answers that was drawn where this candidate differs, as a list.

    A larger round over the same period holds the samples of the smaller one before: together they
    would count these labels twice.
    """
    own = _of_newest_model(
        f
        for f in _unreleased(ledger, of_rivals=True)
        if f.round.rival is not None and f.round.rival.digest == digest
    )
    return own[-1:]


def _unreleased(ledger: Ledger, *, of_rivals: bool = False) -> list[BlindFrame]:
    with ledger.read() as tx:
        released = rounds.released(tx)
        frames = [f for f in blind_frames(tx, of_rivals=of_rivals) if f.round.round not in released]
    return [_without_forgotten(f) for f in frames]


def _of_newest_model(frames: Iterable[BlindFrame]) -> list[BlindFrame]:
    """Those with answers whose draws were all predicted by the model of the last draw."""
    answered = [f for f in frames if f.n_reached]
    if not answered:
        return []
    model = answered[-1].draws[-1].model
    return [f for f in answered if all(d.model == model for d in f.draws)]


def _without_forgotten(frame: BlindFrame) -> BlindFrame:
    """The frame with forgotten samples unlabelled: no candidate can be asked about them."""
    draws = tuple(replace(d, label=None) if d.forgotten else d for d in frame.draws)
    return replace(frame, draws=draws)


@dataclass(frozen=True, slots=True)
class Judges:
    """The samples that a candidate must answer: every labelled blind draw that judges now."""

    samples: tuple[str, ...]


def samples(ledger: Ledger) -> Judges:
    """What a candidate must answer now."""
    reached = [d for f in judges(ledger) for d in f.reached]
    return Judges(tuple(d.sample_id for d in reached if d.label is not None))


def write_samples(ledger: Ledger, target: Path) -> int:
    """Write sample_id of every labelled blind draw that judges now, as CSV; returns how many.

    Lines end as everywhere but on Windows: shells and `cut` take its line ends for a part of names.
    """
    ids = samples(ledger).samples
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["sample_id"])
            writer.writerows([one] for one in ids)
    except OSError as exc:
        raise ArgumentError(
            f"{target} can't be written: {exc}", remedy="choose another file"
        ) from exc
    return len(ids)


def _accuracy(
    serving: Sequence[BlindRound], scores: Sequence[Sequence[float]], level: float
) -> Estimate | Undefined:
    """The candidate's own accuracy: the same rounds, with its answers."""
    own = [
        replace(r, score=np.array(score, dtype=np.float64))
        for r, score in zip(serving, scores, strict=True)
    ]
    return pooled(own, level=level, fresh=True)


def _cost(
    judging: _Answered, candidate: Candidate, costs: Costs, level: float, n_candidates: int
) -> CostDifference | Undefined:
    """The difference in mean cost, by the same labels."""
    said = candidate.answers
    reached = [f.reached for f in judging.frames]
    return cost_difference(
        judging.serving,
        [[_costs(costs, d, d.predicted_class) for d in draws] for draws in reached],
        [[_costs(costs, d, said.get(d.sample_id)) for d in draws] for draws in reached],
        possible=costs.possible,
        level=level,
        n_candidates=n_candidates,
    )


def _costs(costs: Costs, draw: DrawWithLabel, said: str | None) -> float:
    return 0.0 if draw.label is None else costs.of(draw.label, said)


def _by_class(judging: _Answered, level: float, n_candidates: int) -> tuple[ClassGain, ...]:
    """The difference, split by what people say the sample is; the parts add up to the whole."""
    frames, serving, scores = judging.frames, judging.serving, judging.scores
    gains = []
    for label in sorted({d.label for f in frames for d in f.reached if d.label is not None}):
        other = [np.array([d.label != label for d in f.reached]) for f in frames]
        # a sample of another class counts as right for both, so it adds nothing to the difference
        ours = [
            replace(r, score=np.where(o, 1.0, r.score)) for r, o in zip(serving, other, strict=True)
        ]
        theirs = [np.where(o, 1.0, score) for o, score in zip(other, scores, strict=True)]
        n = sum(d.label == label for f in frames for d in f.reached)
        difference = paired(ours, theirs, level=level, n_candidates=n_candidates)
        gains.append(ClassGain(label=label, n=n, difference=difference))
    return tuple(gains)


def _seen(
    ledger: Ledger, frames: Sequence[BlindFrame], trained_on: Sequence[tuple[str, int]]
) -> list[list[bool]]:
    """For each judge, whether the candidate learned from it or from a byte-identical one."""
    samples: set[str] = set()
    contents: set[str] = set()
    for name, number in trained_on:
        held_samples, held_contents = _held(ledger, name, number)
        samples |= held_samples
        contents |= held_contents
    return [
        [
            d.label is not None and (d.sample_id in samples or d.content_hash in contents)
            for d in f.reached
        ]
        for f in frames
    ]


def _held(ledger: Ledger, name: str, number: int) -> tuple[set[str], set[str]]:
    with ledger.read() as tx:
        found = [v for v in datasets.every(tx) if (v.name, v.version) == (name, number)]
    if not found:
        raise DatasetError(
            f"no dataset version '{name}@{number}'", remedy="`labelloop datasets list` shows them"
        )
    # without it nobody knows what the candidate learned from
    table = manifest_file.read(
        Path(found[0].uri) / "manifest.parquet", ["sample_id", "content_hash"]
    )
    return set(table["sample_id"].to_pylist()), set(table["content_hash"].to_pylist())


def _unchecked(
    ledger: Ledger, labelled: Sequence[DrawWithLabel], trained_on: Sequence[tuple[str, int]]
) -> tuple[tuple[str, int], ...]:
    """Training versions that weren't named and hold some of the judges."""
    with ledger.read() as tx:
        versions = [
            v
            for v in datasets.every(tx)
            if v.name == "training" and (v.name, v.version) not in trained_on
        ]
    found = []
    for version in versions:
        if not (Path(version.uri) / "manifest.parquet").exists():
            continue
        samples, contents = _held(ledger, version.name, version.version)
        n = sum(d.sample_id in samples or d.content_hash in contents for d in labelled)
        if n:
            found.append((f"{version.name}@{version.version}", n))
    return tuple(found)


def _tell(
    ledger: Ledger, candidate: Candidate, found: Difference, min_gain: float, clock: Clock
) -> None:
    """Let others hear, once, that a candidate failed its gate."""
    now = clock.now()
    name = Path(candidate.name).name
    data = {"model": name, "required": min_gain, "low": found.low, "high": found.high}
    notice = Notice(
        name="gate.failed",
        subject=f"candidate {name}",
        key=f"candidate {candidate.digest} {min_gain}",
        at=now,
        data=data,
    )
    with ledger.write_at_once() as tx:
        outbox.record(tx, [notice])


def promote(
    ledger: Ledger, found: Compared, registered: str, version: int, *, clock: Clock
) -> bool:
    """Let others hear, once, that a version of a registered model passed; whether it did.

    Raises:
        ArgumentError: the verdict doesn't hold at every look.
    """
    if found.gate is None:
        raise ArgumentError(
            "a version is promoted by a verdict that holds at every look",
            remedy="use --gate with --promote",
        )
    if found.verdict is not Verdict.PASS or isinstance(found.gate, Undefined):
        return False
    notice = Notice(
        name="candidate.promoted",
        subject=f"registered model {registered}",
        key=f"{registered} {version} {found.serving_model}",
        at=clock.now(),
        data={
            "registered": registered,
            "version": version,
            "serving": found.serving_model,
            "low": found.gate.low,
            "high": found.gate.high,
            "n": found.gate.n,
        },
    )
    with ledger.write_at_once() as tx:
        outbox.record(tx, [notice])
    return True


def _remember(
    ledger: Ledger, candidate: Candidate, found: Compared, clock: Clock, *, by_itself: bool
) -> None:
    """Keep the verdict, for pages to show."""
    decided = found.difference if found.gate is None else found.gate
    known = None if isinstance(decided, Undefined) else decided
    kept = KeptVerdict(
        candidate=candidate.name,
        serving_model=found.serving_model,
        at=clock.now(),
        verdict=found.verdict,
        min_gain=found.min_gain,
        value=known.value if known else None,
        low=known.low if known else None,
        high=known.high if known else None,
        level=known.level if known else 0.95,
        n=known.n if known else 0,
        every_look=found.gate is not None,
        n_candidates=found.n_candidates,
        more_labels=found.more_labels,
        reason=decided.reason if isinstance(decided, Undefined) else "",
        by_itself=by_itself,
    )
    with ledger.write_at_once() as tx:
        verdicts.put(tx, candidate.digest, kept)


def _record(
    ledger: Ledger, candidate: Candidate, frames: Sequence[BlindFrame], clock: Clock
) -> int:
    """Record that these rounds judged this candidate; return how many candidates any of them judged.

    Counted round by round: one more round doesn't undo that a candidate was chosen by the others.
    """
    judged_by = [sha256(str(f.round.round).encode()).hexdigest() for f in frames]
    with ledger.write_at_once() as tx:
        for one in judged_by:
            comparisons.record(tx, candidate.digest, one, clock.now())
        return comparisons.count_candidates(tx, judged_by)
