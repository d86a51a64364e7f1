"""datasets: list, show, compare and export versions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.common import name_and_version, opened, print_json, with_config
from labelloop.cli.screen import print_tables, wrapped
from labelloop.views.tables import datasets as tables
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from labelloop.exports.imagefolder import FolderKind


@click.group(name="datasets")
def command() -> None:
    """List, show, compare and export dataset versions. NAME is `training`, or `training@3` for version 3."""


@command.command("list")
@with_config
def list_versions(config: Path, as_json: bool) -> None:
    """List every released version."""
    with opened(config, quiet=as_json) as loop:
        versions = loop.datasets()
        if as_json:
            print_json("datasets", versions)
            return
        if not versions:
            click.echo("no version yet: `labelloop build` releases one when a label may go into it")
            return
        print_tables([tables.versions(versions, loop.settings.project.timezone)])


@command.command("show")
@click.argument("name")
@with_config
def show(config: Path, as_json: bool, name: str) -> None:
    """Show one version: its folder, its content and its guarantee."""
    from labelloop.views.dataset import contents

    with opened(config, quiet=as_json) as loop:
        found = contents(loop.dataset(*name_and_version(name)))
        if as_json:
            print_json("dataset", found)
            return
        version = found.version
        click.echo(f"{version.name} v{version.version} in {version.uri}")
        click.echo(f"content hash {version.content_hash}")
        if version.redacted_from is not None:
            click.echo(f"redacted by `labelloop forget`; it was {version.redacted_from}")
        click.echo(
            f"{version.n_human:,} labels by people, {version.n_model:,} by the model "
            f"({version.n_certified:,} with a guarantee)"
        )
        if found.guarantee is not None:
            click.echo(wrapped(f"model labels: {found.guarantee}", 2))
        for label, n in found.by_label.items():
            click.echo(f"  {n:>9,}  {label}")


@command.command("diff")
@click.argument("old")
@click.argument("new")
@with_config
def diff(config: Path, as_json: bool, old: str, new: str) -> None:
    """Show what changed from OLD to NEW. It lists samples added, removed or relabelled, and by whom."""
    with opened(config, quiet=as_json) as loop:
        versions = [loop.dataset(*name_and_version(name)) for name in (old, new)]
        found = loop.diff(*versions)
    if as_json:
        print_json("diff", found)
    elif not found.changes:
        click.echo(f"{found.old} and {found.new} hold the same {found.n_same:,} samples and labels")
    else:
        print_tables(tables.of_diff(found))


@command.command("suspects")
@click.argument("name", default="training")
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a model's answers, as `labelloop compare` takes it; a Parquet file may have a "
    "column `probabilities`. [default: the log's newest predictions]",
)
@click.option("--model", help="Only what this model said in the log.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many are listed.",
)
@with_config
def suspects(
    config: Path,
    as_json: bool,
    name: str,
    predictions: Path | None,
    model: str | None,
    limit: int,
) -> None:
    """List labels of a training version that a model contradicts. The surest contradiction comes first.

    The model must not have learned from these labels. Predictions in the log are older than the labels;
    for a file, predict out of fold. A queue with pick = "suspects" asks people again, blind.
    """
    if predictions and model:
        raise click.UsageError("--predictions and --model exclude each other")
    with opened(config, quiet=as_json) as loop:
        found = loop.suspects(
            *name_and_version(name), predictions=predictions, model=model, limit=limit
        )
    if as_json:
        print_json("suspects", found)
        return
    click.echo(
        wrapped(
            f"{found.version}: {found.n:,} of {found.n_judged:,} labels contradicted"
            + (f", {len(found.first):,} listed" if found.n > len(found.first) else ""),
            2,
        )
    )
    for line in tables.notes_on(found):
        click.echo(wrapped(line, 2))
    if found.first:
        print_tables([tables.suspects(found)])


@command.command("export")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--to",
    "to",
    type=click.Choice(["imagefolder", "csv", "jsonl", "huggingface", "webdataset"]),
    required=True,
    help="The format.",
)
@click.option(
    "--target",
    help="The folder or file to write. [default: NAME-vN-FORMAT or NAME-vN.csv in this folder] "
    "imagefolder also takes s3://BUCKET/PREFIX on the inputs' server; that server copies the images.",
)
@click.option(
    "--remove-old",
    is_flag=True,
    help="s3:// targets: delete images of earlier versions that aren't in this one.",
)
@click.option(
    "--folders",
    type=click.Choice(["names", "numbers"]),
    default="names",
    show_default=True,
    help="imagefolder: name folders after the classes, or class_00, class_01, ... in the order of "
    "`[project] classes`.",
)
@click.option(
    "--copy",
    is_flag=True,
    help="imagefolder: copy images that are on this machine already, instead of linking them.",
)
@with_config
def export(
    config: Path,
    as_json: bool,
    names: tuple[str, ...],
    to: str,
    target: str | None,
    remove_old: bool,
    folders: "FolderKind",
    copy: bool,
) -> None:
    """Write a version in a format that training tools read. If it was interrupted, run it again.

    The format `huggingface` takes several versions and makes each a split: training becomes `train`,
    evaluation becomes `test`.
    """
    with opened(config, quiet=as_json) as loop:
        from labelloop.exports.formats import FILES
        from labelloop.exports.target import GONE

        versions = [loop.dataset(*name_and_version(name)) for name in names]
        name = "-".join(f"{v.name}-v{v.version}" for v in versions)
        done = loop.export(
            versions,
            to,
            target or name + FILES.get(to, f"-{to}"),
            link=not copy,
            remove_old=remove_old,
            folder_kind=folders,
        )
        timezone = loop.settings.project.timezone
    if as_json:
        print_json("export", done)
        return
    what = "rows" if to in FILES else "samples"
    parts = [f"{done.n_written:,} {what} written to {done.target}"]
    if done.n_linked:
        parts[0] += f" ({done.n_linked:,} of them linked)"
    if done.n_there:
        parts.append(f"{done.n_there:,} there already")
    click.echo(", ".join(parts))
    if done.n_removed:
        click.echo(f"{done.n_removed:,} images of earlier versions removed")
    elif done.n_old:
        click.echo(
            f"{done.n_old:,} images of earlier versions are still there, though this one doesn't hold "
            "them, or under another label: --remove-old removes them"
        )
    if done.n_gone:
        click.echo(
            f"{done.n_gone:,} left out: the store has no such object any more, or another content "
            f"under its key; {done.target.rstrip('/')}/{GONE} lists them all; the first are"
        )
        for sample_id in done.gone:
            click.echo(f"  {plain(sample_id)}")
    for r in done.redacted:
        samples = "sample was" if r.n_rows == 1 else "samples were"
        click.echo(
            f"{r.n_rows:,} {samples} taken out of {r.dataset} v{r.version} since its release, by "
            f"`labelloop forget`, the last on {dated(r.at, timezone)}"
        )
        if r.exports:
            click.echo("Exports taken before hold them still; delete them yourself:")
        for place in r.exports:
            click.echo(f"  {plain(place)}")
