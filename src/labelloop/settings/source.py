"""[source] and [source.columns]: a table of predictions."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from labelloop.core.json_path import PLACEHOLDER, attribute_name, json_paths
from labelloop.settings.values import Duration, Section, open_to_all, when_complete


def _named_or_off(name: str | bool) -> str | bool:
    if name is True:
        raise ValueError("expected a column's name, or false where the table has none")
    return False if name in {"", "none"} else name


OptionalColumn = Annotated[str | bool, AfterValidator(_named_or_off)]
"""A column's name; False: the table has no such column, even if one is called like that.

People also try "" and "none" for that, which name no column that anybody has.
"""


class ColumnSettings(Section):
    """What the table calls its columns. Where a column holds JSON, `$.column.name[0].name` leads into it.

    `confidence`, `model`, `role`, `probabilities`, `embedding`, `sampling_rate`, `flagged` and
    `corrected_class` may be missing, unless you name them here. `role = false`: a column of that name means
    something else; `""` and `"none"` say the same.
    """

    sample_id: str = Field("sample_id", description="The sample's identity.")
    predicted_class: str = Field("predicted_class", description="The class the model predicted.")
    predicted_at: str = Field(
        "predicted_at",
        description="The time of the prediction: timestamps, ISO 8601 text, or numbers in "
        "`predicted_at_unit`.",
    )
    confidence: OptionalColumn = Field("confidence", description="The model's confidence.")
    model: OptionalColumn = Field("model", description="The model's version.")
    role: OptionalColumn = Field(
        "role", description="`serving`, or `shadow` for a model that runs beside it."
    )
    probabilities: OptionalColumn = Field(
        "probabilities", description="A list of numbers, one for each class."
    )
    embedding: OptionalColumn = Field(
        "embedding",
        description="A list of numbers that is near that of similar inputs, as long in every row.",
    )
    sampling_rate: OptionalColumn = Field(
        "sampling_rate",
        description="The share of traffic like this that the application logged, above 0, at most 1. "
        "Default: 1.",
    )
    flagged: OptionalColumn = Field(
        "flagged", description="True if a user flagged the prediction as wrong."
    )
    corrected_class: OptionalColumn = Field(
        "corrected_class", description="The class a user says is right."
    )
    content_hash: str | None = Field(
        None, description="A hash of the input's content, to recognise copies."
    )
    uri: str | None = Field(
        None,
        description="The URI of the input: a column, or a template of columns such as "
        "`s3://bucket/{request_id}.png`. Default: `sample_id` is the key below "
        "`store.uri`.",
    )
    text: str | None = Field(
        None,
        description="The text to label: a column, or a template such as `{question}: {answer}`. "
        "Default: the content of the object at the URI.",
    )

    def written(self) -> tuple[str, ...]:
        """The names of columns in these settings, those in templates among them."""
        held = self.model_dump()
        named = [name for name in held.values() if isinstance(name, str)]
        made_of = [PLACEHOLDER.findall(held[key] or "") for key in ("uri", "text")]
        return (*named, *(name for some in made_of for name in some))


PLATFORMS: dict[str, dict[str, str]] = {
    "sagemaker": {"sample_id": "id", "predicted_at": "time"},
    "databricks": {"sample_id": "id", "predicted_at": "time"},
    "kserve": {"sample_id": "id", "predicted_at": "time"},
    "langfuse": {
        "sample_id": "id",
        "predicted_at": "time",
        "predicted_class": "verdict",
        "probabilities": "value",
        "corrected_class": "correction",
    },
}
"""The logs of serving platforms, and what their columns are called where the settings don't say."""


class SourceSettings(Section):
    """A table of predictions. Its rows take the place of the bucket's tags."""

    kind: Literal[
        "parquet",
        "jsonl",
        "csv",
        "iceberg",
        "delta",
        "sagemaker",
        "kserve",
        "databricks",
        "langfuse",
    ] = Field(
        description="The kind of the table, or the platform whose log it is: docs/how-to/serving-logs.md."
    )
    uri: Annotated[str, AfterValidator(open_to_all)] = Field(
        "",
        description="A folder, s3://bucket/prefix on the server of the inputs, or one file. For an "
        "Iceberg table set `catalog` and `table` instead.",
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
    confidence_divisor: float | None = Field(
        None,
        gt=0,
        description="The number by which confidences are divided: 100 for percent, such as `44.5` or "
        "the text `44.5%`. If it is set (1 is allowed), a decimal comma counts as a point.",
    )
    predicted_at_unit: Literal["seconds", "milliseconds", "microseconds", "nanoseconds"] | None = (
        Field(None, description="The unit of numbers in `predicted_at`, counted since 1970.")
    )
    attributes: list[str] = Field(
        default_factory=list,
        description='Other columns that a `where` may name as `attributes.NAME`; `["*"]` for all.',
    )
    class_order: list[str] = Field(
        default_factory=list,
        description="The classes in the order of `probabilities`. Where a row names no class, the "
        "likeliest one is its class, and its probability the confidence. Of two classes, one number is "
        "the probability of the second.",
    )
    pair_within: Duration = Field(
        timedelta(days=1),
        description="How long a logged request waits for its answer, and an answer for its request, "
        "until it is rejected. For the kinds `kserve` and `langfuse`.",
    )
    score: str | None = Field(
        None, min_length=1, description="Of Langfuse: the name of the scores that are predictions."
    )
    score_source: Literal["EVAL", "API"] = Field(
        "EVAL",
        description="Of Langfuse: whose scores are predictions. Those of annotators are feedback.",
    )
    columns: ColumnSettings = Field(default_factory=lambda: ColumnSettings())

    def column_names(self) -> dict[str, str | bool | None]:
        """What the table calls its columns, by the keys of [source.columns]."""
        usual = PLATFORMS.get(self.kind, {})
        written = self.columns.model_fields_set
        return self.columns.model_dump() | {k: v for k, v in usual.items() if k not in written}

    @when_complete
    def _says_where_the_class_lies(self) -> None:
        written = self.columns.model_fields_set
        if (self.kind == "langfuse") != (self.score is not None):
            raise ValueError(
                'score is for kind = "langfuse": the name of the scores that are predictions'
            )
        if "predicted_class" in {*written, *PLATFORMS.get(self.kind, {"predicted_class": ""})}:
            return
        if not self.class_order or "probabilities" not in written:
            raise ValueError(
                f'kind = "{self.kind}" needs the place of the class in the bodies: set [source.columns] '
                'predicted_class = "$.response.label", or class_order and [source.columns] '
                'probabilities = "$.response.scores"'
            )

    @when_complete
    def _paths_can_be_followed(self) -> None:
        json_paths(self.columns.written())
        json_paths(self.attributes)
        names = [attribute_name(name) for name in self.attributes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"attributes: two are called {name!r}; leave one out")

    @when_complete
    def _names_a_table(self) -> None:
        if self.kind == "iceberg":
            if self.uri or not self.catalog or not self.table:
                raise ValueError('kind = "iceberg" needs catalog and table, and no uri')
        elif self.catalog or self.table:
            raise ValueError(f'catalog and table are for kind = "iceberg", not "{self.kind}"')
        elif not self.uri:
            raise ValueError(f'kind = "{self.kind}" needs a uri')
