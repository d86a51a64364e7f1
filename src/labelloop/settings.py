"""Settings: every setting is declared, documented and checked here, once."""

import re
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from labelloop.core.answers import Answers
from labelloop.core.certificate import Terms
from labelloop.core.queue import Purpose, Queue
from labelloop.core.where import Where
from labelloop.errors import WhereError

MAX_PRESIGN_LIFE = timedelta(days=7)
SHOWABLE = ("predicted_class", "confidence", "corrected_class", "flagged")

_SECRET_OPTION = re.compile(r"(?i)secret|password|token|credential|access[.]?key")
SECONDS_OF = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def duration(text: object) -> timedelta:
    """The span of time that `text` names: a number and a unit.

    Raises:
        ValueError: it names none.

    >>> duration("7 days"), duration("1 hour")
    (datetime.timedelta(days=7), datetime.timedelta(seconds=3600))
    """
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*", str(text))
    if not found or found[2] not in SECONDS_OF:
        raise ValueError("expected a number and a unit, such as '7 days', '12 hours', '90 seconds'")
    try:
        return timedelta(seconds=float(found[1]) * SECONDS_OF[found[2]])
    except OverflowError:
        raise ValueError("expected a span of time that ends before the year 9999") from None


def _web_address(value: str) -> str:
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError("expected a URL that begins with http:// or https://")
    return _open_to_all(value.rstrip("/"))


def _open_to_all(value: str) -> str:
    """A URI that may be shown, as it holds no password."""
    if re.match(r"[a-z0-9+.-]+://[^/?#]*@", value, re.IGNORECASE):
        raise ValueError("it holds a user or a password, and this setting is shown in messages")
    return value


def _place(value: str) -> str:
    if not re.fullmatch(r"s3://[^/]+(/.*)?|file:///.+", value):
        raise ValueError("expected s3://bucket, s3://bucket/prefix, or the path of a folder")
    return _open_to_all(value)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError("expected a name of the IANA list, such as 'Europe/Zurich'") from exc
    return value


def _condition(value: str) -> str:
    try:
        Where.parse(value)
    except WhereError as exc:
        said = exc.args[0].removeprefix(f"where = {value!r}").removeprefix(": ").strip()
        raise ValueError(f"{said}; {exc.remedy}") from exc
    return value


