"""init: a first labelloop.toml for a bucket or a folder, and a Label Studio."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli import init_store, init_table
from labelloop.cli.asking import Asker, SettingValue, say
from labelloop.cli.common import print_json, with_config
from labelloop.errors import ArgumentError, LabelloopError

if TYPE_CHECKING:
    from labelloop.setup.proposal import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialized:
    """The file that was written, the variables that it names and that aren't set, and what was seen."""

    config: Path
    to_export: tuple[str, ...]
    seen: "Proposal"


@click.command(name="init")
@click.argument("uri", required=False)
@click.option("--yes", is_flag=True, help="Ask nothing: accept every suggestion.")
@click.option("--bucket", help="The bucket of the inputs, or s3://bucket/prefix.")
@click.option("--folder", help="The folder of the inputs, instead of a bucket.")
@click.option(
    "--source",
    help="A table of predictions, instead of tags: a folder, s3://bucket/prefix, or a file.",
)
@click.option("--blind-bucket", help="A writable bucket for image copies whose names tell nothing.")
@click.option("--endpoint-url", help="The URL of the S3 server.")
@click.option(
    "--annotator",
    type=click.Choice(("label-studio", "labelling-page")),
    default="label-studio",
    show_default=True,
    help="The tool in which people label; labelloop's own page needs a bucket or a folder and nothing else.",
)
@click.option("--label-studio-url", help="The URL of Label Studio.")
@click.option("--name", help="The project's name, which people see. [default: the bucket's name]")
@click.option(
    "--exclude",
    multiple=True,
    help="Files that aren't inputs, such as '*.txt' or 'thumbs/**'; repeat it for each.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="A class that the model can predict; repeat it for each.",
)
@with_config
def command(
    config: Path,
    as_json: bool,
    uri: str | None,
    yes: bool,
    bucket: str | None,
    folder: str | None,
    source: str | None,
    blind_bucket: str | None,
    endpoint_url: str | None,
    annotator: str,
    label_studio_url: str | None,
    name: str | None,
    exclude: tuple[str, ...],
    classes: tuple[str, ...],
) -> None:
    """Write a labelloop.toml that joins your inputs (bucket or folder) to Label Studio or the labelling page.

    URI is a folder or s3://bucket/prefix with inputs, or with the log of a serving platform: SageMaker,
    KServe, Databricks or Langfuse. Instead of URI, give --bucket or --folder; add
    --source if the predictions are elsewhere.

    It asks only for what it can't find in the environment, the inputs and Label Studio. It writes secrets as
    ${NAME}. It never overwrites a file, and only reads the inputs.
    """
    from labelloop.setup import first_settings
    from labelloop.setup.proposal import propose

    _refuse_existing(config)
    asker = Asker(yes or as_json)
    if uri is not None:
        bucket, folder = _place(uri, bucket or folder)
    place = init_store.inputs(
        asker, config, bucket=bucket, folder=folder, endpoint_url=endpoint_url
    )
    if uri is not None and source is None and init_table.is_log(place, uri):
        source = uri
        by_tags = propose([], [], n_listed=0)
    else:
        by_tags = init_store.look(asker, place, exclude)
    table = init_table.table(asker, place, config, by_tags, given=source)
    seen = by_tags if table is None else table.seen
    if table is None:
        _say_what_was_seen(by_tags)
    _say_history(seen)
    named = _classes(asker, seen, classes)
    studio: first_settings.LabelStudio | None = None
    blind, n_people = None, 0
    if annotator == "label-studio":
        texts = table is not None and "text" in table.answers.columns.columns
        blind = None if texts else init_store.blind_uri(asker, place, blind_bucket)
        url, token, n_people = _label_studio(asker, label_studio_url)
        studio = first_settings.LabelStudio(url=url.written, api_key=token.written)
    answers = first_settings.Answers(
        name=name or asker.text("Name of the project", suggested=place.name, flag="--name"),
        classes=named,
        store=place.written,
        is_folder=place.is_folder,
        exclude=by_tags.exclude,
        blind_uri=blind,
        table=None if table is None else table.answers,
        label_studio=studio,
        second_look=n_people > 1,
    )
    _write(config, first_settings.text(answers, seen), asker.to_export)
    if as_json:
        exported = tuple(asker.to_export)
        print_json("init", Initialized(config=config, to_export=exported, seen=seen))
        return
    for variable in asker.to_export:
        say(f"set {variable} before you run labelloop: the file names it", err=False)
    then = "run" if studio is not None else "serve"
    say(
        f"{config} is written: read it, then `labelloop doctor`, then `labelloop {then}`", err=False
    )


