"""One HTML file that holds everything it shows, for a browser in a light or a dark scheme."""

from html import escape

from labelloop.charts import drawing
from labelloop.charts.picture import Picture
from labelloop.charts.theme import DARK, FONT, LIGHT, Theme
from labelloop.views.tables import Table

_OPEN_UP_TO = 14
"""Rows and columns up to which a table is shown unfolded."""


def sheet(title: str, body: str) -> str:
    """The whole file around a body of HTML."""
    shown = escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{shown}</title>\n<style>{_style()}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{shown}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def pictured(light: Picture, dark: Picture, more: str) -> str:
    """A section with one picture, drawn for either scheme, and HTML below it."""
    figure = _figure(light, LIGHT) + _figure(dark, DARK)
    return (
        f'<section id="{light.name}">\n<h2>{escape(light.title)}</h2>\n'
        f"{_says(light, dark)}\n{figure}{more}</section>"
    )


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


def folded(table: Table, summary: str) -> str:
    """A table that the reader may fold; a large one is folded."""
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


def _style() -> str:
    """The colours of both schemes, and the layout."""

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
        "figure{margin:14px 0 10px}"
        "figure svg{max-width:100%;height:auto;overflow:visible}"
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