def _spark_option(value: object) -> object:
    """The text that Spark takes for a value of TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Duration = Annotated[timedelta, BeforeValidator(duration)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
PlaceUri = Annotated[str, AfterValidator(_place)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ProjectSettings(_Section):
    """What the model is and what it can answer."""

    name: str = Field(min_length=1, description="The name people see in Label Studio.")
    classes: list[str] = Field(
        min_length=2, description="The model's classes, spelled as in the predictions."
    )
    extra_answers: list[str] = Field(
        default_factory=list,
        description="Answers that people may give beside the classes, such as `Not food`. Whatever the "
        "model said is then wrong; they are no class to train.",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC", description="Where days are cut, for reports by day. All instants are UTC."
    )
    invalid_prediction: Literal["set-aside", "wrong"] = Field(
        "set-aside",
        description="What an answer is that names no class. `wrong`: it stays in the traffic and counts "
        "as an error, whatever people answer, as a language model's unusable answer is one.",
    )

    @model_validator(mode="after")
    def _classes_are_names(self) -> "ProjectSettings":
        every = [*self.classes, *self.extra_answers]
        for name in every:
            if not name or name != name.strip() or not name.isprintable():
                raise ValueError(
                    f"class {name!r}: expected printable text without blanks at its ends"
                )
        twice = sorted({name for name in every if every.count(name) > 1})
        if twice:
            raise ValueError(f"class {twice[0]!r} is listed twice")
        return self


class ClassSettings(_Section):
    """A class by itself, in place of `classes` in [project]: for classes that had other names before."""

    name: str = Field(min_length=1, description="The class, as it is called now.")
    was: list[str] = Field(
        default_factory=list,
        description="Old names of it, and of classes that were merged into it. Predictions, labels and "
        "corrections under these count as the class.",
    )


class TagSettings(_Section):
    """How the application calls its tags. All other tags become attributes."""

    predicted_class: str = Field("predicted_class", description="The class the model predicted.")
    confidence: str = Field("confidence", description="Its confidence, 0 to 1; may be missing.")
    timestamp: str = Field(
        "timestamp",
        description="When it was predicted, ISO 8601, with Z or an offset; without either it is UTC.",
    )
    model: str = Field("model", description="The model's version; may be missing.")
    flagged: str = Field("flagged", description="`true` where a user flagged the answer.")
    corrected_class: str = Field("corrected_class", description="The class a user says is right.")
    shadow: str = Field(
        "shadow:",
        min_length=1,
        description="How a tag begins that holds the class a shadow model predicted; the model's name "
        "follows: `shadow:v3`.",
    )


class StoreSettings(_Section):
    """The S3-compatible bucket or the folder that holds the inputs. It may be read-only."""

    uri: PlaceUri = Field(
        description="`s3://bucket`, with a prefix where only part of it counts, or a folder: "
        "`file:///path` or a path, relative to the file."
    )
    was: list[PlaceUri] = Field(
        default_factory=list,
        description="What the bucket or folder was called before, where it was renamed and its contents "
        "stayed: inputs that were indexed there are found here.",
    )
    prefixes: list[str] = Field(
        default_factory=list,
        description="Folders below `uri`, where only these count; they are listed in turn.",
    )
    endpoint_url: WebAddress | None = Field(
        None, description="The server, as labelloop reaches it. Left out: AWS."
    )
    public_endpoint_url: WebAddress | None = Field(
        None,
        description="The server as an annotator's browser reaches it, if that differs. For a folder: "
        "where it is served; left out, images travel inside the tasks.",
    )
    access_key: SecretStr | None = Field(
        None,
        description="The access key. Left out: what AWS's own tools find, in the environment, the "
        "profile, or the role of the machine.",
    )
    secret_key: SecretStr | None = Field(None, description="The secret key.")
    session_token: SecretStr | None = Field(
        None, description="The session token that belongs to a temporary key."
    )
    profile: str | None = Field(
        None, min_length=1, description="A profile in `~/.aws`, in place of the keys."
    )
    region: str | None = Field(
        None,
        min_length=1,
        description="The region that signatures name; else the profile's, else `us-east-1`.",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Where URLs name the bucket: in the `path`, or in the host name (`virtual`). "
        "`auto`: in the path at an `endpoint_url`, in the host name at AWS.",
    )
    proxy: SecretStr | None = Field(
        None, description="An HTTP proxy to the server; else what `HTTPS_PROXY` and the like say."
    )
    ca_file: Path | None = Field(None, description="A CA bundle, for a server with its own CA.")
    timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(),
        description="How long an answer may take to begin. A copy of a large object is made before it is "
        "answered.",
    )
    presign_life: Duration = Field(
        timedelta(days=7), description="How long an image URL in a task works; 7 days at most."
    )
    blind_uri: PlaceUri | None = Field(
        None,
        description="A writable place for the copies that blind queues show: object keys often hold "
        "the predicted class.",
    )
    notifications: Path | None = Field(
        None,
        description="A file, or a folder of files, to which the bucket's notifications are appended, a "
        "line each. They take the place of most listings: see docs/notifications.md.",
    )
    list_every: Duration = Field(
        timedelta(days=7),
        gt=timedelta(),
        description="How often the bucket is listed all the same, where there are `notifications`: they "
        "can get lost.",
    )
    tags: TagSettings = Field(default_factory=lambda: TagSettings())

    @model_validator(mode="after")
    def _only_buckets_notify(self) -> "StoreSettings":
        if self.notifications is not None and self.is_folder:
            raise ValueError(
                f"notifications = {str(self.notifications)!r}: only buckets have any, and uri is a folder; "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _life_is_possible(self) -> "StoreSettings":
        if not timedelta(seconds=1) <= self.presign_life <= MAX_PRESIGN_LIFE:
            raise ValueError(
                f"presign_life is {self.presign_life}: S3 signatures last 1 second to 7 days"
            )
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "StoreSettings":
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together: give both, or neither")
        if self.profile is not None and self.access_key is not None:
            raise ValueError(
                "profile stands in place of access_key and secret_key: give one of them"
            )
        if self.session_token is not None and self.access_key is None:
            raise ValueError("session_token belongs to an access_key, which is missing")
        proxy = self.proxy.get_secret_value() if self.proxy else "http://none"
        if not re.match(r"https?://[^/\s]+", proxy):
            raise ValueError("proxy: expected a URL that begins with http:// or https://")
        return self

    @model_validator(mode="after")
    def _prefixes_are_apart(self) -> "StoreSettings":
        folders = sorted(f"{name.strip('/')}/" for name in self.prefixes)
        if "/" in folders:
            raise ValueError("a prefix is empty: name a folder below uri, such as 'images/'")
        if any(part in {".", ".."} for name in folders for part in name.split("/")):
            raise ValueError("a prefix holds . or ..: name a folder below uri")
        for outer, inner in pairwise(folders):
            if inner.startswith(outer):
                raise ValueError(f"prefix {inner!r} lies inside {outer!r}: it would count twice")
        return self

    @model_validator(mode="after")
    def _places_are_of_one_kind(self) -> "StoreSettings":
        if self.blind_uri and self.blind_uri.startswith("s3:") is self.is_folder:
            raise ValueError(
                "uri and blind_uri: one is a bucket and the other a folder; both must be of one kind. "
                "For inputs in a bucket name a second bucket, for those in a folder a second folder"
            )
        return self

    @model_validator(mode="after")
    def _was_another(self) -> "StoreSettings":
        for before in self.was:
            if before.startswith("s3:") is self.is_folder:
                raise ValueError(
                    f"was = {before!r}: uri is of another kind; expected one like {self.uri!r}"
                )
            if self.root_of(before) == self.root_of(self.uri):
                raise ValueError(f"was = {before!r} is what uri is: name what it was called before")
        return self

    def signed_by(self) -> str:
        """What tells the signer and the address of links from others, and neither of them."""
        key = self.access_key.get_secret_value() if self.access_key else self.profile or ""
        address = self.public_endpoint_url or self.endpoint_url or ""
        names = (key, address, self.region or "", self.addressing, self.root_of(self.uri))
        return sha256("\0".join(names).encode()).hexdigest()

    def root_of(self, uri: str) -> str:
        """The bucket of a uri, below which keys begin; of a folder the folder itself."""
        return uri.rstrip("/") if self.is_folder else "/".join(uri.split("/")[:3])

    @property
    def is_folder(self) -> bool:
        """Whether the inputs lie in a folder."""
        return self.uri.startswith("file:")

    def places(self) -> list[str]:
        """The uris that are listed."""
        names = [quote(name) if self.is_folder else name for name in self.prefixes]
        below = [f"{self.uri.rstrip('/')}/{name.strip('/')}" for name in names]
        return below or [self.uri]


class InputSettings(_Section):
    """What people label."""

    kind: Literal["image", "text"] = Field("image", description="What a sample is.")
    max_text_bytes: int = Field(
        100_000,
        ge=1,
        description="A longer text is set aside, or unavailable where only its object tells.",
    )


class ColumnSettings(_Section):
    """How the table calls its columns. Of those that may be missing, what is named must be there."""

    sample_id: str = Field("sample_id", description="The sample's identity.")
    predicted_class: str = Field("predicted_class", description="The class the model predicted.")
    predicted_at: str = Field(
        "predicted_at",
        description="When: timestamps, ISO 8601 text, or numbers counted in `predicted_at_unit`.",
    )
    confidence: str = Field("confidence", description="The model's confidence; may be missing.")
    model: str = Field("model", description="The model's version; may be missing.")
    role: str = Field(
        "role",
        description="`serving`, or `shadow` for a model that runs beside it; may be missing.",
    )
    probabilities: str = Field(
        "probabilities", description="A list of numbers, one a class; may be missing."
    )
    flagged: str = Field("flagged", description="True where a user flagged the answer.")
    corrected_class: str = Field("corrected_class", description="The class a user says is right.")
    content_hash: str | None = Field(
        None, description="A hash of the input's content, by which copies of it are known."
    )
    uri: str | None = Field(
        None,
        description="Where the input lies: a column, or a template of columns such as "
        "`s3://bucket/{request_id}.png`. Left out, `sample_id` is its key in `store.uri`.",
    )
    text: str | None = Field(
        None, description="The text to label. Left out, it is the object at the uri."
    )


class SourceSettings(_Section):
    """A table of predictions. Its rows take the place of the bucket's tags."""

    kind: Literal["parquet", "jsonl", "csv", "iceberg", "delta"] = Field(
        description="What the table is."
    )
    uri: Annotated[str, AfterValidator(_open_to_all)] = Field(
        "",
        description="A folder, s3://bucket/prefix on the server of the inputs, or one file. An Iceberg "
        "table has `catalog` and `table` in its place.",
    )
    catalog: SecretStr | None = Field(
        None, description="The Iceberg catalog: its URI, or its name in pyiceberg's own settings."
    )
    catalog_name: str = Field(
        "default", min_length=1, description="The name that an SQL catalog files its tables under."
    )
    table: str | None = Field(
        None, pattern=r"^[^.]+(\.[^.]+)+$", description="The Iceberg table: `namespace.name`."
    )
    with_tags: bool = Field(False, description="Read the bucket's tags as well.")
    confidence_divisor: float = Field(
        1.0, gt=0, description="What confidences are divided by: 100 for percent."
    )
    predicted_at_unit: Literal["seconds", "milliseconds", "microseconds", "nanoseconds"] | None = (
        Field(None, description="What numbers in `predicted_at` count, since 1970.")
    )
    attributes: list[str] = Field(
        default_factory=list,
        description='Other columns that a `where` may name as `attributes.NAME`; `["*"]` for all.',
    )
    columns: ColumnSettings = Field(default_factory=lambda: ColumnSettings())

    @model_validator(mode="after")
    def _names_a_table(self) -> "SourceSettings":
        if self.kind == "iceberg":
            if self.uri or not self.catalog or not self.table:
                raise ValueError('kind = "iceberg" needs catalog and table, and no uri')
        elif self.catalog or self.table:
            raise ValueError(f'catalog and table are for kind = "iceberg", not "{self.kind}"')
        elif not self.uri:
            raise ValueError(f'kind = "{self.kind}" needs a uri')
        return self


