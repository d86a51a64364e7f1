"""Guidelines in Markdown -> HTML that can do nothing: no HTML of their own, no images, no odd links."""

from collections.abc import Mapping

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

_LEVELS = 1
"""Headings begin so much lower: the page has a title of its own."""


def guidelines_html(markdown: str, keys: Mapping[str, str]) -> Markup:
    """Guidelines as HTML. A heading that names a class gets its key (`keys`: by class).

    >>> guidelines_html("# Fig\\n<b>ripe</b>", {"Fig": "1"})
    Markup('<h2><kbd>1</kbd> Fig</h2>\\n<p>&lt;b&gt;ripe&lt;/b&gt;</p>\\n')
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(markdown)
    for token, inside in zip(tokens, tokens[1:] + tokens[-1:], strict=True):
        if token.type not in {"heading_open", "heading_close"}:
            continue
        token.tag = f"h{min(6, int(token.tag[1]) + _LEVELS)}"
        key = keys.get(inside.content.strip()) if token.type == "heading_open" else None
        if key:
            shown = Token("html_inline", "", 0, content=f"<kbd>{escape(key)}</kbd> ")
            inside.children = [shown, *(inside.children or ())]
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704  it escapes all HTML
