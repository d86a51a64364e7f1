"""init: where the inputs lie, and what is seen there."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.cli.asking import Asker, SettingValue, is_address, say
from labelloop.cli.common import Watch
from labelloop.errors import ArgumentError, StoreDenied, StoreError

if TYPE_CHECKING:
    from labelloop.setup.proposal import Proposal

SESSION = "AWS_SESSION_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the inputs lie. `settings` are [store]'s, with values; `written` as in the file."""

    settings: Mapping[str, str]
    written: Mapping[str, str]

    @property
    def uri(self) -> str:
        """The uri with its values."""
        return self.settings["uri"]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.uri.startswith("file:")

    @property
    def name(self) -> str:
        """What the inputs may be called: the bucket, or the folder."""
        if self.is_folder:
            return Path(self.written["uri"]).expanduser().resolve().name
        return self.uri.removeprefix("s3://").partition("/")[0]

    def at(self, uri: str) -> "Place":
        """Another place on the same server."""
        return Place(settings={**self.settings, "uri": uri}, written={**self.written, "uri": uri})


def inputs(
    asker: Asker, config: Path, *, bucket: str | None, folder: str | None, endpoint_url: str | None
) -> Place:
    """The bucket or the folder: given, found, or asked for."""
    if folder is not None:
        if bucket is not None or endpoint_url is not None:
            raise ArgumentError(
                "--folder replaces a bucket, so it can't be given together with --bucket or "
                "--endpoint-url",
                remedy="leave out either --folder, or --bucket and --endpoint-url",
            )
        return _folder(folder, config)
    endpoint = _known(endpoint_url) if endpoint_url else asker.from_environment("endpoint")
    if endpoint is None:
        typed = _server_or_folder(asker, bucket)
        if typed and not is_address(typed):
            return _folder(typed, config)
        endpoint = _known(typed) if typed else None
    server = _server(asker, endpoint)
    return server.at(_bucket_uri(asker, server, bucket))


def _server_or_folder(asker: Asker, bucket: str | None) -> str:
    """A URL, or a folder that is there; empty for AWS."""
    aws = _knows_aws()
    if asker.silent and not aws:
        if bucket is not None:
            raise ArgumentError(
                f"the URL of the S3 server of bucket {bucket} is missing",
                remedy="give it with --endpoint-url; for AWS, set AWS_REGION",
            )
        raise ArgumentError(
            "no inputs were named",
            remedy="give URI, --folder, or --bucket together with --endpoint-url",
        )
    while True:
        typed = asker.text(
            "Inputs: an S3 server's URL, or a folder" + (" (AWS: Enter)" if aws else ""),
            suggested="" if aws else None,
            flag="--endpoint-url or --folder",
        ).strip()
        if not typed or is_address(typed) or Path(typed).expanduser().is_dir():
            return typed
        say(f"{typed} is neither a folder nor a URL, which begins with http:// or https://")


def look(asker: Asker, place: Place, exclude: Sequence[str]) -> "Proposal":
    """What some hundred inputs say; where several tags could hold the class, the person says which.

    `exclude`: patterns of files to leave out, beside those that are never inputs.
    """
    from labelloop.adapters.folder.store import INLINE_BYTES
    from labelloop.doctor.glimpse import glimpse, unshown
    from labelloop.project import draft
    from labelloop.reading.exclude import NEVER_INPUTS, Exclude
    from labelloop.setup.proposal import propose

    with Watch() as watch, draft.store(place.settings) as store:
        left_out = Exclude([*exclude, *NEVER_INPUTS])
        found = glimpse(store, progress=watch, exclude=left_out)
        tagged = list(store.tags(found.objects))
    if not found.n_listed:
        say(
            f"{place.written['uri']} holds no input, and no log that labelloop knows: tags and "
            "classes can't be proposed"
        )
        return propose([], [], n_listed=0, exclude=tuple(exclude))
    n = len(tagged)
    looked = "all were looked at" if n == found.n_listed else f"{n:,} were looked at"
    say(f"{place.written['uri']} holds {found.listed}; {looked}")
    shown = unshown(found.objects)
    if shown is not None:
        say(f"note: {shown}")
    others = [p for p in NEVER_INPUTS if p not in exclude]
    beside = [p for p in others if any(map(Exclude([p]).matches, found.excluded))]
    if found.excluded:
        say(f"{'left out:':<17}{', '.join([*exclude, *beside])}, such as {found.excluded[0]}")
    large = [of for of in found.objects if place.is_folder and of.size_bytes > INLINE_BYTES]
    proposed = partial(
        propose,
        [tags for _, tags in tagged],
        [of.last_modified for of, _ in tagged],
        n_listed=found.n_listed,
        n_large=len(large),
        exclude=(*exclude, *beside),
    )
    seen = proposed()
    if len(seen.could_be_classes) < 2 or asker.silent:
        return seen
    question = "Which tag holds the predicted class"
    return proposed(predicted_class=asker.choice(question, seen.could_be_classes, flag="--class"))


