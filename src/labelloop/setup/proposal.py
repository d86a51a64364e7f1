"""What a first labelloop.toml could say, from a glimpse of the store. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from labelloop.reading.confidence import confidence, divisor_of
from labelloop.reading.flag import flag
from labelloop.reading.number import number
from labelloop.reading.tag_names import TagNames
from labelloop.reading.timestamp import timestamp

T = TypeVar("T")
THRESHOLDS = (0.5, 0.7, 0.9)
MOST_CLASSES = 300
TRUTHS = frozenset({"true", "false", ""})
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "predicted_class": (
        "prediction",
        "predicted_label",
        "predicted",
        "label",
        "class",
        "category",
        "answer",
    ),
    "confidence": ("score", "probability", "prob", "conf", "certainty"),
    "timestamp": ("predicted_at", "time", "created_at", "created", "datetime", "date"),
    "model": ("model_version", "model_name", "version"),
    "flagged": ("flag", "is_flagged", "reported"),
    "corrected_class": ("corrected_label", "correction", "corrected", "user_label", "feedback"),
}
"""What applications call their tags, likely names first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What was seen. Counts are a day, and None where the objects' times don't tell."""

    names: TagNames
    missing: tuple[str, ...]
    """Which of predicted_class, confidence and timestamp no tag seems to hold."""
    classes: Mapping[str, int]
    """The classes seen, by how often; there may be others."""
    n_looked_at: int
    per_day: float | None
    below: Mapping[float, float]
    """The share of the predictions with a confidence below each threshold."""
    flagged: float
    """The share with a flag or a correction."""
    confidence_divisor: float | None = None
    """What confidences are divided by, where they aren't numbers from 0 to 1 as they stand."""
    n_tagged: int = 0
    """How many of those looked at have any tag."""
    n_large: int = 0
    """How many of those looked at are too large to travel inside a task, where they would."""
    times: tuple[datetime, ...] = ()
    """When the first, the middle and the last of those looked at were predicted."""
    could_be_classes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Where no tag seems to hold the predicted class: those that might."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are no inputs."""

    def expected(self, share: float) -> str:
        """How many a day a share of the traffic is, in words.

        >>> Proposal(names=TagNames(), missing=(), classes={}, n_looked_at=9, per_day=300.0,
        ...          below={}, flagged=0.0).expected(0.703)
        'about 210 a day'
        """
        if self.per_day is None:
            return f"about {share:.0%} of all"
        n = self.per_day * share
        return f"about {rounded(n):,} a day" if n >= 1 else "less than one a day"


