"""The text of a first labelloop.toml: commented, and such that `load` takes it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from tomlkit import aot, array, comment, document, item, table
from tomlkit.items import Array, Table

from labelloop.reading.confidence import PERCENT
from labelloop.reading.tag_names import TagNames
from labelloop.setup.proposal import THRESHOLDS, Proposal, rounded
from labelloop.setup.table_proposal import PLATFORM_COLUMNS, TableProposal

MOST_LABELS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAnswers:
    """Where the table of predictions lies, and how it calls its columns."""

    kind: str
    uri: str
    columns: TableProposal
    score: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStudio:
    """How Label Studio is reached, as it is written into the file."""

    url: str
    api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the file rests on. Secrets come as ${NAME}, and only so.

    store
        what [store] says of the place of the inputs
    blind_uri
        None where no copies are needed: images in a folder travel inside the tasks
    table
        None: the predictions stand in tags
    label_studio
        None: people label on labelloop's own page
    second_look
        whether there is a second person, who can be asked again where an answer differs
    """

    name: str
    classes: Sequence[str]
    store: Mapping[str, str]
    is_folder: bool = False
    exclude: tuple[str, ...] = ()
    blind_uri: str | None
    table: TableAnswers | None = None
    label_studio: LabelStudio | None
    second_look: bool = False

    @property
    def is_text(self) -> bool:
        """Whether people label texts that stand in the table."""
        return self.table is not None and "text" in self.table.columns.columns


def text(answers: Answers, seen: Proposal) -> str:
    """The file."""
    return "\n".join(_sections(answers, seen))


def _sections(a: Answers, seen: Proposal) -> Iterator[str]:
    yield (
        "# Written by `labelloop init`. Every setting: docs/reference/settings.md\n"
        "# ${NAME} stands for an environment variable: no secret stands in this file.\n"
    )
    yield _section("project", _project(a, seen))
    if a.is_text:
        yield _section("input", _table(kind="text"))
    yield _section("store", _store(a, seen))
    if a.table is not None:
        yield _section("source", _source(a.table, a.classes))
    if a.label_studio is None:
        yield _section("labelling_page", _table())
    else:
        own = a.label_studio
        yield _section("label_studio", _table(url=own.url, api_key=own.api_key))
    yield _section("queue", _accuracy(a, seen), repeated=True)
    if "confidence" not in seen.missing:
        yield _section("queue", _unsure(seen), repeated=True)
    yield _section("queue", _flagged(seen), repeated=True)
    if a.second_look:
        yield _section("people", _people())
    yield _section("training", _training())


def _section(name: str, settings: Table, *, repeated: bool = False) -> str:
    """One section as text; a repeated one stands in double brackets."""
    part = document()
    if repeated:
        several = aot()
        several.append(settings)
        part.add(name, several)
    else:
        part.add(name, settings)
    return part.as_string()


def _table(*above: str, **settings: object) -> Table:
    """A table of settings below lines of comment; settings that are None are left out."""
    made = table()
    _say(made, *above)
    for key, value in settings.items():
        if value is not None:
            made.add(key, item(value))
    return made


def _say(settings: Table, *lines: str) -> None:
    """Comments, each on a line of its own, whatever a column is called."""
    for line in lines:
        settings.add(comment(" ".join(line.split())))


def _note(settings: Table, key: str, remark: str) -> None:
    """A comment behind a setting."""
    settings[key].comment(remark)


def _project(a: Answers, seen: Proposal) -> Table:
    found = _table(name=a.name)
    _say(
        found,
        "Every class that the model can answer, spelled as in the predictions.",
        "A prediction of another class is rejected. Rare classes may be missing here: add them.",
    )
    found.add("classes", _classes(a.classes, seen))
    _say(found, 'timezone = "Europe/Zurich"  # where days are cut in reports; UTC if left out')
    return found


def _classes(names: Sequence[str], seen: Proposal) -> Array:
    """The classes, a line each, with how often each was seen."""
    listed = array()
    for name in names:
        n = seen.classes.get(name, 0)
        often = f"{n:,} of the {seen.n_looked_at:,} looked at" if n else None
        listed.add_line(name, comment=often)
    listed.add_line(indent="")
    return listed


_STORE = ("uri", "endpoint_url", "access_key", "secret_key", "session_token", "region")


def _store(a: Answers, seen: Proposal) -> Table:
    found = _table(**{key: a.store.get(key) for key in _STORE})
    if a.table is None and seen.confidence_divisor is not None:
        found.add("confidence_divisor", int(seen.confidence_divisor))
        in_words = "in percent" if seen.confidence_divisor == PERCENT else "with a decimal comma"
        _note(found, "confidence_divisor", in_words)
    if a.exclude:
        _say(found, "Files that are no inputs:")
        found.add("exclude", item(list(a.exclude)))
    if a.is_text:
        _say(found, "No input is fetched from here: the texts stand in the log.")
    elif a.is_folder:
        _say(found, *_served(seen))
    else:
        _say(
            found,
            "A writable place for copies with random names: object keys often hold the predicted class,",
            "and labels for the accuracy are given blind.",
        )
        if a.blind_uri:
            found.add("blind_uri", a.blind_uri)
        _say(
            found,
            "Where annotators' browsers reach the server under another address:",
            'public_endpoint_url = "https://images.example.com"',
        )
    if a.table is None:
        tags = _tags(a, seen)
        if tags.value.body:
            found.add("tags", tags)
    return found


