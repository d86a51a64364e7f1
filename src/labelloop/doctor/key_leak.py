"""Do the keys of the objects tell the predicted class? Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

ENOUGH = 20
"""Below this many samples nothing is said."""


def key_leak(predictions: Iterable[tuple[str, str]]) -> str | None:
    """How the keys tell the class, for (key, predicted class) pairs; None where they don't seem to.

    >>> key_leak([(f"{c}/{i}.png", c) for c in ("cat", "dog") for i in range(20)])
    'keys name the predicted class, as in cat/0.png'
    >>> key_leak([(f"c{i % 3}/{i}.png", "abc"[i % 3]) for i in range(60)])
    'the part c0 of a key goes with one predicted class, as in c0/0.png'
    >>> key_leak([(f"in/{c}/{i}.png", c) for c in ("pet/cat", "pet/dog") for i in range(20)])
    'keys name the predicted class, as in in/pet/cat/0.png'
    >>> key_leak([(f"{i % 7}/{i}.png", "abc"[i % 3]) for i in range(210)])
    """
    pairs = list(predictions)
    if len(pairs) < ENOUGH:
        return None
    naming = [key for key, predicted in pairs if _names(key, predicted)]
    if 2 * len(naming) > len(pairs):
        return f"keys name the predicted class, as in {naming[0]}"
    commonest = Counter(predicted for _, predicted in pairs).most_common(1)[0][1] / len(pairs)
    for place in range(max(len(list(_parts(key))) for key, _ in pairs)):
        found = _grouped(pairs, place)
        if len(found) < 2 or 3 * len(found) > len(pairs):
            continue
        n_right = sum(c.most_common(1)[0][1] for c in found.values())
        n = sum(c.total() for c in found.values())
        if n_right / n > (1 + commonest) / 2:
            part = next(iter(found))
            example = next(key for key, _ in pairs if part in _parts(key))
            return f"the part {part} of a key goes with one predicted class, as in {example}"
    return None


def _grouped(pairs: Sequence[tuple[str, str]], place: int) -> dict[str, Counter[str]]:
    """The predicted classes of each part that stands at a place of the keys."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for key, predicted in pairs:
        parts = list(_parts(key))
        if place < len(parts):
            found[parts[place]][predicted] += 1
    return found


def _parts(key: str) -> Iterator[str]:
    """The folders of a key, and what its file name begins with: `cat_` in cat_0012.png."""
    *folders, name = key.split("/")
    yield from folders
    begins = re.match(r"[^\W\d_]+|\d+(?=[_-])", name)
    if begins:
        yield begins[0]


def _names(key: str, predicted: str) -> bool:
    wanted, deep = _plain(predicted), predicted.count("/") + 1
    parts = [_plain(part) for part in key.split("/")]
    held = ("".join(parts[i : i + deep]) for i in range(len(parts)))
    return bool(wanted) and any(part.startswith(wanted) for part in held)


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