class LabelStudioSettings(_Section):
    """Where people label."""

    url: WebAddress = Field(description="Label Studio, as labelloop reaches it.")
    public_url: WebAddress | None = Field(
        None, description="Label Studio as people open it, if that differs."
    )
    api_key: SecretStr = Field(
        description="A personal access token or a legacy token, told apart by its form."
    )
    ca_file: Path | None = Field(None, description="A CA bundle, for a server with its own CA.")
    proxy: SecretStr | None = Field(
        None, description="An HTTP proxy to the server; else what `HTTPS_PROXY` and the like say."
    )
    timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(),
        description="How long a request may take before it is in doubt.",
    )

    @model_validator(mode="after")
    def _proxy_is_an_address(self) -> "LabelStudioSettings":
        if self.proxy is not None and not re.match(
            r"https?://[^/\s]+", self.proxy.get_secret_value()
        ):
            raise ValueError("proxy: expected a URL that begins with http:// or https://")
        return self


class StateSettings(_Section):
    """Where labelloop keeps what it knows. Paths are relative to labelloop.toml."""

    ledger: SecretStr = Field(
        SecretStr("sqlite:///.labelloop/ledger.db"),
        description="The ledger's database: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.",
    )
    warehouse: Annotated[str, AfterValidator(_open_to_all)] = Field(
        ".labelloop/log",
        description="The prediction log: a folder, or s3://bucket/prefix on the server of the inputs.",
    )
    catalog: SecretStr = Field(
        SecretStr("sqlite:///.labelloop/catalog.db"),
        description="The Iceberg catalog of the prediction log.",
    )
    datasets: Path = Field(
        Path(".labelloop/datasets"), description="The folder of the dataset versions."
    )