def _served(seen: Proposal) -> tuple[str, ...]:
    """What to know where images lie in a folder."""
    n, of = seen.n_large, seen.n_looked_at
    large = f"{n:,} of the {of:,} checked are larger" if n else "all checked are smaller"
    return (
        f"Tasks contain the images (limit 500,000 bytes each; {large}).",
        "Larger ones must be served, together with a folder for copies: docs/how-to/folder.md",
        'public_endpoint_url = "https://images.example.com"',
        'blind_uri = "..."',
    )


def _tags(a: Answers, seen: Proposal) -> Table:
    """What the application calls its tags, where it calls them otherwise."""
    usual = TagNames()
    called = {f.name: getattr(seen.names, f.name) for f in fields(usual)}
    found = _table(**{key: n for key, n in called.items() if n != getattr(usual, key)})
    hold = "name in the JSON beside a file" if a.is_folder else "tag"
    for key in seen.missing:
        _say(found, f"No {hold} seems to hold the {key}: name it here.", f"{key} = ...")
    return found


USUAL = {
    kind: PLATFORM_COLUMNS | ({"predicted_class": "verdict"} if kind == "langfuse" else {})
    for kind in ("sagemaker", "kserve", "databricks", "langfuse")
}
"""What needn't be written of the logs of platforms."""
_REQUIRED = ("sample_id", "predicted_class", "predicted_at")


def _source(given: TableAnswers, classes: Sequence[str]) -> Table:
    """The table of predictions: where it lies, and how to read its columns."""
    columns = given.columns
    divisor = columns.confidence_divisor
    found = _table(
        "The table of predictions, in place of tags: docs/how-to/tables.md"
        if given.kind not in USUAL
        else "The log of a platform: docs/how-to/serving-logs.md",
        kind=given.kind,
        uri=given.uri,
        confidence_divisor=None if divisor == 1 else int(divisor),
        predicted_at_unit=columns.predicted_at_unit,
        score=given.score,
        attributes=list(columns.attributes),
    )
    if "predicted_class" not in columns.columns and "probabilities" in columns.columns:
        _say(found, "The classes in the order of the probabilities: check it.")
        found.add("class_order", item(list(classes)))
    if divisor != 1:
        _note(found, "confidence_divisor", "in percent")
    if columns.predicted_at_unit:
        _note(found, "predicted_at_unit", "since 1970")
    _note(found, "attributes", "columns that a `where` may name as attributes.NAME")
    names = _columns(columns, given.kind)
    if names.value.body:
        found.add("columns", names)
    return found


def _columns(columns: TableProposal, kind: str) -> Table:
    """What the table calls its columns, where it calls them otherwise."""
    usual = USUAL.get(kind, {})
    named = {k: name for k, name in columns.columns.items() if name not in (k, usual.get(k))}
    found = _table(**named)
    if kind in USUAL and not {"predicted_class", "probabilities"} & columns.columns.keys():
        _say(found, "No place in the responses seems to hold the class: correct this path.")
        found.add("predicted_class", "$.response")
    for key in _REQUIRED if kind not in USUAL else ():
        if key not in columns.columns:
            _say(found, f"No column seems to hold the {key}: name it here.", f"{key} = ...")
    if columns.needs_uri:
        sample_id = columns.columns.get("sample_id", "sample_id")
        _say(
            found,
            "Where the input of a row lies: a column, or a template such as",
            f'uri = "images/{{{sample_id}}}.jpg"',
        )
    return found


def _accuracy(a: Answers, seen: Proposal) -> Table:
    # half of a small traffic, so that training queues find something too
    budget = MOST_LABELS if seen.per_day is None else min(MOST_LABELS, rounded(seen.per_day / 2))
    found = _table(
        "What the accuracy rests on: drawn at random from all traffic, answered blind.",
        name="accuracy",
        purpose="evaluation",
        budget=max(1, budget),
        second_look=a.second_look or None,
    )
    if a.second_look:
        _note(found, "second_look", "ask another person where an answer differs from the model's")
    of = "" if seen.per_day is None else f", of {seen.expected(1.0)}"
    _note(found, "budget", f"labels a round{of}")
    return found


def _unsure(seen: Proposal) -> Table:
    at = _threshold(seen)
    others = [f"below {t:g} {seen.expected(seen.below[t])}" for t in THRESHOLDS if t != at]
    found = _table(
        "What the model was unsure of.",
        f"confidence < {at:g}: {seen.expected(seen.below[at])}; {', '.join(others)}.",
        name="low-confidence",
        purpose="training",
        where=f"confidence < {at:g}",
        budget=100,
        show=["confidence", "predicted_class"],
    )
    _note(found, "budget", "at most so many a round")
    return found


def _threshold(seen: Proposal) -> float:
    """The middle one, unless next to nothing lies below it, or nearly everything."""
    if seen.below[THRESHOLDS[1]] > 0.5:
        return THRESHOLDS[0]
    return THRESHOLDS[2] if seen.below[THRESHOLDS[1]] < 0.01 else THRESHOLDS[1]


def _flagged(seen: Proposal) -> Table:
    many = seen.expected(seen.flagged) if seen.flagged else "none among those looked at"
    return _table(
        f"What users complained about: {many}.",
        name="flagged",
        purpose="training",
        where="flagged or corrected_class is not null",
        show=["predicted_class", "confidence", "corrected_class"],
    )


def _people() -> Table:
    found = _table(referees=[])
    _note(found, "referees", "e-mail addresses of those whose second looks decide")
    return found


def _training() -> Table:
    found = _table(max_error=0.05)
    _note(found, "max_error", "keep the model's labels if at most this share is proven wrong")
    _say(found, "confidence = 0.95  # without a guarantee, keep labels of at least this confidence")
    return found
