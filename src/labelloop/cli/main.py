"""The group of commands, and the edge where errors become messages and exit codes."""

import atexit
import gc
import os
import sys
from importlib import import_module

import click

from labelloop import __version__
from labelloop.cli.screen import wrapped
from labelloop.errors import LabelloopError

COMMANDS = {
    "run": ("verbs", "do all six steps once: index, collect, select, send, measure, build"),
    "index": ("verbs", "add new objects and their tags to the prediction log"),
    "collect": ("verbs", "fetch people's answers from Label Studio or the labelling page"),
    "select": ("verbs", "decide which samples people label"),
    "send": ("verbs", "send the selected samples to Label Studio or the labelling page"),
    "measure": ("verbs", "estimate the model's accuracy, with its interval, from blind labels"),
    "build": ("verbs", "release new versions of the evaluation and the training set"),
    "serve": ("serve", "do the steps whenever they are due, and answer over HTTP"),
    "people": ("people", "manage accounts and tokens for `labelloop serve`"),
    "status": ("status", "show the open tasks, what blocks them, and what was rejected"),
    "compare": ("compare", "compare a candidate with the serving model on the same blind labels"),
    "plan": ("plan", "say how many blind labels a narrower interval needs"),
    "report": ("report", "show the numbers over time and by class, as text, a page or pictures"),
    "snapshot": ("snapshot", "let others see the report as it is now, by a link that expires"),
    "datasets": ("datasets", "list, show, compare and export dataset versions"),
    "forget": ("forget", "erase samples because a person asked for it"),
    "log": ("log", "tidy the prediction log, so that reading it stays fast"),
    "notify": ("notify", "list undelivered notifications, deliver them again, test the receivers"),
    "init": ("init", "write a labelloop.toml for a bucket or a folder"),
    "ledger": ("ledger", "back up, restore, move or rebuild the ledger: rounds, tasks and labels"),
    "doctor": ("doctor", "check connections, rights, clocks and addresses, and say what to do"),
    "demo": ("demo", "try everything on this machine, with real servers and real images"),
}


class _Commands(click.Group):
    """Commands by name, imported when they are needed: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  fixed by click
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  fixed by click
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"labelloop.cli.{COMMANDS[cmd_name][0]}")
        found = getattr(module, "command", None) or module.commands[cmd_name]
        assert isinstance(found, click.Command)  # noqa: S101  each module offers its commands so
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"no command {name!r}.{hint} `labelloop --help` lists them.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  fixed by click
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="labelloop")
def group() -> None:
    """Close the feedback loop of a model in production.

    labelloop reads what the model said about production inputs, chooses which of them people label
    (in Label Studio or on labelloop's own page), and turns the answers into an honest accuracy and a
    dataset to train the next model on.
    """


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 an error with its message, 2 wrong usage.

    With --json an error is a document on standard output, as a result is.
    """
    _start_quickly()
    as_json = "--json" in sys.argv
    try:
        code = group(standalone_mode=False)
    except LabelloopError as exc:
        if as_json:
            _print_as_json(exc)
        else:
            show_error(exc)
        sys.exit(1)
    except click.UsageError as exc:
        if as_json:
            _print_as_json(exc)
        else:
            exc.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped: nothing is lost; run the same command again", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _start_quickly() -> None:
    """Leave out what commands gain nothing by: a quarter of what `status` would cost."""
    gc.set_threshold(50_000, 20, 20)  # imports make hundreds of thousands of objects, and all stay
    atexit.register(_end_quickly)
    # pydantic would look into every installed package for plugins
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # matrices here are small: threads of linear algebra would only wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _end_quickly() -> None:
    """Let Python not look through all that was imported for garbage before it ends."""
    if (
        "duckdb" not in sys.modules
    ):  # at the end it complains of each object of its own that is left
        gc.freeze()


def _print_as_json(error: LabelloopError | click.UsageError) -> None:
    """Print an error as the document that it is with --json."""
    from labelloop.views.json_form import document, failure

    if isinstance(error, LabelloopError):
        click.echo(document("error", error))
        return
    command = error.ctx.command_path if error.ctx else "labelloop"
    remedy = f"`{command} --help` says how it is called"
    click.echo(document("error", failure("UsageError", error.format_message(), remedy)))


def show_error(error: LabelloopError) -> None:
    """Print what failed and what to do."""
    for word, said, colour in (("error: ", error.args[0], "red"), ("remedy: ", error.remedy, None)):
        if said:
            lines = wrapped(f"{word}{said}", len(word), file_descriptor=2)
            click.secho(word, fg=colour, bold=True, nl=False, err=True)
            click.echo(lines[len(word) :], err=True)