class EngineSettings(_Section):
    """What reads the prediction log when a round is selected."""

    kind: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="`duckdb`, in this process, or `spark`, for a log that one machine can't read in "
        "time; the draws are the same.",
    )
    master: Annotated[str, AfterValidator(_open_to_all)] | None = Field(
        None,
        min_length=1,
        description="Spark's master: `local[*]`, `spark://HOST:PORT`, `yarn`, `k8s://URL`. Left out: "
        "Spark's own default.",
    )
    options: dict[str, Annotated[SecretStr, BeforeValidator(_spark_option)]] = Field(
        default_factory=dict,
        description='Spark\'s own settings: `"spark.executor.memory" = "8g"`. Those that begin '
        "`spark.hadoop.` say how files are reached.",
    )

    @model_validator(mode="after")
    def _options_are_for_spark(self) -> "EngineSettings":
        if self.kind != "spark" and (self.master or self.options):
            raise ValueError('master and options are for kind = "spark"')
        for name in self.options:
            if not name.startswith("spark."):
                raise ValueError(f"option {name!r}: expected a name that begins with spark.")
            if not name.startswith("spark.hadoop.") and _SECRET_OPTION.search(name):
                raise ValueError(
                    f"option {name!r} would stand on Spark's command line for all to see: keep it in "
                    "spark-defaults.conf"
                )
        return self