def propose(
    tagged: Sequence[Mapping[str, str]],
    stored_at: Iterable[datetime],
    *,
    n_listed: int,
    n_large: int = 0,
    predicted_class: str | None = None,
    exclude: tuple[str, ...] = (),
) -> Proposal:
    """What `tagged` objects say, chosen evenly from `n_listed`; `stored_at`: when each was stored.

    `predicted_class`: the tag that holds it, where a person said so. `exclude`: what was left out.
    """
    names, missing = tag_names(tagged, predicted_class)
    unknown = "predicted_class" in missing
    moments = [
        read(timestamp, tags.get(names.timestamp, "")) or at
        for tags, at in zip(tagged, stored_at, strict=True)
    ]
    classes = Counter(t[names.predicted_class] for t in tagged if t.get(names.predicted_class))
    said = [text for t in tagged if (text := t.get(names.confidence, "").strip())]
    divisor = divisor_of(said)
    sure = [
        c for text in said if (c := read(partial(confidence, divisor=divisor), text)) is not None
    ]
    n_flagged = sum(
        bool(read(flag, t.get(names.flagged, "")) or t.get(names.corrected_class)) for t in tagged
    )
    n = len(tagged)
    return Proposal(
        names=names,
        missing=missing,
        classes=dict(sorted(classes.items())),
        n_looked_at=n,
        per_day=per_day(moments, n_listed),
        below={at: sum(c < at for c in sure) / n if n else 0.0 for at in THRESHOLDS},
        flagged=n_flagged / n if n else 0.0,
        confidence_divisor=divisor,
        n_tagged=sum(map(bool, tagged)),
        n_large=n_large,
        times=tuple(sorted(moments)[i] for i in (0, n // 2, -1)) if n else (),
        could_be_classes=could_be_classes(tagged) if unknown else {},
        exclude=exclude,
    )


def tag_names(
    tagged: Sequence[Mapping[str, str]], predicted_class: str | None = None
) -> tuple[TagNames, tuple[str, ...]]:
    """What the application calls each tag, and which of the first three none seems to hold.

    `predicted_class`: the tag that holds it, where a person said so.

    >>> names, missing = tag_names([{"label": "cat", "score": "0.5"}, {"label": "dog"}])
    >>> names.predicted_class, names.confidence, missing
    ('label', 'score', ('timestamp',))
    """
    values = held_by(tagged)
    chosen = {"predicted_class": predicted_class} if predicted_class is not None else {}
    for key in (
        "timestamp",
        "confidence",
        "flagged",
        "corrected_class",
        "predicted_class",
        "model",
    ):
        if key in chosen:
            continue
        rest = {n: v for n, v in values.items() if n not in chosen.values()}
        by_values = key in {"predicted_class", "confidence", "timestamp"}
        found = called((key, *OTHER_NAMES[key]), rest, FITS[key], by_values=by_values)
        if found is None and key == "confidence":
            named = (key, *OTHER_NAMES[key])
            found = called(named, rest, lambda v: divisor_of(v) is not None, by_values=False)
        if found is not None:
            chosen[key] = found
    standard = asdict(TagNames())
    # a standard name that holds something else must not be read as what it says
    wanted = ("predicted_class", "confidence", "timestamp")
    return TagNames(**(standard | chosen)), tuple(k for k in wanted if k not in chosen)


def held_by(tagged: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of each tag or column that any has."""
    values: dict[str, list[str]] = {}
    for tags in tagged:
        for name, value in tags.items():
            values.setdefault(name, []).append(value)
    return values


def could_be_classes(tagged: Iterable[Mapping[str, str]]) -> dict[str, frozenset[str]]:
    """The tags or columns whose values could be classes, with these values.

    >>> found = could_be_classes([{"kind": "ab"[i % 2], "n": str(i)} for i in range(9)])
    >>> {name: sorted(values) for name, values in found.items()}
    {'kind': ['a', 'b']}
    """
    return {name: frozenset(held) for name, held in held_by(tagged).items() if _are_classes(held)}


def per_day(moments: Sequence[datetime], n_listed: int) -> float | None:
    """How many of `n_listed` come in a day, from the moments of some: of the last week, if there is one.

    None where all came at about the same time: a copied bucket tells nothing of its traffic.
    """
    if len(moments) < 2:
        return None
    newest, oldest = max(moments), min(moments)
    span = min(newest - oldest, timedelta(days=7))
    if span < timedelta(hours=6):
        return None
    recent = sum(m >= newest - span for m in moments)
    return n_listed * recent / len(moments) / (span / timedelta(days=1))


def rounded(n: float) -> int:
    """`n` with two digits that count.

    >>> rounded(213.4), rounded(4.4), rounded(98765)
    (210, 4, 99000)
    """
    digits = max(0, len(str(int(n))) - 2)
    return int(round(n, -digits))


# --- which tag is which -----------------------------------------------------------------------


def called(
    names: Sequence[str],
    values: Mapping[str, Sequence[str]],
    fits: Callable[[Sequence[str]], bool],
    *,
    by_values: bool,
) -> str | None:
    """The one of `values` that is called by one of `names`, likely ones first, if its values fit.

    by_values
        else the only one whose values fit
    """
    plain = {_plain(name): name for name in values}
    for name in names:
        found = plain.get(_plain(name))
        if found is not None and fits(values[found]):
            return found
    fitting = [name for name, held in values.items() if by_values and fits(held)]
    return fitting[0] if len(fitting) == 1 else None


def are_instants(held: Sequence[str]) -> bool:
    """Whether most are ISO 8601."""
    return _mostly(held, lambda t: read(timestamp, t) is not None and read(number, t) is None)


def are_confidences(held: Sequence[str]) -> bool:
    """Whether most are numbers from 0 to 1."""
    return _mostly([t for t in held if t.strip()], lambda t: read(confidence, t) is not None)


def _are_flags(held: Sequence[str]) -> bool:
    return all(not text.strip() or read(flag, text) is not None for text in held)


def _are_classes(held: Sequence[str]) -> bool:
    different = set(held)
    few = 2 <= len(different) <= min(MOST_CLASSES, max(2, len(held) // 2))
    truths = {text.strip().lower() for text in different} <= TRUTHS
    return few and not truths and not are_instants(held) and not _are_fractions(held)


def _are_fractions(held: Sequence[str]) -> bool:
    return all((n := read(number, text)) is not None and not n.is_integer() for text in held)


def _are_names(held: Sequence[str]) -> bool:
    return bool(held)


FITS: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "timestamp": are_instants,
    "confidence": are_confidences,
    "flagged": _are_flags,
    "corrected_class": _are_names,
    "predicted_class": _are_classes,
    "model": _are_names,
}


def _mostly(held: Sequence[str], fits: Callable[[str], bool]) -> bool:
    return 2 * sum(map(fits, held)) > len(held)


def read(rule: Callable[[str], T | None], text: str) -> T | None:
    """What the rule for a kind of value makes of a text; None where it can't be read."""
    try:
        return rule(text)
    except ValueError:
        return None


def _plain(name: str) -> str:
    """A name without case and separators, and without what some add in front.

    >>> _plain("Predicted-Class"), _plain("x-model_version")
    ('predictedclass', 'modelversion')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("x-"))
