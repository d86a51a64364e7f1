"""The text of a first labelloop.toml: commented, and such that `load` takes it. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from labelloop.reading.tags import TagNames
from labelloop.setup.proposal import THRESHOLDS, Proposal, rounded
from labelloop.setup.table_proposal import TableProposal

MOST_LABELS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAnswers:
    """Where the table of predictions lies, and how it calls its columns."""

    kind: str
    uri: str
    columns: TableProposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the file rests on. Secrets come as ${NAME}, and only so.

    store
        what [store] says of the place of the inputs
    blind_uri
        None where no copies are needed: images in a folder travel inside the tasks
    table
        None: the predictions stand in tags
    """

    name: str
    classes: Sequence[str]
    store: Mapping[str, str]
    is_folder: bool = False
    blind_uri: str | None
    table: TableAnswers | None = None
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
            *(_tags(answers, seen) if answers.table is None else _source(answers.table)),
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


def _lines(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{key} = {quoted(value)}" for key, value in pairs]


def _project(a: Answers, seen: Proposal) -> list[str]:
    listed = [
        f"    {quoted(name)},{_often(seen.classes.get(name, 0), seen.n_looked_at)}"
        for name in a.classes
    ]
    return [
        "[project]",
        f"name = {quoted(a.name)}",
        "# Every class that the model can answer, spelled as in the predictions. One of",
        "# another class is set aside. Rare classes may be missing here: add them.",
        "classes = [",
        *listed,
        "]",
        '# timezone = "Europe/Zurich"           # where days are cut in reports; UTC if left out',
        "",
    ]


def _often(n: int, of: int) -> str:
    return f"  # {n:,} of the {of:,} looked at" if n else ""


_STORE = ("uri", "endpoint_url", "access_key", "secret_key", "session_token", "region")


def _store(a: Answers, seen: Proposal) -> list[str]:
    given = _lines((key, a.store[key]) for key in _STORE if key in a.store)
    return ["[store]", *given, *(_served(seen) if a.is_folder else _copied(a)), ""]


def _copied(a: Answers) -> list[str]:
    return [
        "# A writable place for copies with random names: object keys often hold the predicted class,",
        "# and labels for the accuracy are given blind.",
        *_lines([("blind_uri", a.blind_uri)] if a.blind_uri else []),
        "# Where annotators' browsers reach the server under another address:",
        '# public_endpoint_url = "https://images.example.com"',
    ]


def _served(seen: Proposal) -> list[str]:
    """What stands below a folder."""
    n, of = seen.n_large, seen.n_looked_at
    large = f"{n:,} of the {of:,} looked at are larger" if n else "all looked at are smaller"
    return [
        f"# Images travel inside the tasks, up to 500,000 bytes each: {large}.",
        "# Larger ones must be served, together with a folder for copies: docs/folder.md",
        '# public_endpoint_url = "https://images.example.com"',
        '# blind_uri = "..."',
    ]


def _tags(a: Answers, seen: Proposal) -> list[str]:
    usual = TagNames()
    called = [(f.name, getattr(seen.names, f.name)) for f in fields(usual)]
    other = [(key, name) for key, name in called if name != getattr(usual, key)]
    hold = "name in the JSON beside a file" if a.is_folder else "tag"
    unknown = [
        f"# No {hold} seems to hold the {key}: name it here.\n# {key} = ..." for key in seen.missing
    ]
    if not other and not unknown:
        return []
    return [
        "[store.tags]                            # what the application calls them",
        *_lines(other),
        *unknown,
        "",
    ]


_REQUIRED = ("sample_id", "predicted_class", "predicted_at")


def _source(table: TableAnswers) -> list[str]:
    found = table.columns
    counted = []
    if found.confidence_divisor != 1:
        counted += [f"confidence_divisor = {found.confidence_divisor:g}  # in percent"]
    if found.predicted_at_unit:
        counted += [f"predicted_at_unit = {quoted(found.predicted_at_unit)}  # since 1970"]
    attributes = ", ".join(map(quoted, found.attributes))
    other = [(key, name) for key, name in found.columns.items() if key != name]
    unknown = [
        f"# No column seems to hold the {key}: name it here.\n# {key} = ..."
        for key in _REQUIRED
        if key not in found.columns
    ]
    if found.needs_uri:
        unknown += [
            "# Where the input of a row lies: a column, or a template such as",
            f'# uri = "images/{{{found.columns.get("sample_id", "sample_id")}}}.jpg"',
        ]
    names = [*_lines(other), *unknown]
    return [
        "# The table of predictions, in place of tags: docs/tables.md",
        "[source]",
        *_lines([("kind", table.kind), ("uri", table.uri)]),
        *counted,
        f"attributes = [{attributes}]  # columns that a `where` may name as attributes.NAME",
        "",
        *(["[source.columns]                        # what the table calls them"] if names else []),
        *names,
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
        "[training]",
        "max_error = 0.05                        # keep the model's own labels while a bound says so",
        "# confidence = 0.95                     # else keep those from here on, without a guarantee",
        "",
    ]
