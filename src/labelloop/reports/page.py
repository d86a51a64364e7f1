"""A report as one HTML file: pictures, numbers and words; nothing in it is fetched."""

from collections.abc import Iterator
from html import escape

from labelloop.core.estimate import Estimate, Undefined
from labelloop.ports import Progress
from labelloop.reports import tables
from labelloop.reports.charts import drawing
from labelloop.reports.charts.picture import Picture
from labelloop.reports.charts.theme import DARK, FONT, LIGHT, Theme
from labelloop.reports.quality import Quality
from labelloop.reports.wording import fallen, headline, moment, over_time, percent, span, worst_case

_OPEN_UP_TO = 14
"""Rows and columns up to which a table is shown unfolded."""


def _unwatched(what: str, done: int, total: int | None) -> None:
    """A Progress that nobody watches."""


def page(q: Quality, *, progress: Progress = _unwatched) -> str:
    """The report as HTML, for a browser in a light or a dark scheme."""
    title = f"{escape(q.project)}: how good is the model?"
    body = "\n".join([_top(q), *_sections(q, progress), _method(q)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_style()}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


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
        "training-set": (tables.training(q),),
        "labels": (tables.asked(q), tables.agreement(q)),
    }
    n = len(drawing.PICTURES)
    both = zip(drawing.pictures(q, LIGHT), drawing.pictures(q, DARK), strict=True)
    for done, (light, dark) in enumerate(both):
        progress("pictures", done, n)
        figure = _figure(light, LIGHT) + _figure(dark, DARK)
        rest = [t for t in beside[light.name] if t.rows]
        found = "".join(_table(t, "The numbers" if i == 0 else t.title) for i, t in enumerate(rest))
        more = _over_time(q) if light.name == "accuracy-by-round" else ""
        yield (
            f'<section id="{light.name}">\n<h2>{escape(light.title)}</h2>\n'
            f"{_says(light, dark)}\n{figure}{more}{found}</section>"
        )


def _over_time(q: Quality) -> str:
    """Whether it fell, and its mean so far."""
    sentences = over_time(q.measured.trend, q.timezone)
    return f"<p>{escape(' '.join(sentences))}</p>\n"


def _says(light: Picture, dark: Picture) -> str:
    if light.says == dark.says:
        return f"<p>{escape(light.says)}</p>"
    return f"<p class=light>{escape(light.says)}</p><p class=dark>{escape(dark.says)}</p>"


def _figure(picture: Picture, theme: Theme) -> str:
    if picture.chart is None:
        return ""
    drawn = drawing.svg(picture.chart, theme, name=f"{picture.name}-{theme.name}")
    label = escape(f"{picture.title}. {picture.says}", quote=True)
    drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure class={theme.name}>{drawn}</figure>\n"


def _table(table: tables.Table, summary: str) -> str:
    head = "".join(
        f"<th scope=col{'' if i < table.n_names else ' class=n'}>{escape(name)}</th>"
        for i, name in enumerate(table.columns)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<th scope=row>{escape(cell)}</th>"
            if i == 0
            else f"<td{'' if i < table.n_names else ' class=n'}>{escape(cell)}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    small = len(table.rows) <= _OPEN_UP_TO and len(table.columns) <= _OPEN_UP_TO
    unfolded = " open" if small else ""
    return (
        f"<details{unfolded}><summary>{escape(summary)}</summary><div><table>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></details>\n"
    )


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


def _style() -> str:
    def colours(theme: Theme) -> str:
        return (
            f"--background:{theme.background};--surface:{theme.surface};--ink:{theme.ink};"
            f"--muted:{theme.muted};--grid:{theme.grid};--accent:{theme.right};--alarm:{theme.wrong}"
        )

    return (
        f":root{{color-scheme:light dark;{colours(LIGHT)}}}"
        ".dark{display:none}"
        "@media screen and (prefers-color-scheme:dark){"
        f":root{{{colours(DARK)}}}.light{{display:none}}.dark{{display:block}}}}"
        f"body{{margin:0;background:var(--background);color:var(--ink);font:16px/1.55 {FONT}}}"
        "main{max-width:860px;margin:0 auto;padding:32px 20px 64px}"
        "h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}"
        "h2{font-size:19px;margin:0 0 6px}"
        "p{margin:0 0 12px;overflow-wrap:anywhere}.made{color:var(--muted);margin:4px 0 20px}"
        "section{background:var(--surface);border:1px solid var(--grid);border-radius:10px;"
        "padding:22px 24px;margin:0 0 20px}"
        ".number{font-size:52px;font-weight:700;line-height:1.1;color:var(--accent);margin:0 0 12px}"
        ".number span{font-size:24px;font-weight:400;color:var(--ink);margin-left:10px;"
        "white-space:nowrap}"
        ".number small{font-size:15px;color:var(--muted)}.number.none{font-size:32px;color:var(--muted)}"
        ".alarm{color:var(--alarm);font-weight:700;font-size:18px}"
        "dl{display:flex;flex-wrap:wrap;gap:8px 32px;margin:0}dt{color:var(--muted);font-size:13px}"
        "dd{margin:0;font-size:19px;font-variant-numeric:tabular-nums}"
        "figure{margin:14px 0 10px;overflow-x:auto}"
        "figure svg{max-width:100%;height:auto}"
        "details{margin-top:10px}summary{cursor:pointer;color:var(--muted);font-size:14px}"
        "details div{overflow-x:auto}"
        "table{border-collapse:collapse;font-size:13.5px;margin-top:8px}"
        "th,td{padding:4px 10px;border-bottom:1px solid var(--grid);text-align:left;"
        "vertical-align:top}"
        "thead th{color:var(--muted);font-weight:400;max-width:130px;white-space:normal}"
        "tbody th{font-weight:600;min-width:80px;overflow-wrap:anywhere}"
        ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
        "thead .n{white-space:normal;overflow-wrap:break-word}"
        "@media print{section{break-inside:avoid}body{background:none}}"
    )
