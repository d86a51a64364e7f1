"""What the labelling page shows of a queue: its classes with their keys, an item, what a model said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.pages.texts import Texts
from labelloop.ports.desk import DeskQueue, Item

KEYS = "1234567890acdefghijklmopqtvwxy"
"""The keys of the classes, in their order; the other letters are commands. Beyond these people search."""
REASONS = ("unreadable", "no_class", "unsure", "other")
"""Why people skip: the names of the texts, and what is kept with the skip."""
DASH = "–"


@dataclass(frozen=True, slots=True)
class Choice:
    """A class to choose, and its key; no key where there are too many classes."""

    name: str
    key: str


def choices(classes: Sequence[str]) -> Sequence[Choice]:
    """The classes with their keys.

    >>> [c.key for c in choices(["fig"] * 12)][8:]
    ['9', '0', 'a', 'c']
    >>> {c.key for c in choices(["fig"] * 31)}
    {''}
    """
    keys: Sequence[str] = KEYS if len(classes) <= len(KEYS) else [""] * len(classes)
    return [Choice(name, key) for name, key in zip(classes, keys, strict=False)]


def shown(values: Mapping[str, object], t: Texts) -> list[dict[str, str]]:
    """What a training queue shows of its predictions, in words."""
    return [
        {"name": t["item"].get(name, name), "value": _said(value, t)}
        for name, value in values.items()
    ]


def _said(value: object, t: Texts) -> str:
    if value is None:
        return t["item"]["unknown"]
    if isinstance(value, bool):
        return t["item"]["yes" if value else "no"]
    return f"{value:.0%}" if isinstance(value, float) else str(value)


def item_form(item: Item, queue: DeskQueue, t: Texts, *, image: str | None) -> dict[str, object]:
    """An item as the browser gets it. What a queue shows after the answer isn't in it."""
    before = item.shown if queue.guide.reveal == "before" and not queue.blind else {}
    model = before.get("predicted_class")
    given = item.answer
    made: dict[str, object] = {
        "task": item.item_id,
        "shown": shown(before, t),
        "model": model if model in item.choices else None,
        "mine": t["item"]["mine"].format_map({"class": answer_words(given.choice, given.reason, t)})
        if given
        else None,
    }
    return made | ({"image": image} if item.kind == "image" else {"text": item.text or ""})


def answer_words(choice: str | None, reason: str, t: Texts) -> str:
    """An answer as its person reads it: the class, or why they skipped."""
    if choice is not None:
        return choice
    said = t["reasons"].get(reason, reason)
    return f"{t['item']['skipped']}: {said}" if said else t["item"]["skipped"]


def help_rows(queue: DeskQueue, t: Texts) -> Sequence[tuple[Sequence[str], str]]:
    """Which key does what in a queue."""
    says = t["help"]
    is_image, reveals = queue.kind == "image", queue.guide.reveal == "before"
    searches = len(queue.classes) > len(KEYS)
    rows = (
        (searches, "↓ ↑ ⏎", "find"),
        (not searches, "1 …", "answer"),
        (reveals and "predicted_class" in queue.show, "⏎", "confirm"),
        (True, "U ⌫", "undo"),
        (True, "S", "skip"),
        (True, "N", "note"),
        (True, "+ −", "zoom"),
        (is_image, "R", "rotate"),
        (is_image, "B", "brightness"),
        (True, "Z", "reset"),
    )
    return [(keys.split(), says[name]) for holds, keys, name in rows if holds]
