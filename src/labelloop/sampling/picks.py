"""How a training queue picks: each rule, what it ranks by, and what it needs of the log."""

from dataclasses import dataclass

from labelloop.core.ranked import Score

RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A rule that ranks rows; the highest score comes first, ties by the place on the line.

    score
        what it ranks by; a row without one is never picked
    means
        the score in words
    learned
        whether the risk learned from labels takes the place of the score, once there is one
    spread
        whether it picks rows that differ from each other, among those with the highest scores
    """

    score: Score
    means: str
    learned: bool = False
    spread: bool = False


PICKS: dict[str, Pick] = {
    RANDOM: Pick(score=Score.PLACE, means="no score"),
    "least-confident": Pick(score=Score.LEAST_CONFIDENT, means="1 - confidence"),
    "margin": Pick(score=Score.MARGIN, means="1 - margin"),
    "entropy": Pick(score=Score.ENTROPY, means="entropy"),
    "disagreement": Pick(score=Score.DISAGREEMENT, means="share of other answers"),
    "diverse": Pick(score=Score.MARGIN, means="1 - margin", spread=True),
    "likely-wrong": Pick(score=Score.RISK, means="risk", learned=True),
}
"""By the name that `pick` gives them."""

_PROBABILITIES = (
    "log them: a column of lists of numbers, which [source.columns] probabilities names; or use pick = "
    "'least-confident', which needs the confidence alone"
)
_EMBEDDING = (
    "log them: a column of lists of numbers, as long in every row, which [source.columns] embedding names; "
    "or let labelloop compute them: embed = 'image', 'text' or your own function; or "
    "use pick = 'margin', which needs the probabilities alone"
)
EMBEDDINGS = ("an `embedding`", _EMBEDDING)
TEXTS = (
    "a text in the log",
    "name the table's column of texts in [source.columns] text; or leave near_duplicates out",
)
IMAGES = (
    "images that can be read",
    "check the inputs with `labelloop doctor`; or leave near_duplicates out",
)
"""What rules need that compare rows, and how to get it."""
NEEDS: dict[Score, tuple[str, str]] = {
    Score.LEAST_CONFIDENT: (
        "a `confidence`",
        "log it: a tag, or the column that [source.columns] confidence names",
    ),
    Score.MARGIN: (
        "`probabilities`",
        _PROBABILITIES,
    ),
    Score.ENTROPY: (
        "`probabilities`",
        _PROBABILITIES,
    ),
    Score.DISAGREEMENT: (
        "an answer of a second model",
        "let a second model answer the same samples, and log its answers with role = 'shadow'",
    ),
}
"""By score: what a row must have, and how to get it."""