def _place(uri: str, other: str | None) -> tuple[str | None, str | None]:
    """The bucket or the folder that a URI names."""
    if other is not None:
        raise ArgumentError(
            f"{uri} and {other} were both given as the place of the inputs",
            remedy="leave out one of them",
        )
    return (uri, None) if uri.startswith("s3://") else (None, uri)


def _say_what_was_seen(seen: "Proposal") -> None:
    if not seen.n_tagged:
        return
    for key in ("predicted_class", "confidence", "timestamp"):
        tag = getattr(seen.names, key)
        found = "no tag seems to hold it" if key in seen.missing else f"tag {tag!r}"
        say(f"{key + ':':<17}{found}")
    if seen.per_day is not None:
        say(f"{'traffic:':<17}{seen.expected(1.0)}")


def _say_history(seen: "Proposal") -> None:
    """Say so where the first round would skip most of what is there."""
    from labelloop.doctor.glimpse import skipped_history
    from labelloop.settings.rounds import RoundSettings

    window = RoundSettings().first_window
    found = skipped_history(seen.times, now=datetime.now(UTC), first_window=window)
    if found is not None:
        for text in found:
            say(f"note: {text}")


def _classes(asker: Asker, seen: "Proposal", given: tuple[str, ...]) -> list[str]:
    from labelloop.reading.class_name import misspelt

    wrong = {c: usual for c, usual in misspelt(seen.classes).items() if c not in given}
    for name, usual in wrong.items():
        say(f"{'left out:':<17}class {name!r}, which only looks unlike {usual!r}")
    usable = [c for c in seen.classes if c == c.strip() and c.isprintable() and c not in wrong]
    found = list(dict.fromkeys([*usable, *given]))
    if found:
        say(f"{'classes seen:':<17}{', '.join(found)}", indent=17)
    once = [c for c in usable if seen.classes[c] == 1 and c not in given]
    if once and seen.n_looked_at > 5 * len(usable):
        say(f"{'seen only once:':<17}{', '.join(once)} (take out of the file what is misspelt)", 17)
    found += [c for c in asker.more("Another class (none: Enter)") if c not in found]
    if len(found) < 2:
        raise ArgumentError(
            f"{'only one class is' if found else 'no classes are'} known, and a model has two at least",
            remedy="name the classes (--class Bread --class Dessert), or give the table of "
            "predictions (--source)",
        )
    return found


def _label_studio(asker: Asker, given: str | None) -> tuple[SettingValue, SettingValue, int]:
    """Its URL, the token, and how many people belong to it, as far as it says."""
    from labelloop.project import draft

    url = asker.variable(
        "Label Studio", "Label Studio (URL)", given=given, flag="--label-studio-url"
    )
    token = asker.secret("token", "Label Studio's token")
    n_people = 0
    try:
        with draft.label_studio({"url": url.value, "api_key": token.value}) as annotator:
            facts = annotator.facts()
            say(f"Label Studio {facts.version}, as {facts.user}")
            n_people = len(annotator.accounts())
    except LabelloopError as exc:
        say(f"{exc.args[0]}; the file is written all the same")
    return url, token, n_people


def _refuse_existing(config: Path) -> None:
    if config.exists():
        raise ArgumentError(
            f"{config} exists already, and `labelloop init` never overwrites a file",
            remedy="move the file away, or name another one with --config PATH",
        )
    if not config.parent.is_dir():
        raise ArgumentError(f"there is no folder {config.parent}", remedy="create the folder first")


def _write(config: Path, text: str, to_export: list[str]) -> None:
    """Write the file, and see that it loads."""
    from labelloop.settings.file import load

    with config.open("x", encoding="utf-8") as file:
        file.write(text)
    try:
        load(config, {**os.environ, **dict.fromkeys(to_export, "http://127.0.0.1")})
    except LabelloopError:
        config.unlink()
        raise
