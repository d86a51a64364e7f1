"""init: a first labelloop.toml for a bucket and a Label Studio."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.asking import Asker, Known
from labelloop.cli.common import Watch, print_json, with_config
from labelloop.errors import ArgumentError, LabelloopError, StoreDenied, StoreError

if TYPE_CHECKING:
    from labelloop.loop import Loop
    from labelloop.reports.proposal import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket and the keys to it. `settings` are [store]'s, with values; `written` as in the file."""

    settings: Mapping[str, str]
    written: Mapping[str, str]

    def at(self, uri: str) -> Mapping[str, str]:
        """The settings of the place, for another uri."""
        return {**self.settings, "uri": uri}


@click.command(name="init")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is found and suggested.")
@click.option("--bucket", help="The bucket of the inputs, or s3://bucket/prefix.")
@click.option("--blind-bucket", help="A writable bucket for copies with random names.")
@click.option("--endpoint-url", help="The S3 server.")
@click.option("--label-studio-url", help="Label Studio.")
@click.option("--name", help="What people see in Label Studio; the bucket's name if left out.")
@click.option("--class", "classes", multiple=True, help="A class that the model can answer.")
@with_config
def command(
    config: Path,
    as_json: bool,
    yes: bool,
    bucket: str | None,
    blind_bucket: str | None,
    endpoint_url: str | None,
    label_studio_url: str | None,
    name: str | None,
    classes: tuple[str, ...],
) -> None:
    """Write a labelloop.toml for a bucket and a Label Studio.

    Asks only for what it can't find out from the environment, the bucket and Label Studio. Secrets are
    written as ${NAME}. An existing file is never overwritten; the bucket is only read.
    """
    from labelloop.reports import first_settings

    _refuse_existing(config)
    asker = Asker(yes or as_json)
    place = _place(asker, endpoint_url)
    uri = _bucket_uri(asker, place, bucket)
    seen = _look(place, uri)
    _say_what_was_seen(seen)
    named = _classes(asker, seen, classes)
    blind = _blind_uri(asker, place, uri, blind_bucket)
    studio, token = _label_studio(asker, place, label_studio_url)
    suggested = name or uri.removeprefix("s3://").partition("/")[0]
    answers = first_settings.Answers(
        name=name or asker.text("Name for Label Studio", suggested=suggested, flag="--name"),
        classes=named,
        uri=uri,
        endpoint_url=place.written.get("endpoint_url"),
        access_key=place.written.get("access_key"),
        secret_key=place.written.get("secret_key"),
        session_token=place.written.get("session_token"),
        region=place.written.get("region"),
        blind_uri=blind,
        label_studio_url=studio.written,
        api_key=token.written,
    )
    _write(config, first_settings.text(answers, seen), asker.to_export)
    if as_json:
        print_json({"config": config, "to_export": asker.to_export, "seen": seen})
        return
    for variable in asker.to_export:
        click.echo(f"set {variable} before you run labelloop: the file names it")
    click.echo(f"{config} is written: read it, then `labelloop doctor`, then `labelloop run`")


# --- the bucket -------------------------------------------------------------------------------


def _place(asker: Asker, endpoint_url: str | None) -> Place:
    endpoint = _known(endpoint_url) if endpoint_url else asker.from_environment("endpoint")
    if endpoint is None:
        suggested = "" if _knows_aws() else None
        typed = asker.text(
            "S3 server (URL; empty: AWS)", suggested=suggested, flag="--endpoint-url"
        )
        endpoint = _known(typed) if typed else None
    if endpoint is None:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        click.echo("AWS, with the credentials that its own tools find", err=True)
        found = {"region": _known(region)} if region else {}
    else:
        found = {
            "endpoint_url": endpoint,
            "access_key": asker.secret("access key", "Access key"),
            "secret_key": asker.secret("secret key", "Secret key"),
        }
        if found["access_key"].written == "${AWS_ACCESS_KEY_ID}" and os.environ.get(SESSION):
            found["session_token"] = Known(os.environ[SESSION], f"${{{SESSION}}}")
    return Place(
        settings={key: known.value for key, known in found.items()},
        written={key: known.written for key, known in found.items()},
    )


SESSION = "AWS_SESSION_TOKEN"


def _knows_aws() -> bool:
    """Whether AWS's own tools are set up here."""
    variables = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION")
    return any(os.environ.get(v) for v in variables) or (Path.home() / ".aws").is_dir()


def _known(value: str) -> Known:
    return Known(value, value)


def _bucket_uri(asker: Asker, place: Place, given: str | None) -> str:
    if given:
        return _as_uri(given)
    try:
        buckets = _buckets(place)
    except StoreDenied as exc:
        click.echo(f"the key may not list buckets ({exc.args[0]})", err=True)
        return _as_uri(asker.text("Bucket of the inputs", suggested=None, flag="--bucket"))
    usual = [name for name in buckets if "blind" not in name]
    if not usual:
        raise ArgumentError(
            "the server has no bucket for inputs",
            remedy="create one that the application writes to, or name it with --bucket",
        )
    return _as_uri(asker.choice("Which bucket holds the inputs", usual, flag="--bucket"))


