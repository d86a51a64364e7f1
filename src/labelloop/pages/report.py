"""A report as one HTML file: pictures, numbers and words; nothing in it is fetched."""

from collections.abc import Iterator
from html import escape

from labelloop.charts import drawing
from labelloop.charts.theme import DARK, LIGHT
from labelloop.core.estimate import Estimate, Undefined
from labelloop.pages.sheet import folded, pictured, sheet
from labelloop.ports.clock import Progress
from labelloop.views import tables
from labelloop.views.quality import Quality
from labelloop.views.wording import fallen, headline, moment, over_time, percent, span, worst_case


def _unwatched(what: str, done: int, total: int | None) -> None:
    """A Progress that nobody watches."""


def page(q: Quality, *, progress: Progress = _unwatched) -> str:
    """The report as HTML, for a browser in a light or a dark scheme."""
    title = f"{q.project}: how good is the model?"
    body = "\n".join([_top(q), *_sections(q, progress), _method(q)])
    return sheet(title, body)


def _top(q: Quality) -> str:
    """The number that matters, with all that it rests on."""
    recent = q.measured.last_seven_days
    e = recent.estimate
    made = f"<p class=made>{moment(q.made_at, q.timezone)} ({escape(q.timezone)})</p>"
    if isinstance(e, Undefined):
        number = '<p class="number none">no recent accuracy</p>'
    else:
        number = (
            f"<p class=number>{percent(e.value)} <span>{span(e.low, e.high)} "
            f"<small>{e.level:.0%} interval</small></span></p>"
        )
    facts = [
        ("blind labels", recent.n_labelled),
        ("still open", recent.n_waiting),
        ("skipped or lost", recent.n_skipped),
        ("rows set aside", recent.n_set_aside),
        ("predictions they speak for", recent.n_traffic),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{n:,}</dd></div>" for name, n in facts)
    words = f"<p>{escape(headline(q))} {escape(worst_case(q))}</p>"
    alarm = q.measured.trend.alarm
    if alarm is not None:
        said = fallen(alarm)
        words = f"<p class=alarm>{escape(said[0].upper() + said[1:])} points.</p>{words}"
    return f"{made}\n<section class=head>{number}{words}<dl>{listed}</dl></section>"


def _sections(q: Quality, progress: Progress) -> Iterator[str]:
    """A section a picture, with its numbers in a table."""
    beside = {
        "accuracy-by-day": (tables.periods("", q.days),),
        "accuracy-by-round": (
            tables.periods("", q.rounds),
            tables.looks(q),
            tables.extra_rounds(q),
        ),
        "accuracy-by-class": (tables.classes(q),),
        "confusion": (tables.confusion(q),),
        "reliability": (tables.confidence(q),),
        "labels-and-width": (tables.needs(q.plan),),
        "training-set": (tables.training(q),),
        "labels": (tables.asked(q), tables.agreement(q)),
    }
    n = len(drawing.PICTURES)
    both = zip(drawing.pictures(q, LIGHT), drawing.pictures(q, DARK), strict=True)
    for done, (light, dark) in enumerate(both):
        progress("pictures", done, n)
        rest = [t for t in beside[light.name] if t.rows]
        found = "".join(folded(t, "The numbers" if i == 0 else t.title) for i, t in enumerate(rest))
        more = _over_time(q) if light.name == "accuracy-by-round" else ""
        yield pictured(light, dark, more + found)


def _over_time(q: Quality) -> str:
    """Whether it fell, and its mean so far."""
    sentences = over_time(q.measured.trend, q.timezone)
    return f"<p>{escape(' '.join(sentences))}</p>\n"


def _method(q: Quality) -> str:
    e = q.measured.last_seven_days.estimate
    how = f" Method of the number above: {escape(e.method)}." if isinstance(e, Estimate) else ""
    more = ""
    if q.measured.n_random_sample:
        more = (
            f" A plain random sample of endless traffic would need {q.measured.n_random_sample:,} "
            "labels for an interval as narrow."
        )
    return (
        "<section><h2>How to read this</h2>\n"
        "<p>People labelled samples drawn at random from the traffic, without seeing what the model had "
        "said. Only these blind labels make the accuracy; labels of training queues never do. An interval "
        "of 95% misses the truth in about 5 of 100 reports like this one, as far as people's labels are "
        "right: a wrong label counts as the model's error. Days are cut in the project's time zone; "
        f"several rounds are pooled by their traffic.{how}{more}</p>\n"
        "<p><b>open</b>: drawn, and not answered yet. <b>skipped</b>: skipped by the annotator, or the input "
        "is gone. <b>set aside</b>: inputs whose tags could not be read, so that no draw could reach them. "
        "<b>at worst</b>: the interval if every missing answer and every row set aside were wrong, or "
        "right.</p></section>"
    )