def blind_uri(asker: Asker, place: Place, given: str | None) -> str | None:
    """The bucket for blind copies; a folder needs none as long as images travel inside the tasks."""
    from labelloop.project import draft

    if place.is_folder:
        return None
    if given is None:
        try:
            there = [name for name in _buckets(place) if "blind" in name]
        except StoreError:
            there = []
        suggested = there[0] if there else f"{place.name}-blind"
        given = asker.text("Bucket for blind copies", suggested=suggested, flag="--blind-bucket")
    blind = _as_uri(given)
    try:
        with draft.store(place.settings) as store:
            store.check_writable(blind)
    except StoreError as exc:
        say(f"{blind} can't be written yet: {exc.args[0]}")
        say(f"remedy: {exc.remedy}")
    return blind


# --- a folder ---------------------------------------------------------------------------------


def _folder(typed: str, config: Path) -> Place:
    path = Path(typed).expanduser()
    if not path.is_dir():
        raise ArgumentError(f"there is no folder {typed}", remedy="correct the path")
    at = path.resolve()
    if config.resolve().is_relative_to(at):
        raise ArgumentError(
            f"{config} would be inside the folder of the inputs, and would be taken for an input",
            remedy="run `labelloop init` in another folder, and give the folder of the inputs with "
            "--folder",
        )
    return Place(settings={"uri": at.as_uri()}, written={"uri": from_config(typed, config)})


def from_config(typed: str, config: Path) -> str:
    """A path typed here, as a file at `config` may name it: relative ones start there."""
    path = Path(typed).expanduser()
    if path.is_absolute() or config.resolve().parent != Path.cwd():
        return str(path.resolve())
    return typed


# --- a bucket ---------------------------------------------------------------------------------


def _server(asker: Asker, endpoint: SettingValue | None) -> Place:
    """The server and its keys, at no bucket yet."""
    if endpoint is None:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        say("AWS, with the credentials that its own tools find")
        found = {"region": _known(region)} if region else {}
    else:
        found = {
            "endpoint_url": endpoint,
            "access_key": asker.secret("access key", "Access key"),
            "secret_key": asker.secret("secret key", "Secret key"),
        }
        if found["access_key"].written == "${AWS_ACCESS_KEY_ID}" and os.environ.get(SESSION):
            found["session_token"] = SettingValue(os.environ[SESSION], f"${{{SESSION}}}")
    return Place(
        settings={key: known.value for key, known in found.items()},
        written={key: known.written for key, known in found.items()},
    )


def _knows_aws() -> bool:
    """Whether AWS's own tools are set up here."""
    variables = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION")
    return any(os.environ.get(v) for v in variables) or (Path.home() / ".aws").is_dir()


def _known(value: str) -> SettingValue:
    return SettingValue(value, value)


def _bucket_uri(asker: Asker, server: Place, given: str | None) -> str:
    if given:
        return _as_uri(given)
    try:
        buckets = _buckets(server)
    except StoreDenied as exc:
        say(f"the key may not list buckets ({exc.args[0]})")
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


def _buckets(server: Place) -> list[str]:
    from labelloop.project import draft

    return draft.buckets(server.settings)
