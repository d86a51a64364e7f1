"""The labelling config of a project: what its annotators see, as Label Studio's XML. Pure."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from labelloop.errors import ArgumentError
from labelloop.ports.annotator import InputKind, ProjectSpec, TaskData

CONTROL = "label"
"""The name of the control whose choices are the answer."""

IMAGE_WIDTH = "500px"
IMAGE_HEIGHT = TEXT_HEIGHT = "55vh"  # leaves the choices in sight below
NO_WIDTH = "\u200b"

HEADERS = {
    "predicted_class": "Predicted class: $predicted_class",
    "confidence": "Model confidence: $confidence",
    "corrected_class": "User's correction: $corrected_class",
    "flagged": "Flagged by a user: $flagged",
}
"""What annotators read for each data key that a queue may show, in this order."""

UNKNOWN = "—"

# "text" says that the value is no address to fetch and no markup.
_SHOWN: Mapping[InputKind, Sequence[str]] = {
    "image": [
        f'  <Image name="image" value="$image" maxWidth="{IMAGE_WIDTH}" maxHeight="{IMAGE_HEIGHT}"/>'
    ],
    "text": [
        f'  <View style="max-height: {TEXT_HEIGHT}; overflow: auto">',
        '    <Text name="text" value="$text" valueType="text"/>',
        "  </View>",
    ],
}
"""What shows an input, by its kind."""

TITLE_LENGTHS = range(3, 51)


def labelling_config(spec: ProjectSpec) -> str:
    """The XML of a project that shows one input and asks for exactly one of its classes.

    Raises:
        ArgumentError: a class that XML can't carry, a key that can't be shown, or a blind
            project that shows anything.
    """
    if not spec.classes:
        raise ArgumentError(
            "a project needs at least one class", remedy="list the classes in [project] classes"
        )
    if spec.blind and spec.show:
        raise ArgumentError(
            f"a blind project can't show {', '.join(spec.show)}",
            remedy="leave `show` out of evaluation queues",
        )
    unknown = set(spec.show) - HEADERS.keys()
    if unknown:
        raise ArgumentError(
            f"a project can't show {', '.join(sorted(unknown))}",
            remedy=f"known are {', '.join(HEADERS)}",
        )
    headers = [
        f'  <Header size="5" value={_quoted(text)}/>'
        for key, text in HEADERS.items()
        if key in spec.show
    ]
    choices = (
        f'  <Choices name="{CONTROL}" toName="{spec.kind}" choice="single" showInline="true"'
        ' required="true" requiredMessage="Choose one class, or skip the '
        f'{spec.kind}.">'
    )
    return "\n".join(
        [
            "<View>",
            *headers,
            *_SHOWN[spec.kind],
            choices,
            *_choices(spec.classes),
            "  </Choices>",
            "</View>",
        ]
    )


def _choices(classes: Sequence[str]) -> list[str]:
    for name in classes:
        if not name.strip() or not name.isprintable():
            raise ArgumentError(
                f"the class {name!r} can't be shown in Label Studio",
                remedy="use a name of printable characters on one line",
            )
    return [f"    <Choice {_choice(name)}/>" for name in classes]


def with_choices(config: str, choices: Sequence[str]) -> str | None:
    """A labelling config, as people may have changed it, with other choices in our control.

    None where it has no such control; `config` itself where nothing differs.
    """
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(config)  # noqa: S314  what Label Studio checked when it took it
    except (ElementTree.ParseError, UnicodeError):
        return None
    control = next((c for c in root.iter("Choices") if c.get("name") == CONTROL), None)
    if control is None:
        return None
    held = {c.get("alias") or c.get("value"): c for c in control.iter("Choice")}
    if list(held) == list(choices):
        return config
    fresh = ElementTree.fromstring(f"<Choices>{''.join(_choices(choices))}</Choices>")  # noqa: S314
    made = {c.get("alias") or c.get("value"): c for c in fresh}
    for child in list(control):
        control.remove(child)
    control.extend([held.get(name, made[name]) for name in choices])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _choice(name: str) -> str:
    """The attributes of a choice whose answer reads `name`.

    Label Studio puts the task's data in place of $word. A space of no width after each $ keeps it
    from that; the answer is the alias, which it leaves alone.
    """
    if "$" not in name:
        return f"value={_quoted(name)}"
    return f"value={_quoted(name.replace('$', '$' + NO_WIDTH))} alias={_quoted(name)}"


def _quoted(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;"}) + '"'


def readable(data: Mapping[str, object]) -> dict[str, object]:
    """`data` with a dash where a text to be shown isn't known: Label Studio would write "null".

    An unknown confidence stays null, so that the Data Manager can compare the column as numbers.

    >>> readable({"predicted_class": None, "confidence": None, "flagged": True})
    {'predicted_class': '—', 'confidence': None, 'flagged': True}
    """
    texts = HEADERS.keys() - {"confidence"}
    return {k: UNKNOWN if v is None and k in texts else v for k, v in data.items()}


def project_title(title: str) -> str:
    """`title` within Label Studio's limits, cut at a word where one ends late enough.

    >>> project_title("food11 / accuracy"), project_title("q")
    ('food11 / accuracy', 'q labels')
    >>> project_title("images of the second warehouse that the scanner rejected")
    'images of the second warehouse that the scanner…'
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    if len(plain) < TITLE_LENGTHS.start:
        return f"{plain} labels".strip()
    longest = TITLE_LENGTHS.stop - 1
    if len(plain) <= longest:
        return plain
    cut = plain[: longest - 1]
    if plain[longest - 1] != " " and cut.rfind(" ") > longest // 2:
        cut = cut[: cut.rfind(" ")]
    return cut.rstrip(" /-,.;:") + "…"


_ASKED: Mapping[InputKind, str] = {
    "image": "Say which class each image shows.",
    "text": "Say which class each text belongs to.",
}


def project_description(spec: ProjectSpec) -> str:
    """What the project's card says; its last line is the marker."""
    return f"{_ASKED[spec.kind]} Sent by labelloop: keep the line below.\n{spec.marker}"


def marker_of(description: str | None) -> str | None:
    """The marker in a project's description; None where there is none.

    >>> marker_of("Fruit\\n labelloop:l1/accuracy "), marker_of("about labelloop: nice")
    ('labelloop:l1/accuracy', None)
    """
    for line in (description or "").splitlines():
        marker = line.strip()
        if marker.startswith("labelloop:") and "/" in marker:
            return marker
    return None


def filled_in(task: TaskData) -> dict[str, object]:
    """The prediction that fills in the answer of a task."""
    assert task.suggestion is not None  # noqa: S101  who asks has one
    said = task.suggestion
    kind = "text" if "text" in task.data else "image"
    return {
        "model_version": said.model,
        **({} if said.score is None else {"score": said.score}),
        "result": [
            {
                "from_name": CONTROL,
                "to_name": kind,
                "type": "choices",
                "value": {"choices": [said.answer]},
            }
        ],
    }
