"""A draw: one sample chosen in a round. It is the decision, and never changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One sample chosen for one queue in one round.

    inclusion
        the probability, over the line, with which its queue draws it, given what the queues
        before it left; None where it was chosen, and where a budget cut what feedback brought in: these
        are no probability samples
    uniform
        whether it belongs to the simple random part of a blind queue
    within
        the prefix of the risk in which it is an audit of a guarantee; None: it is none
    audit_only
        True if it was drawn as an audit alone, and so is no draw for the accuracy; `inclusion` is then
        that of the audits
    risk
        the risk that the draw went by; None for training
    sampling_rate
        the share of traffic like it that the application logged; None: all
    margin, attributes
        what later rounds may learn from beside class and confidence; kept of draws for evaluation
    pick, score, rank
        the rule that chose it for a training queue, the score that it went by, and its place among the
        queue's draws of this round by that score, 1 for the highest; None where it wasn't chosen
    represents
        how many samples that the queue looked at it stands for, itself included; None where
        near-duplicates weren't looked for
    answers_wanted
        how many people its task asks, unless an earlier round made that task
    look
        which look at the sample its task asks for: 0, or `labelloop.core.task.ASKED_AGAIN`
    position
        its place in the order of sending, 0 first, within its round and queue
    """

    round: int
    sample_id: str
    uri: str
    model: str
    queue: str
    predicted_at: datetime
    predicted_class: str | None
    confidence: float | None
    risk: float | None
    line: int
    inclusion: float | None
    uniform: bool
    position: int
    reason: str
    content_hash: str
    task_key: str
    corrected_class: str | None = None
    flagged: bool | None = None
    margin: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    answers_wanted: int = 1
    sampling_rate: float | None = None
    within: float | None = None
    audit_only: bool = False
    pick: str | None = None
    score: float | None = None
    rank: int | None = None
    represents: int | None = None
    look: int = 0
