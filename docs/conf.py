"""The site that `make site` builds of the README and these pages. A warning fails the build."""

import re
from pathlib import Path

from pygments.lexers.shell import BashLexer
from sphinx.application import Sphinx

import labelloop

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/index"

project = "labelloop"
author = "the labelloop authors"
version = release = labelloop.__version__
root_doc = INDEX
include_patterns = ["*.md", "docs/**.md", "capture/README.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4
default_role = "literal"  # docstrings write names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "labelloop"
html_copy_source = False
html_show_sphinx = False


def contents(index: str) -> str:
    """The table of contents that the site shows: the links of the index, kind by kind."""
    parts = ["```{toctree}\n:hidden:\n\n/README\n/CONTRIBUTING\n/CHANGELOG\n/SECURITY\n```"]
    for title, below in re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", index, re.MULTILINE):
        pages = re.findall(r"\]\(([\w./-]+)\.md\)", below)
        if pages:
            parts.append(f"```{{toctree}}\n:hidden:\n:caption: {title.partition(':')[0]}\n")
            parts.append("\n".join(pages) + "\n```")
    return "\n\n" + "\n".join(parts)


def documented(found: re.Match[str]) -> str:
    """The directive of Sphinx that a page names in a comment, with all its public members."""
    directive, subject = found.groups()
    members = "" if directive == "autofunction" else "   :members:\n"
    return f"```{{eval-rst}}\n.. {directive}:: {subject}\n{members}```"


def prepared(_: Sphinx, name: str, source: list[str]) -> None:
    """Add what a reader of the plain Markdown shouldn't see as directives."""
    text = re.sub(r"<!-- (auto\w+) ([\w.]+) -->", documented, source[0])
    source[0] = text + contents(text) if name == INDEX else text


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_lexer("cron", BashLexer)
    app.connect("source-read", prepared)
