"""Finding things out before asking for them: the environment first, then the person."""

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import click

from labelloop.cli.screen import wrapped
from labelloop.errors import ArgumentError

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "endpoint": ("MINIO_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "access key": ("MINIO_USER", "AWS_ACCESS_KEY_ID", "MINIO_ROOT_USER"),
    "secret key": ("MINIO_PASSWORD", "AWS_SECRET_ACCESS_KEY", "MINIO_ROOT_PASSWORD"),
    "Label Studio": ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"),
    "token": ("LABEL_STUDIO_USER_TOKEN", "LABEL_STUDIO_API_KEY"),
}
"""Where each thing may stand. The first name is the one written where none of them is set."""

_NEEDED: Mapping[str, tuple[str, str]] = {
    "access key": ("access key for the bucket", "MINIO_USER and MINIO_PASSWORD"),
    "secret key": ("secret key for the bucket", "MINIO_PASSWORD"),
    "token": ("Label Studio token", "LABEL_STUDIO_USER_TOKEN"),
}
"""What each secret is called where it is missing, and the variables to set then."""

_SHOWN = 4
"""So many values of a tag or column are shown where it is to be chosen."""


def say(text: str, indent: int = 0, *, err: bool = True) -> None:
    """Tell the person something, on standard error unless it is the result."""
    click.echo(wrapped(text, indent, file_descriptor=2 if err else 1), err=err)


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A value, and how labelloop.toml names it: as it is, or by ${NAME}."""

    value: str
    written: str


def is_address(text: str) -> bool:
    """Whether it begins as a URL does."""
    return text.startswith(("http://", "https://"))


@dataclass
class Asker:
    """Asks a person on a terminal; elsewhere, and with `yes`, takes what is suggested."""

    yes: bool
    to_export: list[str] = field(default_factory=list)
    """The variables that must be set before the file can be used."""

    @property
    def silent(self) -> bool:
        """Whether nobody can be asked."""
        return self.yes or not sys.stdin.isatty()

    def variable(self, what: str, question: str, *, given: str | None, flag: str) -> SettingValue:
        """An address: given, from the environment, or asked for and written as it is.

        Raises:
            ArgumentError: what is given, or what the environment holds, is no URL.
        """
        known = SettingValue(given, given) if given else self.from_environment(what)
        if known is None:
            return self._address(question, flag)
        if not is_address(known.value):
            raise ArgumentError(
                f"{what}: {known.value} isn't a URL: a URL begins with http:// or https://",
                remedy=f"correct {flag if given else known.written[2:-1]}, and run this again",
            )
        return known

    def secret(self, what: str, question: str) -> SettingValue:
        """A secret: from the environment, or asked for unseen. It is never written."""
        found = self.from_environment(what)
        if found is not None:
            return found
        name = VARIABLES[what][0]
        if self.silent:
            needed, names = _NEEDED[what]
            raise ArgumentError(
                f"no {needed} was given", remedy=f"set {names}, then run this again"
            )
        value = click.prompt(
            f"{question} (not shown, and not written to the file)", hide_input=True
        )
        self.to_export.append(name)
        return SettingValue(value, f"${{{name}}}")

    def from_environment(self, what: str) -> SettingValue | None:
        """What one of the usual variables holds."""
        for name in VARIABLES[what]:
            value = os.environ.get(name)
            if value:
                say(f"{what + ':':<14} ${name}")
                return SettingValue(value, f"${{{name}}}")
        return None

    def text(self, question: str, *, suggested: str | None, flag: str) -> str:
        """A text; where nobody can be asked, the suggested one."""
        if not self.silent:
            return str(click.prompt(question, default=suggested, show_default=bool(suggested)))
        if suggested is not None:
            return suggested
        raise ArgumentError(
            f"{question}: labelloop can't detect this by itself", remedy=f"give it with {flag}"
        )

    def choice(
        self, question: str, among: Mapping[str, Collection[str]] | list[str], *, flag: str
    ) -> str:
        """One of several; with some of what each holds, where that is known."""
        names = list(among)
        if len(names) == 1:
            return names[0]
        if self.silent:
            raise ArgumentError(
                f"{question}: there are several: {', '.join(names)}",
                remedy=f"choose one with {flag}",
            )
        for number, name in enumerate(names, start=1):
            held = sorted(among[name]) if isinstance(among, Mapping) else []
            shown = ", ".join(held[:_SHOWN]) + (" ..." if len(held) > _SHOWN else "")
            click.echo(wrapped(f"  {number:>3}  {name}{':  ' if held else ''}{shown}", 7))
        number = click.prompt(question, type=click.IntRange(1, len(names)))
        return names[number - 1]

    def more(self, question: str) -> list[str]:
        """Further names, one a line, until an empty one."""
        found: list[str] = []
        while not self.silent:
            name = str(click.prompt(question, default="", show_default=False)).strip()
            if not name:
                break
            found.append(name)
        return found

    def _address(self, question: str, flag: str) -> SettingValue:
        value = self.text(question, suggested=None, flag=flag).strip()
        while not is_address(value):
            say(f"{value} is no URL: it begins with http:// or https://")
            value = self.text(question, suggested=None, flag=flag).strip()
        return SettingValue(value, value)