class RoundSettings(_Section):
    """When samples are selected."""

    every: Duration = Field(
        timedelta(days=1), description="A round is due when this has passed since the last."
    )
    first_window: Duration = Field(
        timedelta(days=7), description="The first round skips predictions older than this."
    )
    feedback_horizon: Duration = Field(
        timedelta(days=2),
        description="How long after its upload an object's tags are read again: for feedback, and for "
        "tags that couldn't be read.",
    )


class QueueSettings(_Section):
    """A Label Studio project and the rule that feeds it; queues draw in the order of the file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,39}$",
        description="Letters, digits, `.`, `_`, `-` and blanks. A renamed queue is a new one.",
    )
    purpose: Literal["evaluation", "training"] = Field(
        description="`evaluation`: blind, feeds accuracies and the evaluation set. `training`: feeds "
        "the training set."
    )
    where: Annotated[str, AfterValidator(_condition)] | None = Field(
        None,
        description="Which predictions, as comparisons joined by and, or, not; training queues only. "
        "Tags without a column are `attributes.NAME`. One that names `flagged` or `corrected_class` "
        "draws feedback as it arrives.",
    )
    draw: Literal["uniform", "uncertainty"] = Field(
        "uniform",
        description="How an evaluation queue draws. `uncertainty`: 30% at random, the rest more often "
        "where the model is likely to be wrong; as precise with fewer labels.",
    )
    budget: int | None = Field(
        None, ge=1, description="Labels a round. A training queue without one takes every match."
    )
    annotators_per_sample: int = Field(
        1,
        ge=1,
        le=25,
        description="How many people answer each sample. Several: the label is the answer of most; where "
        "no answer has most, one more person is asked.",
    )
    overlap: float = Field(
        0.0,
        ge=0,
        le=1,
        description="The share of the samples that a second person answers, chosen by chance; it shows how "
        "far people agree. Where they don't, a third is asked.",
    )
    show: list[Literal["predicted_class", "confidence", "corrected_class", "flagged"]] = Field(
        default_factory=list,
        description="What annotators see beside the input; training queues only.",
    )
    images: Literal["presign", "label-studio"] = Field(
        "presign",
        description="Who signs the links to images: labelloop, for `presign_life`, or Label Studio, "
        "afresh at each view; then it is given the keys of [store].",
    )

    @model_validator(mode="after")
    def _purpose_allows(self) -> "QueueSettings":
        if self.purpose == "training" and self.draw != "uniform":
            raise ValueError("draw is for evaluation queues; a training queue takes by `where`")
        if self.overlap and self.annotators_per_sample > 1:
            raise ValueError(
                f"overlap is for queues where one person answers a sample; with annotators_per_sample "
                f"= {self.annotators_per_sample} every sample has a second answer: leave overlap out"
            )
        if self.purpose == "evaluation":
            if self.show:
                raise ValueError(
                    "show isn't allowed in an evaluation queue: its labels must be given blind"
                )
            if self.where is not None:
                raise ValueError(
                    "where isn't allowed in an evaluation queue: its target is all serving traffic"
                )
            if self.budget is None:
                raise ValueError("an evaluation queue needs a budget: labels a round")
        return self


class TrainingSettings(_Section):
    """What goes into the training set beside people's labels: what a certificate keeps of the model's."""

    max_error: float = Field(
        0.05, gt=0, lt=1, description="The share of wrong labels that a certificate allows."
    )
    failure_probability: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="The probability that any certificate of the project is ever untrue.",
    )
    promise: Literal["training-set", "model-labels", "frame"] = Field(
        "training-set",
        description="Of what max_error is a share: of the kept model labels and people's training "
        "labels together, of the kept model labels, or of all traffic.",
    )
    confidence: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Keep the model's own label at or above this confidence where no certificate keeps "
        "any. No bound on how many are wrong comes with it. Left out: certified labels only.",
    )

    def terms(self) -> Terms:
        """What is asked of certificates."""
        return Terms(
            max_error=self.max_error,
            failure_probability=self.failure_probability,
            promise=self.promise,
        )


class Settings(_Section):
    """All of labelloop.toml."""

    project: ProjectSettings
    renamed_classes: list[ClassSettings] = Field(default_factory=list, alias="class")
    input: InputSettings = Field(default_factory=lambda: InputSettings())
    store: StoreSettings
    source: SourceSettings | None = None
    label_studio: LabelStudioSettings
    state: StateSettings = Field(default_factory=lambda: StateSettings())
    engine: EngineSettings = Field(default_factory=lambda: EngineSettings())
    rounds: RoundSettings = Field(default_factory=lambda: RoundSettings())
    queue: list[QueueSettings] = Field(min_length=1)
    training: TrainingSettings = Field(default_factory=lambda: TrainingSettings())

    @model_validator(mode="before")
    @classmethod
    def _classes_of_their_own(cls, raw: Any) -> Any:
        """[project] with the classes that stand in tables of their own."""
        if not isinstance(raw, dict) or not isinstance(raw.get("class"), list):
            return raw
        project = raw.get("project")
        if not isinstance(project, dict):
            return raw
        if "classes" in project:
            raise ValueError("the classes stand in [project] and as [[class]]: write them once")
        names = [c["name"] for c in raw["class"] if isinstance(c, dict) and "name" in c]
        return {**raw, "project": {**project, "classes": names}}

    @model_validator(mode="after")
    def _old_names_are_old(self) -> "Settings":
        old = [name for c in self.renamed_classes for name in c.was]
        twice = sorted({name for name in old if old.count(name) > 1})
        if twice:
            raise ValueError(f"class {twice[0]!r} is the old name of two classes: expected one")
        live = sorted(self.answers().kinds.keys() & set(old))
        if live:
            raise ValueError(
                f"class {live[0]!r} is an answer and an old name: take it out of one of the two"
            )
        return self

    @model_validator(mode="after")
    def _queues_fit_together(self) -> "Settings":
        names = [q.name for q in self.queue]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"queue {twice[0]!r} is there twice")
        if sum(q.purpose == "evaluation" for q in self.queue) > 1:
            raise ValueError("more than one evaluation queue: a project has one at most")
        for place in self.store.places():
            if self.store.blind_uri and _inside(self.store.blind_uri, place):
                raise ValueError(
                    f"store.blind_uri {self.store.blind_uri!r} lies inside store.uri "
                    f"{place!r}: copies would be indexed as inputs; use another bucket or prefix"
                )
        return self

    @model_validator(mode="after")
    def _source_fits(self) -> "Settings":
        if self.source and self.source.columns.text and self.input.kind != "text":
            raise ValueError('source.columns.text is for [input] kind = "text"')
        return self

    @model_validator(mode="after")
    def _label_studio_can_sign(self) -> "Settings":
        for q in self.queue:
            if q.images == "label-studio" and self.input.kind == "text":
                raise ValueError(f"queue {q.name!r}: images is for images, and inputs are texts")
            if q.images == "label-studio" and self.store.is_folder:
                raise ValueError(
                    f"queue {q.name!r}: images = 'label-studio' needs a bucket, and the inputs lie in "
                    "a folder; docs/folder.md shows how Label Studio serves one"
                )
            if q.images == "label-studio" and self.store.access_key is None:
                raise ValueError(
                    f"queue {q.name!r}: images = 'label-studio' needs access_key and secret_key in "
                    "[store], as Label Studio is given them"
                )
        return self

    def answers(self) -> Answers:
        """What people may answer."""
        return Answers(
            classes=self.project.classes,
            extra=self.project.extra_answers,
            renamed={old: c.name for c in self.renamed_classes for old in c.was},
        )

    def queues(self) -> tuple[Queue, ...]:
        """The queues, evaluation first, else in the order of the file."""
        made = [
            Queue(
                name=q.name,
                purpose=Purpose(q.purpose),
                where=Where.parse(q.where) if q.where is not None else None,
                budget=q.budget,
                show=tuple(q.show),
                draw=q.draw,
                annotators=q.annotators_per_sample,
                overlap=q.overlap,
                images=q.images,
            )
            for q in self.queue
        ]
        return tuple(sorted(made, key=lambda q: q.purpose is not Purpose.EVALUATION))


def _inside(uri: str, outer: str) -> bool:
    return (uri.rstrip("/") + "/").startswith(outer.rstrip("/") + "/")
