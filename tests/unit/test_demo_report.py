from datetime import date
from io import StringIO

from rich.console import Console

from labelloop.core.estimate import Undefined
from labelloop.demo.report import Asked, Day, Guaranteed, NextDay, Part, conclusion, table
from labelloop.statistics import wilson


def day(number: int, *, n_right: int, true_accuracy: float, n_labels: int = 70) -> Day:
    return Day(
        day=date(2026, 3, number),
        drifted=number > 1,
        model=f"forest-{number}",
        n_traffic=1300,
        asked=(
            Asked(queue="accuracy", blind=True, n=70, n_matching=1300),
            Asked(queue="low-confidence", blind=False, n=60, n_matching=171),
        ),
        answers=Part(n=130, n_wrong=3),
        estimate=wilson(n_right, n_labels, population=1300) if n_labels else Undefined("no label"),
        true_accuracy=true_accuracy,
        n_given=221,
        guaranteed=Guaranteed(n=200 if number < 3 else 0, n_wrong=5 * number, max_error=0.03),
        by_model=Part(n=12_000, n_wrong=600),
        by_people=Part(n=100, n_wrong=2),
        next_day=NextDay(n=1300, retrained=0.75, first=0.61),
    )


def drawn(days: list[Day]) -> str:
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(table(days))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


THREE = [
    day(1, n_right=60, true_accuracy=0.86),
    day(2, n_right=60, true_accuracy=0.5),
    day(3, n_right=0, true_accuracy=0.75, n_labels=0),
]


def test_the_table_fits_eighty_columns_and_cuts_nothing() -> None:
    text = drawn(THREE)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for shown in ("60 of 171", "12,000, 5.0% wrong", "1,300 drifted", "+14.0 points", "12,100"):
        assert shown in text


def test_an_estimate_stands_beside_the_truth_and_says_whether_it_held() -> None:
    text = drawn(THREE)
    assert "85.7%" in text
    assert "86.0%, inside" in text
    assert "50.0%, outside" in text
    assert "on 1 of 2 days" in conclusion(THREE)


def test_where_there_is_no_estimate_the_reason_stands_below() -> None:
    nobody = [day(number, n_right=0, true_accuracy=0.8, n_labels=0) for number in (1, 2, 3)]
    assert "none" in drawn(nobody)
    assert "Day 2 has no estimate: no label." in conclusion(nobody)
    assert "held" not in conclusion(nobody)


def test_a_guarantee_stands_beside_what_is_wrong_in_truth_and_says_whether_it_held() -> None:
    text = drawn(THREE)
    assert "2.5%, kept" in text
    assert "5.0%, broken" in text
    assert (
        "The answers of day 1 gave a guarantee: at most 3% of 200 model labels are wrong, with 95% "
        "confidence. In truth 5 are wrong. The guarantee was kept on 1 of the 2 days that had one."
    ) in conclusion(THREE)
    assert "The guarantee was kept. A new model" in conclusion(THREE[:1])
    assert "The guarantee was broken. A new model" in conclusion(THREE[1:])
    assert "They gave 663 answers, repeats by other people (second looks) included." in conclusion(
        THREE
    )
    assert "No day's answers gave a guarantee" in conclusion(THREE[2:])
