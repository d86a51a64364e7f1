"""How a training queue chooses what teaches most from what a frame has left."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.queue import Queue
from labelloop.core.ranked import Best, Ranked
from labelloop.core.round import Candidate, FrameRange
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ConfigError
from labelloop.measuring.learned_risk import ATTRIBUTE, LearnedRisk
from labelloop.ports.log import PredictionLog
from labelloop.sampling.diverse import POOL, spread
from labelloop.sampling.near_duplicates import SAME_IMAGE, near_texts, near_vectors
from labelloop.sampling.picks import EMBEDDINGS, IMAGES, NEEDS, PICKS, TEXTS
from labelloop.sampling.quotas import fill
from labelloop.steps.select.frame import Framed, bins_of
from labelloop.steps.select.vectors import IMAGE, Inputs, Vector

Allowed = Callable[[Sequence[Candidate]], Sequence[Candidate]]
"""Those of some rows that may train."""
_LOOKS = 8
"""How many times the usual number of rows is compared at most, where few of them differ."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row that was chosen, with its score, and how many near-duplicates it stands for; None: not asked."""

    row: Candidate
    score: float
    represents: int | None = None


@dataclass(frozen=True, slots=True)
class Choosing:
    """A frame to choose from; `risk`: what was learned of where the model is wrong.

    inputs
        the candidates' images or texts, for what the log doesn't hold of them
    """

    log: PredictionLog
    frame: FrameRange
    traffic: Framed
    risk: LearnedRisk | None
    inputs: Inputs

    def choose(
        self, queue: Queue, n_left: int, drawn: Collection[str], allowed: Allowed
    ) -> list[Chosen]:
        """The rows that the queue picks, the highest score first.

        n_left
            how many rows match and are left
        drawn
            the samples that are drawn already

        Raises:
            ConfigError: no prediction in the log has what the rule needs.
        """
        budget = min(queue.budget or n_left, n_left)
        if not budget:
            return []
        refused: set[str] = set()
        pick = PICKS[queue.pick]
        looks_around = pick.spread or queue.near_duplicates is not None
        n = (POOL if looks_around else 1) * budget + len(drawn)
        while True:
            ranked = self._ranked(queue, n)
            if not ranked:
                self._refuse_unscored(queue)
            free = [row for row in ranked if row.sample_id not in drawn]
            stands_for: Counter[str] = Counter()
            if queue.near_duplicates is not None:
                free, stands_for = self._without_near(queue, free)
            if pick.spread:
                free = self._spread(queue, free, budget)
            taken, known = self._filled(queue, free, budget, allowed, refused)
            complete = not refused and queue.near_duplicates is None
            complete |= looks_around and n > _LOOKS * POOL * budget
            if len(taken) == budget or complete or len(ranked) < n or n > n_left + len(drawn):
                taken.sort(key=lambda r: (-r.score, r.line, r.sample_id))
                return [
                    Chosen(known[r.sample_id], r.score, stands_for.get(r.sample_id)) for r in taken
                ]
            n *= 2

    def _filled(
        self,
        queue: Queue,
        ranked: Sequence[Ranked],
        budget: int,
        allowed: Allowed,
        refused: set[str],
    ) -> tuple[list[Ranked], dict[str, Candidate]]:
        """The first rows that fill the budget and its quotas, and what the log says of them.

        Only rows that would be taken are read; those that may not train are added to `refused`.
        """
        known: dict[str, Candidate] = {}
        while True:
            taken = fill([r for r in ranked if r.sample_id not in refused], budget, queue.quotas)
            unread = [r.sample_id for r in taken if r.sample_id not in known]
            rows = self.traffic.rows_of(unread)
            known |= {row.sample_id: row for row in rows}
            now = set(unread) - {row.sample_id for row in allowed(rows)}
            if not now:
                return taken, known
            refused |= now

    def _ranked(self, queue: Queue, n: int) -> Sequence[Ranked]:
        pick, by = PICKS[queue.pick], queue.quotas.columns
        if pick.learned and self.risk is not None:
            return self._by_risk(queue, self.risk, n)
        return self.log.ranked(self.frame, pick.score, queue.where, n=n, by=by)

    def _by_risk(self, queue: Queue, risk: LearnedRisk, n: int) -> Sequence[Ranked]:
        """Ranked by the learned risk, which NumPy computes over batches that the log streams."""
        import pyarrow as pa

        by = queue.quotas.columns
        named = [name.removeprefix(ATTRIBUTE) for name in by if name.startswith(ATTRIBUTE)]
        attributes = list(dict.fromkeys([*risk.attributes, *named]))
        best = Best(n)
        for batch in self.log.scan(self.frame, [queue.where] if queue.where else [], attributes):
            scores = (bins_of(batch, risk) + 0.5) / RISK_BINS
            columns = {"sample_id": batch.column("sample_id"), "line": batch.column("line")}
            columns["score"] = pa.array(scores)
            columns |= {f"g{i}": batch.column(name) for i, name in enumerate(by)}
            page = pa.table(columns)
            if queue.where:
                page = page.filter(pa.array(batch.column("pattern").to_numpy() == 1))
            best.add(page)
        return best.rows()

    def _without_near(
        self, queue: Queue, ranked: Sequence[Ranked]
    ) -> tuple[list[Ranked], Counter[str]]:
        """One row of each group of near-duplicates, and how many rows each stands for.

        Rows without an embedding or a text stand for themselves.
        """
        ids = [row.sample_id for row in ranked]
        of = list(range(len(ranked)))
        if queue.near_duplicates == "text":
            texts = self.log.texts(ids)
            known = [i for i, sample_id in enumerate(ids) if sample_id in texts]
            groups = near_texts([texts[ids[i]] for i in known])
        elif queue.near_duplicates == "image":
            made = self.inputs.vectors(queue, IMAGE, self.traffic.rows_of(ids))
            known, values = _comparable(made, ids)
            groups = near_vectors(values, SAME_IMAGE)
        else:
            known, values = _comparable(self._embeddings(queue, ids), ids)
            groups = near_vectors(values)
        if ranked and not known:
            raise _lacking(queue, _ALIKE[queue.near_duplicates or ""])
        for i, group in zip(known, groups.tolist(), strict=True):
            of[i] = known[group]
        stands_for = Counter(ids[group] for group in of)
        return [row for i, row in enumerate(ranked) if of[i] == i], stands_for

    def _spread(self, queue: Queue, ranked: Sequence[Ranked], budget: int) -> list[Ranked]:
        """The rows that have an embedding, the uncertain ones that differ first.

        Raises:
            ConfigError: no row has an embedding.
        """
        ids = [row.sample_id for row in ranked]
        known, values = _comparable(self._embeddings(queue, ids), ids)
        if not known:
            if ranked:
                raise _lacking(queue, EMBEDDINGS)
            return []
        rows = [ranked[i] for i in known]
        order = spread(
            values,
            np.array([row.score for row in rows]),
            np.array([row.line for row in rows], dtype=np.int64),
            budget,
        )
        return [rows[i] for i in order.tolist()]

    def _embeddings(
        self, queue: Queue, ids: Sequence[str]
    ) -> Mapping[str, Sequence[float] | Vector]:
        """The log's embeddings; where it has none of these, those that `embed` computes."""
        held = self.log.embeddings(self.frame, ids)
        if held or queue.embed is None:
            return held
        return self.inputs.vectors(queue, queue.embed, self.traffic.rows_of(ids))

    def _refuse_unscored(self, queue: Queue) -> None:
        """Return if a prediction outside the frame has a score: this frame's just happen to have none.

        Raises:
            ConfigError: none has.
        """
        score = PICKS[queue.pick].score
        whole = FrameRange(batch_to=self.frame.batch_to)
        if score not in NEEDS or self.log.ranked(whole, score, n=1):
            return
        raise _lacking(queue, NEEDS[score])


