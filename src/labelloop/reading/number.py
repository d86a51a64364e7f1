"""The rule for a number that is written as text."""


def number(text: str) -> float:
    """The number that a text holds, as Python writes numbers; it may be NaN or infinite.

    >>> number(" .5 "), number("1e-3")
    (0.5, 0.001)

    Raises:
        ValueError: it holds none.
    """
    if "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)
