"""A round: one selection, for all queues together, over one frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from labelloop.core.top_up import TopUp


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRange:
    """The bounds of a frame: the serving predictions of the log that meet all of them.

    batch_after < batch <= batch_to; since <= predicted_at < until.
    """

    batch_to: int
    batch_after: int = 0
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The number of rows of a frame with one class, one risk bin (see `Candidate`) and one pattern.

    Bit i of `pattern` is set if the rows meet the i-th condition of the query.
    """

    predicted_class: str
    risk_bin: int
    pattern: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Rows of one pattern whose place lies in (above, up_to]; above = -1 starts at the line's start.

    If class and risk bin are given, only their rows; both are given or neither.
    """

    pattern: int
    above: int
    up_to: int
    predicted_class: str | None = None
    risk_bin: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row of the log that a round may draw.

    risk_bin
        the bin of 1 - confidence; in a frame that was scored, that of the learned risk
    margin
        the largest probability less the second largest; None where the log doesn't have them
    """

    sample_id: str
    uri: str
    predicted_at: datetime
    model: str
    predicted_class: str
    confidence: float | None
    line: int
    content_hash: str
    risk_bin: int
    pattern: int = 0
    margin: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    flagged: bool | None = None
    corrected_class: str | None = None
    sampling_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCount:
    """How many rows of one class and one bin of risk were logged at one rate."""

    predicted_class: str
    risk_bin: int
    sampling_rate: float
    n: int


class Cell(NamedTuple):
    """The number of rows that a queue could draw, of one class and one bin of risk.

    A tuple, as ledgers hold millions.

    risk_bin
        the bin of 1 - confidence; in a round with a `risk_version`, that of the risk it learned
    cut
        the largest place drawn, on the line as this queue stretched it
    risk, inclusion
        what was computed for its rows when the round was drawn; None in training queues
    """

    queue: str
    predicted_class: str
    risk_bin: int
    n: int
    cut: int | None
    risk: float | None = None
    inclusion: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The candidate of a round that was drawn where its answers differ from those served.

    name, digest
        the file or the model in the log, and the hash that identifies it among candidates
    n_both
        how many samples of the period both models answered; of these `Round.n_frame` differ
    """

    name: str
    digest: str
    n_both: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round as it stands in the ledger. `extra` rounds are reported apart and never pooled.

    A round with a `rival` stands for the samples that the two models answer differently: it judges the
    rival, and says nothing of an accuracy.

    second_look
        whether its blind draws get second looks; it stays so, whatever the settings say later
    top_up
        of a selection that continues an earlier round: it is no round of its own, its frame and its
        terms are those of that round
    """

    round: int
    frame: FrameRange
    extra: bool
    n_frame: int
    snapshot: int | None
    created_at: datetime
    risk_version: int | None = None
    rival: Rival | None = None
    second_look: bool = False
    top_up: TopUp | None = None
