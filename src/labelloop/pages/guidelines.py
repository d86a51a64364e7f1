"""Guidelines in Markdown -> HTML that can do nothing: no HTML of their own, nothing of other servers."""

from collections.abc import Mapping
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

_LEVELS = 1
"""Headings begin so much lower: the page has a title of its own."""


def guidelines_html(
    markdown: str, keys: Mapping[str, str], images: Mapping[str, str] | None = None
) -> Markup:
    """Guidelines as HTML. A heading that names a class gets its key (`keys`: by class).

    `images`: the addresses of the images that may be shown, by their names; others are shown as text.

    >>> guidelines_html("# Fig\\n<b>ripe</b>", {"Fig": "1"})
    Markup('<h2><kbd>1</kbd> Fig</h2>\\n<p>&lt;b&gt;ripe&lt;/b&gt;</p>\\n')
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        token.children = [_shown(each, images or {}) for each in token.children or ()]
    for token, inside in zip(tokens, tokens[1:] + tokens[-1:], strict=True):
        if token.type not in {"heading_open", "heading_close"}:
            continue
        token.tag = f"h{min(6, int(token.tag[1]) + _LEVELS)}"
        key = keys.get(inside.content.strip()) if token.type == "heading_open" else None
        if key:
            shown = Token("html_inline", "", 0, content=f"<kbd>{escape(key)}</kbd> ")
            inside.children = [shown, *(inside.children or ())]
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704  it escapes all HTML


def _shown(token: Token, images: Mapping[str, str]) -> Token:
    """The token; an image that isn't there as text."""
    if token.type != "image":
        return token
    name = unquote(str(token.attrs["src"]))
    if name in images:
        token.attrs["src"] = images[name]
        return token
    return Token("text", "", 0, content=f"![{token.content}]({name})")