def _as_uri(bucket: str) -> str:
    return bucket if bucket.startswith("s3://") else f"s3://{bucket}"


def _draft(store: Mapping[str, str], label_studio: Mapping[str, str]) -> "Loop":
    """A loop over settings that are being gathered: only its connections are used."""
    from pydantic import ValidationError

    from labelloop.config import Settings
    from labelloop.loop import Loop

    given: dict[str, Any] = {
        "project": {"name": "draft", "classes": ["a", "b"]},
        "store": dict(store),
        "label_studio": dict(label_studio),
        "queue": [{"name": "draft", "purpose": "training"}],
    }
    try:
        return Loop(Settings.model_validate(given))
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise ArgumentError(
            f"{where}: {fault['msg'].removeprefix('Value error, ')}",
            remedy="correct it, and run this again",
        ) from None


NOWHERE = {"url": "http://127.0.0.1:9", "api_key": "none"}


def _buckets(place: Place) -> list[str]:
    with _draft(place.at("s3://none"), NOWHERE) as loop:
        return loop.buckets()


def _look(place: Place, uri: str) -> "Proposal":
    from labelloop.reports.glimpse import glimpse
    from labelloop.reports.proposal import propose

    with Watch() as watch, _draft(place.at(uri), NOWHERE) as loop:
        found = glimpse(loop.store, progress=watch)
        tagged = list(loop.store.tags(found.objects))
    click.echo(f"{uri} holds {found.listed}; {len(tagged):,} were looked at", err=True)
    return propose(
        [tags for _, tags in tagged],
        [of.last_modified for of, _ in tagged],
        n_listed=found.n_listed,
    )


def _say_what_was_seen(seen: "Proposal") -> None:
    if not seen.n_looked_at:
        click.echo("it is empty: tags and classes can't be proposed", err=True)
        return
    called = {
        key: getattr(seen.names, key) for key in ("predicted_class", "confidence", "timestamp")
    }
    for key, tag in called.items():
        found = "no tag seems to hold it" if key in seen.missing else f"tag {tag!r}"
        click.echo(f"{key + ':':<17}{found}", err=True)
    click.echo(f"{'traffic:':<17}{seen.expected(1.0)}", err=True)


def _classes(asker: Asker, seen: "Proposal", given: tuple[str, ...]) -> list[str]:
    usable = [c for c in seen.classes if c == c.strip() and c.isprintable()]
    found = list(dict.fromkeys([*usable, *given]))
    if found:
        click.echo(f"{'classes seen:':<17}{', '.join(found)}", err=True)
    found += [c for c in asker.more("Another class (none: Enter)") if c not in found]
    if len(found) < 2:
        raise ArgumentError(
            f"{'only one class is' if found else 'no classes are'} known, and a model has two at least",
            remedy="name them: --class Bread --class Dessert",
        )
    return found


def _blind_uri(asker: Asker, place: Place, uri: str, given: str | None) -> str:
    if given is None:
        try:
            there = [name for name in _buckets(place) if "blind" in name]
        except StoreError:
            there = []
        suggested = there[0] if there else f"{uri.removeprefix('s3://').partition('/')[0]}-blind"
        given = asker.text("Bucket for blind copies", suggested=suggested, flag="--blind-bucket")
    blind = _as_uri(given)
    try:
        with _draft(place.at(uri), NOWHERE) as loop:
            loop.store.check_writable(blind)
    except StoreError as exc:
        click.echo(f"{blind} can't be written yet: {exc.args[0]}", err=True)
    return blind


# --- Label Studio and the file ----------------------------------------------------------------


def _label_studio(asker: Asker, place: Place, given: str | None) -> tuple[Known, Known]:
    url = asker.variable(
        "Label Studio", "Label Studio (URL)", given=given, flag="--label-studio-url"
    )
    token = asker.secret("token", "Label Studio's token")
    try:
        with _draft(place.at("s3://none"), {"url": url.value, "api_key": token.value}) as loop:
            facts = loop.annotator.facts()
        click.echo(f"Label Studio {facts.version}, as {facts.user}", err=True)
    except LabelloopError as exc:
        click.echo(f"{exc.args[0]}; the file is written all the same", err=True)
    return url, token


def _refuse_existing(config: Path) -> None:
    if config.exists():
        raise ArgumentError(
            f"{config} exists, and is never overwritten",
            remedy="move it away, or name another file: --config PATH",
        )
    if not config.parent.is_dir():
        raise ArgumentError(f"there is no folder {config.parent}", remedy="make it first")


def _write(config: Path, text: str, to_export: list[str]) -> None:
    """Write the file, and see that it loads."""
    from labelloop.config import load

    with config.open("x", encoding="utf-8") as file:
        file.write(text)
    try:
        load(config, {**os.environ, **dict.fromkeys(to_export, "http://127.0.0.1")})
    except LabelloopError:
        config.unlink()
        raise
