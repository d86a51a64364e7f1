"""Notices: what labelloop tells other programs, once it has happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Data = Mapping[str, Any]

SENTENCES: Mapping[str, Callable[[Data], str]] = {
    "round.drawn": lambda d: (
        f"round {d['round']} was drawn from {d['n_frame']:,} predictions: "
        + ", ".join(f"{queue} {n:,}" for queue, n in d["drawn"].items())
    ),
    "dataset.built": lambda d: (
        f"{d['dataset']} v{d['version']} was released: {d['n_human']:,} labels by people, "
        f"{d['n_model']:,} of the model"
    ),
    "training.grown": lambda d: (
        f"training v{d['version']} has {d['grown_by']:,} labels by people more than when this was "
        "last said: retraining may pay"
    ),
    "guarantee.reached": lambda d: f"guarantee {d['guarantee']}: {d['says']}",
    "accuracy.fallen": lambda d: (
        f"the accuracy of {d['model']} has fallen since {d['since']}: by {100 * d['fallen_by']:.1f} "
        f"points, surely more than {100 * d['surely']:.1f}"
    ),
    "accuracy.measured": lambda d: (
        f"the accuracy of {d['model']} is {100 * d['value']:.1f}% ({100 * d['level']:g}% interval "
        f"{100 * d['low']:.1f} to {100 * d['high']:.1f}), from {d['n']:,} blind labels"
    ),
    "candidate.promoted": lambda d: (
        f"version {d['version']} of {d['registered']} passed its gate against {d['serving']}: it gains "
        f"{100 * d['low']:+.1f} to {100 * d['high']:+.1f} points"
    ),
    "gate.failed": lambda d: (
        f"{d['model']} failed the gate: {100 * d['low']:.1f} to {100 * d['high']:.1f}, and "
        f"{100 * d['required']:g} is required"
    ),
    "backlog.old": lambda d: (
        f"the oldest task of queue {d['queue']} has waited for a person since {d['oldest_at']}"
    ),
    "test": lambda _: "this is a test by `labelloop notify --test`",
}
"""By the name of an event: what it says. `[[notify]] on` takes each but `test`."""

NAMES = tuple(name for name in SENTENCES if name != "test")
"""The events that a receiver can ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event, as others hear of it.

    name
        what happened; a key of `SENTENCES`
    subject
        what it happened to: a receiver hears of one subject in order
    key
        with the name, tells it from every other event, so that it is recorded once
    data
        what is told, as JSON knows it; never a sample, a prediction or a person
    id
        the same at each try to deliver it; empty until it is recorded
    """

    name: str
    subject: str
    key: str
    at: datetime
    data: Data = field(default_factory=dict)
    id: str = ""

    @property
    def says(self) -> str:
        """The event in a sentence."""
        return SENTENCES[self.name](self.data)

    def body(self, project: str) -> dict[str, Any]:
        """The event as receivers get it in JSON."""
        return {
            "labelloop": 1,
            "id": self.id,
            "event": self.name,
            "project": project,
            "subject": self.subject,
            "at": self.at.isoformat(),
            "text": self.says,
            "data": dict(self.data),
        }
