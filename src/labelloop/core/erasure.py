"""An erasure: what one `forget` has to do, written down before anything is deleted."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A dataset version that lost rows, and its content hash before and after."""

    name: str
    version: int
    n_rows: int
    old_hash: str
    new_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The samples of one `forget`, and what is known of them outside the ledger.

    task_keys
        the tasks that people may still see; `unsettled` of them were being sent when a run was killed
    copies
        the blind copies
    inputs
        where the user's own objects lie, which are not deleted
    n_answers
        people's answers that were deleted or made nameless
    twins
        other samples with the same content, which stay
    redacted
        the versions that were redacted so far
    """

    sample_ids: tuple[str, ...]
    task_keys: tuple[str, ...]
    unsettled: tuple[str, ...]
    copies: tuple[str, ...]
    inputs: tuple[str, ...]
    n_predictions: int
    n_feedback: int
    n_draws: int
    n_answers: int
    n_set_aside: int
    twins: tuple[str, ...] = ()
    redacted: tuple[Redacted, ...] = ()

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Erasure":
        """What `to_json` wrote."""
        read = json.loads(text)
        redacted = tuple(Redacted(**each) for each in read.pop("redacted"))
        lists = {name: tuple(v) for name, v in read.items() if isinstance(v, list)}
        return cls(**{**read, **lists}, redacted=redacted)

    def having_redacted(self, redacted: Redacted) -> "Erasure":
        """The same with one more version redacted."""
        return replace(self, redacted=(*self.redacted, redacted))


@dataclass(frozen=True, slots=True)
class Begun:
    """An erasure that was begun; `erasure` None: all but the ledger's own free space is clean."""

    number: int
    begun_at: datetime
    erasure: Erasure | None


def total(erasures: Sequence[Erasure]) -> Erasure:
    """Several erasures as one."""
    empty = Erasure(
        sample_ids=(),
        task_keys=(),
        unsettled=(),
        copies=(),
        inputs=(),
        n_predictions=0,
        n_feedback=0,
        n_draws=0,
        n_answers=0,
        n_set_aside=0,
    )
    for each in erasures:
        values = {f: getattr(empty, f) + getattr(each, f) for f in empty.__dataclass_fields__}
        empty = Erasure(**values)
    return empty
