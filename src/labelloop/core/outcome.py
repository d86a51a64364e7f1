"""How far an answer agrees with a prediction. Nothing else compares the two."""


def outcome(answer: str | None, predicted_class: str | None) -> float:
    """The score of a prediction in [0, 1]: 1 if the answer is the predicted class, 0 if it is another.

    A prediction that nobody answered, and an answer to which there is no prediction, score 0.

    >>> outcome("cat", "cat"), outcome("dog", "cat"), outcome(None, None)
    (1.0, 0.0, 0.0)
    """
    return float(answer is not None and answer == predicted_class)


def is_wrong(score: float) -> bool:
    """True if the score is below 1: the answer doesn't wholly agree with the prediction."""
    return score < 1
