"""The documentation says what the code does."""

import doctest
import re
import runpy
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from labelloop.cli.main import COMMANDS, group
from labelloop.ledger.tables import metadata
from labelloop.settings.file import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
ENVIRONMENT = {
    "MINIO_URL": "http://127.0.0.1:9000",
    "MINIO_USER": "user",
    "MINIO_PASSWORD": "made up",
    "LABEL_STUDIO_URL": "http://127.0.0.1:8080",
    "LABEL_STUDIO_USER_TOKEN": "0" * 40,
    "RETRAIN_SECRET": "made up secret",
    "MLFLOW_SECRET": "ann:made up",
    "AIRFLOW_SECRET": "ann:made up",
    "SLACK_URL": "https://hooks.slack.example/made-up",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in FENCE.finditer(page.read_text(encoding="utf-8")):
            if found[1] == language:
                yield name(page), found[2]


@pytest.fixture(scope="module")
def generated() -> Callable[[str], str]:
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))["generated"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_generated_parts_are_up_to_date(page: Path, generated: Callable[[str], str]) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated(text) == text, f"{name(page)} is stale: run `make docs`"


def test_every_table_of_the_ledger_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "ledger.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- begin table (\w+) -->", page)) == set(metadata.tables)


def test_every_command_is_described() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"<!-- begin usage (\w+) -->", text)) == set(COMMANDS)


# --- examples ---------------------------------------------------------------------------------


def sections(toml: str) -> dict[str, str]:
    """The text of each section; the queues are one."""
    parts: dict[str, str] = {}
    header = ""
    for line in toml.splitlines(keepends=True):
        found = re.match(r"\[+([\w.]+)\]+", line)
        header = found[1] if found else header
        parts[header] = parts.get(header, "") + line
    return parts


@pytest.mark.parametrize(("page", "example"), list(blocks("pycon")))
def test_every_session_in_python_says_what_it_shows(page: str, example: str) -> None:
    wrong: list[str] = []
    test = doctest.DocTestParser().get_doctest(example, {}, page, page, 0)
    doctest.DocTestRunner(verbose=False).run(test, out=wrong.append)
    assert not wrong, "".join(wrong)


@pytest.mark.parametrize(("page", "example"), list(blocks("toml")))
def test_every_example_of_settings_loads(page: str, example: str, tmp_path: Path) -> None:
    """An example of some sections only is completed by the README's."""
    whole = next(text for where, text in blocks("toml") if where == "README.md")
    file = tmp_path / "labelloop.toml"
    file.write_text("".join((sections(whole) | sections(example)).values()), encoding="utf-8")
    settings = load(file, ENVIRONMENT)
    given = {type(settings).model_fields[name].alias or name for name in settings.model_fields_set}
    for header in tomllib.loads(example):
        assert header in given, f"{page}: {header}"


def test_the_full_example_shows_every_setting() -> None:
    example = next(text for where, text in blocks("toml") if where == "docs/reference/settings.md")
    shown = tomllib.loads(example)
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for section, table in re.findall(r"^## `\[+([\w.]+)\]+`\n(.*?)(?=^## |\Z)", page, re.M | re.S):
        if section in {"store.tags", "source.columns", "class"}:  # only where the names differ
            continue
        value = shown
        for part in section.split("."):
            value = value[part]
        used = {key for q in value for key in q} if isinstance(value, list) else set(value)
        used |= set(re.findall(r"# .*: (\w+) = ", example))  # what excludes something else
        assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) <= used, section


# --- commands ---------------------------------------------------------------------------------


def mentioned() -> Iterator[tuple[str, str]]:
    """Each `labelloop ...` that a page tells the reader to type."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"`labelloop( [^`]*)`", FENCE.sub("", text)):
            yield name(page), found[1]
    for language in ("sh", "cron"):
        for page_name, block in blocks(language):
            for found in re.finditer(r"(?:^|/)labelloop( [^#>\n]*)", block, re.MULTILINE):
                yield page_name, found[1]


@pytest.mark.parametrize(("page", "line"), sorted(set(mentioned())))
def test_every_command_and_option_exists(page: str, line: str) -> None:
    words = line.split()
    command: click.Command = group
    while words and not words[0].startswith("-") and isinstance(command, click.Group):
        if words[0] == "COMMAND":
            return
        below = command.get_command(click.Context(command), words.pop(0))
        assert below is not None, f"{page}: labelloop{line}"
        command = below
    options = {o for p in command.params for o in p.opts} | {"--help"}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"{page}: labelloop{line}"


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M):
            assert target in targets, f"{name(page)}: make {target}"


# --- links ------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        assert not anchor or anchor in anchors(file), f"{name(page)}: {target}"


def test_every_page_is_reachable_from_the_readme() -> None:
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        links = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links]
    assert set(PAGES) <= found


# --- form -------------------------------------------------------------------------------------

KINDS = {
    "tutorial": "Tutorial",
    "how-to": "How-to guide",
    "reference": "Reference",
    "explanation": "Explanation",
}


def test_every_page_says_its_kind_below_its_title() -> None:
    for folder, kind in KINDS.items():
        for page in (ROOT / "docs" / folder).rglob("*.md"):
            title, blank, said = page.read_text(encoding="utf-8").splitlines()[:3]
            assert (title[:2], blank, said) == ("# ", "", f"*{kind}*"), name(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_prose_is_wrapped_at_100_characters(page: Path) -> None:
    """Tables, code and what is generated may be wider, and so may a single word."""
    text = re.sub(
        r"<!-- begin (.*?) -->.*?<!-- end \1 -->", "", page.read_text("utf-8"), flags=re.S
    )
    for line in FENCE.sub("", text).splitlines():
        words = re.sub(r"`[^`]*`", "code", line).split()
        if len(line) > 100 and len(words) > 1 and not line.startswith(("|", "    ")):
            raise AssertionError(f"{name(page)}: {line}")


def test_every_page_that_the_source_names_exists() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for page in re.findall(r"(?<![\w/.])docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{name(path)}: {page}"


# --- mistakes ---------------------------------------------------------------------------------

TROUBLE = ROOT / "docs" / "how-to" / "troubleshooting.md"
ROW = re.compile(r'^\| <a id="([\w-]+)"></a>(.*?) \|', re.MULTILINE)


def test_every_row_of_trouble_is_made_in_a_test_and_every_such_test_has_a_row() -> None:
    rows = [name for name, _ in ROW.findall(TROUBLE.read_text(encoding="utf-8"))]
    assert len(rows) == len(set(rows))
    made: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        made |= set(re.findall(r'^@pytest\.mark\.mistake\("([\w-]+)"\)', path.read_text(), re.M))
    assert set(rows) == made


def test_the_symptoms_are_what_the_code_says() -> None:
    """A quoted message stands in the source, up to its numbers and names."""
    code = "\n".join(p.read_text("utf-8") for p in sorted((ROOT / "src").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    for name, symptom in ROW.findall(TROUBLE.read_text(encoding="utf-8")):
        for said in re.findall(r"`([^`]+)`", symptom):
            for words in re.split(r"\d+|'[^' ]*'|: |\(\.\.\.\)", said):
                assert words.strip(" ,") in code, f"{name}: {said}"
