"""The text of a first labelloop.toml: commented, and such that `load` takes it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from labelloop.core.tags import TagNames
from labelloop.reports.proposal import THRESHOLDS, Proposal, rounded

MOST_LABELS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the file rests on. Secrets come as ${NAME}, and only so; None leaves a line out."""

    name: str
    classes: Sequence[str]
    uri: str
    endpoint_url: str | None
    access_key: str | None
    secret_key: str | None
    session_token: str | None = None
    region: str | None = None
    blind_uri: str
    label_studio_url: str
    api_key: str


def text(answers: Answers, seen: Proposal) -> str:
    """The file."""
    return "\n".join(
        [
            "# Written by `labelloop init`. Every setting: docs/settings.md",
            "# ${NAME} stands for an environment variable: no secret stands in this file.",
            "",
            *_project(answers, seen),
            *_store(answers, seen),
            *_label_studio(answers),
            *_queues(seen),
            *_training(),
        ]
    )


def quoted(value: str) -> str:
    r"""A TOML string.

    >>> print(quoted('a "b" \\ c'))
    "a \"b\" \\ c"
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    return [f"{key} = {quoted(value)}" for key, value in pairs if value is not None]


def _project(a: Answers, seen: Proposal) -> list[str]:
    listed = [
        f"    {quoted(name)},{_often(seen.classes.get(name, 0), seen.n_looked_at)}"
        for name in a.classes
    ]
    return [
        "[project]",
        f"name = {quoted(a.name)}",
        "# Every class that the model can answer, spelled as in the tags. A prediction of another one",
        "# is set aside. Rare classes may be missing here: add them.",
        "classes = [",
        *listed,
        "]",
        '# timezone = "Europe/Zurich"           # where days are cut in reports; UTC if left out',
        "",
    ]


def _often(n: int, of: int) -> str:
    return f"  # {n:,} of the {of:,} looked at" if n else ""


def _store(a: Answers, seen: Proposal) -> list[str]:
    return [
        "[store]",
        *_lines(
            [
                ("uri", a.uri),
                ("endpoint_url", a.endpoint_url),
                ("access_key", a.access_key),
                ("secret_key", a.secret_key),
                ("session_token", a.session_token),
                ("region", a.region),
            ]
        ),
        "# A writable place for copies with random names: object keys often hold the predicted class,",
        "# and labels for the accuracy are given blind.",
        f"blind_uri = {quoted(a.blind_uri)}",
        "# Where annotators' browsers reach the server under another address:",
        '# public_endpoint_url = "https://images.example.com"',
        "",
        *_tags(seen.names, seen.missing),
    ]


def _tags(names: TagNames, missing: Sequence[str]) -> list[str]:
    usual = TagNames()
    called = [(f.name, getattr(names, f.name)) for f in fields(names)]
    other = [(key, name) for key, name in called if name != getattr(usual, key)]
    unknown = [f"# No tag seems to hold the {key}: name it here.\n# {key} = ..." for key in missing]
    if not other and not unknown:
        return []
    return [
        "[store.tags]                            # what the application calls its tags",
        *_lines(other),
        *unknown,
        "",
    ]


def _label_studio(a: Answers) -> list[str]:
    return [
        "[label_studio]",
        *_lines([("url", a.label_studio_url), ("api_key", a.api_key)]),
        "",
    ]


def _queues(seen: Proposal) -> list[str]:
    # half of a small traffic, so that training queues find something too
    budget = MOST_LABELS if seen.per_day is None else min(MOST_LABELS, rounded(seen.per_day / 2))
    of = "" if seen.per_day is None else f"  # labels a round, of {seen.expected(1.0)}"
    flagged = seen.expected(seen.flagged) if seen.flagged else "none among those looked at"
    return [
        "# What the accuracy rests on: drawn at random from all traffic, answered blind.",
        "[[queue]]",
        'name = "accuracy"',
        'purpose = "evaluation"',
        f"budget = {max(1, budget)}{of}",
        "",
        *(_unsure(seen) if "confidence" not in seen.missing else []),
        f"# What users complained about: {flagged}.",
        "[[queue]]",
        'name = "flagged"',
        'purpose = "training"',
        'where = "flagged or corrected_class is not null"',
        'show = ["predicted_class", "corrected_class"]',
        "",
    ]


def _unsure(seen: Proposal) -> list[str]:
    threshold = _threshold(seen)
    others = [
        f"below {at:g} {seen.expected(seen.below[at])}" for at in THRESHOLDS if at != threshold
    ]
    return [
        "# What the model was unsure of.",
        f"# confidence < {threshold:g}: {seen.expected(seen.below[threshold])}; {', '.join(others)}.",
        "[[queue]]",
        'name = "low-confidence"',
        'purpose = "training"',
        f'where = "confidence < {threshold:g}"',
        "budget = 100                            # at most so many a round",
        'show = ["confidence", "predicted_class"]',
        "",
    ]


def _threshold(seen: Proposal) -> float:
    """The middle one, unless next to nothing lies below it, or nearly everything."""
    if seen.below[THRESHOLDS[1]] > 0.5:
        return THRESHOLDS[0]
    return THRESHOLDS[2] if seen.below[THRESHOLDS[1]] < 0.01 else THRESHOLDS[1]


def _training() -> list[str]:
    return [
        "# [training]",
        "# confidence = 0.95                     # keep the model's own labels from here on",
        "",
    ]