_ALIKE = {"text": TEXTS, "image": IMAGES, "embedding": EMBEDDINGS}
"""What each kind of near-duplicates needs."""


def _comparable(
    held: Mapping[str, Sequence[float] | Vector], ids: Sequence[str]
) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Which of `ids` have an embedding, and these, one a row.

    Embeddings of another length than most are of another model, and can't be compared.
    """
    lengths = Counter(len(values) for values in held.values())
    most = max(lengths, key=lambda length: (lengths[length], length), default=0)
    known = [i for i, sample_id in enumerate(ids) if len(held.get(sample_id, ())) == most > 0]
    values = np.array([held[ids[i]] for i in known], dtype=np.float32).reshape(len(known), most)
    whole = np.isfinite(values).all(axis=1)
    return [known[k] for k in np.flatnonzero(whole)], values[whole]


def _lacking(queue: Queue, needs: tuple[str, str]) -> ConfigError:
    needed, remedy = needs
    setting = f"pick = {queue.pick!r}"
    if queue.near_duplicates and needs in _ALIKE.values():
        setting = f"near_duplicates = {queue.near_duplicates!r}"
    return ConfigError(
        f"queue {queue.name!r}: {setting} needs {needed}, and no prediction that it could pick "
        "has that",
        remedy=remedy,
    )
