"""Pages of samples: what people look for, in traffic or among picks, and what one page of it shows."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from labelloop.core.outcome import is_wrong, outcome
from labelloop.core.sample import NO_CLASS
from labelloop.core.where import Where
from labelloop.errors import WhereError
from labelloop.ledger import Transaction, blindness, picks
from labelloop.ledger.blindness import Hidden
from labelloop.ledger.picks import Pick, PickFilter
from labelloop.ports.log import Browsing, Counted, LogPlace, PredictionLog, StoredPrediction

if TYPE_CHECKING:
    from labelloop.ledger import Ledger

PAGE = 60
"""Samples a page."""
MOST_COUNTED = 10_000
"""Counting ends here."""
BUDGET_S = 0.6
"""How long a page is looked for, and how long its samples are counted: what was found by then is shown."""
_NEEDED_OF_PICKS = "size_bytes"


class Among(StrEnum):
    """What is looked through."""

    TRAFFIC = "traffic"
    PICKS = "picks"


class Verdict(StrEnum):
    """What the labels say of the predictions that are looked for."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFilter:
    """What people look for; None: anything.

    label
        the class that people said
    since, until
        of the prediction: since <= predicted_at < until
    """

    queue: str | None = None
    round: int | None = None
    label: str | None = None
    predicted_class: str | None = None
    outcome: Verdict | None = None
    flagged: bool = False
    where: Where | None = None
    confidence_from: float | None = None
    confidence_to: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    among: Among | None = None

    @property
    def looks_through(self) -> Among:
        """Picks where only those can have what is asked for, or where that is said; else all traffic."""
        asked = (self.queue, self.round, self.label, self.outcome)
        if self.among is Among.PICKS or any(one is not None for one in asked):
            return Among.PICKS
        return Among.TRAFFIC

    def condition(self) -> Where | None:
        """All of it that the log knows, as one condition."""
        parts = [f"({self.where.text})"] if self.where is not None else []
        if self.predicted_class is not None:
            parts.append(f"predicted_class = {quoted(self.predicted_class)}")
        if self.flagged:
            parts.append("flagged")
        if self.confidence_from is not None:
            parts.append(f"confidence >= {self.confidence_from!r}")
        if self.confidence_to is not None:
            parts.append(f"confidence <= {self.confidence_to!r}")
        if self.since is not None:
            parts.append(f"predicted_at >= '{self.since.isoformat()}'")
        if self.until is not None:
            parts.append(f"predicted_at < '{self.until.isoformat()}'")
        return Where.parse(" and ".join(parts)) if parts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One sample on a page. Of traffic round, queue and label are None."""

    sample_id: str
    predicted_class: str | None
    confidence: float | None
    model: str
    predicted_at: datetime
    flagged: bool
    corrected_class: str | None
    text: str | None
    label: str | None = None
    is_wrong: bool | None = None
    round: int | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePage:
    """One page.

    n
        how many there are; `n.whole` is False where there may be more
    after
        what the next page begins after; None: there is none
    ended_early
        the time was over before the page was full
    uris
        where the inputs lie, for whoever shows them: by sample
    """

    among: Among
    samples: tuple[Shown, ...]
    n: Counted
    after: str | None
    ended_early: bool
    uris: dict[str, str]


def samples(
    ledger: "Ledger",
    log: PredictionLog | None,
    wanted: SampleFilter,
    *,
    after: str | None = None,
    budget_s: float = BUDGET_S,
) -> SamplePage:
    """A page of samples, the newest first; without those that wait for a blind answer.

    Raises:
        WhereError: the condition names what picks don't have.
        ValueError: `after` is none that a page gave.
    """
    with ledger.read() as tx:
        hidden = blindness.hidden(tx)
        if wanted.looks_through is Among.PICKS:
            return _picks(tx, wanted, hidden, None if after is None else int(after), budget_s)
    if log is None:
        nothing = Counted(n=0, whole=True)
        return SamplePage(
            among=Among.TRAFFIC, samples=(), n=nothing, after=None, ended_early=False, uris={}
        )
    return _traffic(log, wanted, hidden, _place(after), budget_s)


# --- traffic --------------------------------------------------------------------------------------


def _traffic(
    log: PredictionLog,
    wanted: SampleFilter,
    hidden: Hidden,
    after: LogPlace | None,
    budget_s: float,
) -> SamplePage:
    browsing = Browsing(
        where=wanted.condition(),
        without_samples=hidden.sample_ids,
        without_content=hidden.content_hashes,
        budget_s=budget_s,
    )
    found = log.browse(browsing, after=after, limit=PAGE + 1)
    rows = found.rows[:PAGE]
    end = rows[-1].place if len(found.rows) > PAGE else found.searched_to
    return SamplePage(
        among=Among.TRAFFIC,
        samples=tuple(map(_of_traffic, rows)),
        n=log.count(browsing, at_most=MOST_COUNTED),
        after=None if end is None else f"{end.batch}.{end.line}",
        ended_early=end is not None and len(rows) < PAGE,
        uris={row.sample_id: row.uri for row in rows},
    )


def _place(after: str | None) -> LogPlace | None:
    if after is None:
        return None
    batch, line = after.split(".")
    return LogPlace(int(batch), int(line))


def _of_traffic(row: StoredPrediction) -> Shown:
    return Shown(
        sample_id=row.sample_id,
        predicted_class=None if row.predicted_class == NO_CLASS else row.predicted_class,
        confidence=row.confidence,
        model=row.model,
        predicted_at=row.predicted_at,
        flagged=row.flagged is True,
        corrected_class=row.corrected_class,
        text=row.text,
    )


# --- picks ----------------------------------------------------------------------------------------


def _picks(
    tx: Transaction, wanted: SampleFilter, hidden: Hidden, before: int | None, budget_s: float
) -> SamplePage:
    if wanted.where is not None and _NEEDED_OF_PICKS in wanted.where.columns:
        raise WhereError(
            f"where = {wanted.where.text!r}: {_NEEDED_OF_PICKS} isn't kept of picks",
            remedy="look through all traffic, without queue, round, label and outcome",
        )
    found: list[Pick] = []
    end: int | None = None
    for looked_at, some in _looked_for(tx, wanted, hidden, before, budget_s):
        found += some
        end = looked_at
        if len(found) > PAGE:
            break
    else:
        end = None if end is None or end <= 1 else end
    full = len(found) > PAGE
    page = found[:PAGE]
    return SamplePage(
        among=Among.PICKS,
        samples=tuple(map(_of_pick, page)),
        n=_counted(tx, wanted, hidden, budget_s),
        after=str(page[-1].number) if full else None if end is None else str(end),
        ended_early=not full and end is not None,
        uris={pick.sample_id: pick.uri for pick in page},
    )


def _counted(tx: Transaction, wanted: SampleFilter, hidden: Hidden, budget_s: float) -> Counted:
    n, looked_at = 0, 1
    for looked_at, some in _looked_for(tx, wanted, hidden, None, budget_s):  # noqa: B007
        n += len(some)
        if n > MOST_COUNTED:
            return Counted(n=MOST_COUNTED, whole=False)
    return Counted(n=n, whole=looked_at <= 1)


def _looked_for(
    tx: Transaction, wanted: SampleFilter, hidden: Hidden, before: int | None, budget_s: float
) -> Iterator[tuple[int, list[Pick]]]:
    """The picks that are looked for, window by window, until the time is over."""
    end_s = time.monotonic() + budget_s
    asked = PickFilter(
        queue=wanted.queue,
        round=wanted.round,
        predicted_class=wanted.predicted_class,
        confidence_from=wanted.confidence_from,
        confidence_to=wanted.confidence_to,
        since=wanted.since,
        until=wanted.until,
        flagged=wanted.flagged,
        labelled=wanted.label is not None or wanted.outcome in {Verdict.RIGHT, Verdict.WRONG},
    )
    for looked_at, some in picks.windows(tx, asked, before=before):
        yield looked_at, [pick for pick in some if _is_looked_for(pick, wanted, hidden)]
        if time.monotonic() > end_s:
            return


def _is_looked_for(pick: Pick, wanted: SampleFilter, hidden: Hidden) -> bool:
    if pick.forgotten or hidden.has(pick.sample_id, pick.content_hash):
        return False
    if wanted.label is not None and pick.label != wanted.label:
        return False
    if wanted.outcome is not None and _verdict(pick) is not wanted.outcome:
        return False
    return wanted.where is None or wanted.where.matches(
        {
            "sample_id": pick.sample_id,
            "uri": pick.uri,
            "predicted_at": pick.predicted_at,
            "model": pick.model,
            "predicted_class": pick.predicted_class,
            "confidence": pick.confidence,
            "size_bytes": None,
            "content_hash": pick.content_hash,
            "flagged": pick.flagged,
            "corrected_class": pick.corrected_class,
            "attributes": pick.attributes,
        }
    )


def _verdict(pick: Pick) -> Verdict:
    if pick.label is None:
        return Verdict.OPEN
    wrong = is_wrong(outcome(pick.label, pick.predicted_class))
    return Verdict.WRONG if wrong else Verdict.RIGHT


def _of_pick(pick: Pick) -> Shown:
    verdict = _verdict(pick)
    return Shown(
        sample_id=pick.sample_id,
        predicted_class=pick.predicted_class,
        confidence=pick.confidence,
        model=pick.model,
        predicted_at=pick.predicted_at,
        flagged=pick.flagged is True,
        corrected_class=pick.corrected_class,
        text=None,
        label=pick.label,
        is_wrong=None if verdict is Verdict.OPEN else verdict is Verdict.WRONG,
        round=pick.round,
        queue=pick.queue,
    )


def with_texts(page: SamplePage, log: PredictionLog | None) -> SamplePage:
    """A page of picks beside the texts of their samples, where they are texts."""
    if page.among is Among.TRAFFIC or log is None or not page.samples:
        return page
    texts = log.texts([shown.sample_id for shown in page.samples])
    shown = tuple(replace(one, text=texts.get(one.sample_id)) for one in page.samples)
    return replace(page, samples=shown)


def quoted(text: str) -> str:
    """A text as a `where` writes it.

    >>> quoted("l'Aquila")
    "'l''Aquila'"
    """
    return "'" + text.replace("'", "''") + "'"
