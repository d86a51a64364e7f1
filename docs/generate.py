"""Writes the parts of the documentation that the code holds. Run it as `make docs`.

A page marks such a part with `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands between is
replaced by what the code says. The rest of the page is written by hand.
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "docs" / "reference" / "json.schema.json"
BLOCK = re.compile(r"(<!-- begin (?P<name>[^>]+?) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)


def pages() -> Iterator[Path]:
    """Every page of the documentation."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))


def generated(page: str) -> str:
    """The text of a page with every marked part as the code has it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{part(found['name'])}\n{found[3]}", page)


def part(name: str) -> str:
    """The text of one part.

    Raises:
        KeyError: there is no part of that name.
    """
    kind, _, rest = name.partition(" ")
    return PARTS[kind](rest).strip("\n")


def settings(_: str) -> str:
    """The settings, a table a section."""
    from labelloop.settings.file import reference

    return reference()


def ledger_table(name: str) -> str:
    """The columns of a table of the ledger."""
    from labelloop.ledger.tables import metadata

    table = metadata.tables[name]
    keys = set(table.primary_key.columns)
    lines = ["| column | type | |", "| --- | --- | --- |"]
    for column in table.columns:
        kind = type(column.type).__name__.lower()
        note = "key" if column in keys else "may be empty" if column.nullable else ""
        lines.append(f"| `{column.name}` | {kind} | {note} |")
    return "\n".join(lines)


def task_states(_: str) -> str:
    """Where a task may go from each state."""
    from labelloop.core.task import MOVES

    lines = ["| from | to |", "| --- | --- |"]
    order = list(MOVES)
    for state, targets in MOVES.items():
        names = [f"`{target}`" for target in order if target in targets]
        lines.append(f"| `{state}` | {', '.join(names)} |")
    return "\n".join(lines)


def where_columns(_: str) -> str:
    """The columns that a `where` may name."""
    from labelloop.core.where import COLUMNS, FEEDBACK_COLUMNS

    lines = ["| column | kind | |", "| --- | --- | --- |"]
    for name, kind in COLUMNS.items():
        note = "feedback" if name in FEEDBACK_COLUMNS else ""
        lines.append(f"| `{name}` | {kind} | {note} |")
    return "\n".join(lines)


def log_table(name: str) -> str:
    """The columns of a table of the prediction log."""
    from labelloop.adapters.iceberg.schema import schema

    lines = [f"| `labelloop.{name}` | type | |", "| --- | --- | --- |"]
    for column in schema("feedback" if name == "feedback" else "predictions").fields:
        note = "" if column.required else "may be null"
        lines.append(f"| `{column.name}` | {column.field_type} | {note} |")
    return "\n".join(lines)


def manifest_columns(_: str) -> str:
    """The columns of a manifest."""
    from labelloop.steps.build.manifest_file import manifest_schema

    return "\n".join(f"- `{field.name}` ({field.type})" for field in manifest_schema())


def usage(command: str) -> str:
    """What `labelloop COMMAND --help` prints."""
    from labelloop.cli.main import group

    found: click.Command = group
    context = click.Context(
        group, info_name="labelloop", terminal_width=80, **group.context_settings
    )
    for name in command.split():
        assert isinstance(found, click.Group)  # noqa: S101  only groups have commands below them
        below = found.get_command(context, name)
        if below is None:
            raise KeyError(f"no command labelloop {command}")
        found = below
        context = click.Context(found, info_name=name, parent=context)
    return f"```text\n{found.get_help(context)}\n```"


def rooms(_: str) -> str:
    """The rooms of the source, from the top to the bottom, each with its sentence."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    lines = ["| room | what is in it |", "| --- | --- |"]
    for name in (name for layer in layers for name in layer.split(" | ")):
        at = ROOT / "src" / name.replace(".", "/")
        source = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
        doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
        path = name.removeprefix("labelloop.") + ("/" if at.is_dir() else ".py")
        sentence = " ".join(doc.partition("\n\n")[0].split()).replace("|", "\\|")
        lines.append(f"| `{path}` | {sentence} |")
    return "\n".join(lines)


def json_schema() -> dict[str, Any]:
    """The schema of what commands print with --json."""
    from labelloop.cli.kinds import KINDS
    from labelloop.views.json_schema import schema

    return schema({kind: of for kind, (_, of) in KINDS.items()})


def json_kinds(_: str) -> str:
    """The kinds of documents, the commands that print them, and what their results are."""
    from labelloop.cli.kinds import KINDS

    lines = ["| kind | printed by | result |", "| --- | --- | --- |"]
    made = {each["title"]: each["properties"]["result"] for each in json_schema()["oneOf"]}
    for kind, (command, _) in KINDS.items():
        lines.append(f"| `{kind}` | `labelloop {command}` | {_json_type(made[kind])} |")
    return "\n".join(lines).replace("`labelloop any command that fails`", "a command that fails")


def json_types(_: str) -> str:
    """The fields of every type that a result is made of."""
    lines: list[str] = []
    for name, held in json_schema()["$defs"].items():
        lines += [f"### {name}", "", held["description"], "", "| field | type | |"]
        lines.append("| --- | --- | --- |")
        for field, of in held["properties"].items():
            lines.append(f"| `{field}` | {_json_type(of)} | {of.get('description', '')} |")
        lines.append("")
    return "\n".join(lines)


def _json_type(of: dict[str, Any]) -> str:
    """A type in a few words."""
    if "$ref" in of:
        name = of["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in of:
        return " or ".join(_json_type(each) for each in of["anyOf"])
    if "enum" in of:
        return ", ".join(f"`{value}`" for value in of["enum"])
    if "prefixItems" in of:
        return f"[{', '.join(_json_type(each) for each in of['prefixItems'])}]"
    if of["type"] == "array":
        return f"list of {_json_type(of['items'])}"
    if of["type"] == "object":
        return f"by name: {_json_type(of['additionalProperties'])}"
    named = of["type"] if isinstance(of["type"], list) else [of["type"]]
    return " or ".join(named) + (f" ({of['format']})" if "format" in of else "")


PARTS: dict[str, Callable[[str], str]] = {
    "settings": settings,
    "table": ledger_table,
    "states": task_states,
    "columns": where_columns,
    "log": log_table,
    "manifest": manifest_columns,
    "rooms": rooms,
    "json-kinds": json_kinds,
    "json-types": json_types,
    "usage": usage,
}


def main() -> None:
    """Bring every page up to date."""
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = generated(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            click.echo(f"rewritten: {path.relative_to(ROOT)}")
    write_schema(SCHEMA, json_schema())


def write_schema(path: Path, now: dict[str, Any]) -> None:
    """Bring the JSON Schema up to date.

    Raises:
        click.ClickException: programs that read the JSON would break, and CONTRACT is as it was.
    """
    from labelloop.views.json_schema import breaks

    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else now
    if found := breaks(before, now):
        told = "\n".join(f"  - {each}" for each in found)
        raise click.ClickException(
            f"programs that read the JSON of --json would break:\n{told}\n"
            "Keep these fields, or raise CONTRACT in labelloop/views/json_form.py."
        )
    if before != now or not path.exists():
        path.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        click.echo(f"rewritten: {path.name}")


if __name__ == "__main__":
    try:
        main()
    except click.ClickException as exc:
        exc.show()
        sys.exit(1)
