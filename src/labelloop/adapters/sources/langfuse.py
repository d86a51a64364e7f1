"""Exports of Langfuse to blob storage as a Source: what a judge said, beside what it judged."""

import re
from collections.abc import Sequence
from typing import ClassVar

from labelloop.adapters.s3.access import S3Access
from labelloop.adapters.sources.engine import quoted
from labelloop.adapters.sources.envelopes import EnvelopeSource, fields, instant
from labelloop.adapters.sources.files import FilesSource, LinesSource
from labelloop.ports.source import SourceFile

TABLE = re.compile(r"/(scores|observations(?:_v2)?|traces)/(?:.*/)?[^/]+$")

_SCORE = (
    "id",
    "timestamp",
    "trace_id",
    "observation_id",
    "name",
    "value",
    "string_value",
    "data_type",
    "source",
    "comment",
    "evaluator_id",
)
_JUDGED = (
    "id",
    "trace_id",
    "parent_observation_id",
    "name",
    "trace_name",
    "input",
    "output",
    "metadata",
    "environment",
    "release",
    "version",
    "user_id",
    "session_id",
    "provided_model_name",
    "prompt_name",
    "prompt_version",
)


class LangfuseSource(EnvelopeSource):
    """The scores called `score` below `uri`, each beside the observation or trace that it is about.

    Scores whose source is `judge` are predictions, and those of annotators what users say of them. A
    score that is a number has no verdict; it is `value`, a list of one.
    """

    names: ClassVar[tuple[str, ...]] = (
        "id",
        "time",
        "verdict",
        "value",
        "comment",
        "model",
        "correction",
        "trace_id",
        "observation_id",
        "input",
        "output",
        "name",
        "metadata",
        "environment",
        "release",
        "version",
        "user_id",
        "session_id",
        "app_model",
        "prompt_name",
        "prompt_version",
    )
    joins = True

    def __init__(
        self,
        uri: str,
        *,
        score: str = "",
        judge: str = "EVAL",
        order: Sequence[str] = (),
        s3: S3Access | None = None,
    ) -> None:
        files = [FilesSource(uri, "csv", s3=s3), FilesSource(uri, "parquet", s3=s3)]
        super().__init__([LinesSource(uri, s3=s3), *files])
        self._score = quoted(score)
        self._judge = quoted(judge)
        self._order = order

    def files(self) -> Sequence[SourceFile]:
        """The files of scores, observations and traces; Langfuse names their folders."""
        return [file for file in super().files() if TABLE.search(file.uri)]

    def statement(self, file: SourceFile, columns: Sequence[str]) -> str:
        """The scores of a file, or what they may be about."""
        found = TABLE.search(file.uri)
        table = found[1] if found else "scores"
        if table == "scores":
            return self._scores(columns)
        return _traces(columns) if table == "traces" else _observations(columns)

    def names_in(self, file: SourceFile) -> list[tuple[str, int]]:
        """How often each score of the judge occurs in a file of scores."""
        found: list[tuple[str, int]] = []
        for rows in self._of[file.uri].read(file, None):
            raw = self.raw_table(rows)
            asked = self._engine.ask(
                raw,
                f"""SELECT name, count(*) AS n
                    FROM ({fields({name: (name,) for name in _SCORE}, raw.column_names)})
                    WHERE source = {self._judge} AND name IS NOT NULL
                    GROUP BY name""",  # noqa: S608  the judge is quoted
            )
            found += [(row["name"], row["n"]) for row in asked.to_pylist()]
        return found

    def _scores(self, columns: Sequence[str]) -> str:
        number = "TRY_CAST(value AS DOUBLE)"
        if len(self._order) == 2:
            no, yes = map(quoted, self._order)
            named = f"CASE WHEN {number} >= 0.5 THEN {yes} ELSE {no} END"
        else:
            named = f"CASE WHEN {number} >= 0.5 THEN 'True' ELSE 'False' END"
        said = f"""CASE data_type WHEN 'NUMERIC' THEN NULL WHEN 'BOOLEAN' THEN {named}
                        ELSE nullif(string_value, '') END"""
        corrected = f"CASE data_type WHEN 'NUMERIC' THEN {named} ELSE {said} END"
        judged = f"source = {self._judge}"
        return f"""
            SELECT n, CASE WHEN NOT ok THEN 'no JSON'
                           WHEN trace_id = '' THEN 'no trace_id: the score is about nothing' END AS fault,
                   CASE WHEN {judged} THEN timestamp END AS time_text,
                   CASE WHEN {judged} THEN {instant("timestamp")} END AS time,
                   CASE WHEN {judged} THEN trace_id || '/' || observation_id END AS pair,
                   false AS begins, true AS expected,
                   coalesce(nullif(observation_id, ''), trace_id) AS id,
                   CASE WHEN {judged} THEN {said} END AS verdict,
                   CASE WHEN {judged} AND data_type = 'NUMERIC' THEN [{number}] END AS value,
                   CASE WHEN {judged} THEN comment END AS comment,
                   CASE WHEN {judged} THEN nullif(evaluator_id, '') END AS model,
                   CASE WHEN NOT ({judged}) THEN {corrected} END AS correction,
                   trace_id, observation_id, {_nulls(self.names[9:])}
            FROM (SELECT * REPLACE (coalesce(trace_id, '') AS trace_id,
                                    coalesce(observation_id, '') AS observation_id)
                  FROM ({fields({name: (name,) for name in _SCORE}, columns)}))
            WHERE NOT ok OR (name = {self._score} AND source IN ({self._judge}, 'ANNOTATION'))
            """  # noqa: S608  names are quoted


def _observations(columns: Sequence[str]) -> str:
    """Observations; the first of a trace stands for the trace as well."""
    root = "list_value(trace_id || '/' || id, trace_id || '/')"
    one = "list_value(trace_id || '/' || id)"
    pairs = f"CASE WHEN coalesce(parent_observation_id, '') = '' THEN {root} ELSE {one} END"
    return _judged(columns, pairs)


def _traces(columns: Sequence[str]) -> str:
    return _judged(columns, "list_value(id || '/')")


def _judged(columns: Sequence[str], pairs: str) -> str:
    return f"""
        SELECT n, CASE WHEN NOT ok THEN 'no JSON' END AS fault,
               NULL::VARCHAR AS time_text, NULL::TIMESTAMP AS time,
               unnest(CASE WHEN ok THEN {pairs} ELSE list_value(NULL::VARCHAR) END) AS pair,
               true AS begins, false AS expected, {_nulls(LangfuseSource.names[:1])},
               NULL::VARCHAR AS verdict, NULL::DOUBLE[] AS value, {_nulls(LangfuseSource.names[4:9])},
               input, output, coalesce(name, trace_name) AS name, metadata, environment, release,
               version, user_id, session_id, provided_model_name AS app_model, prompt_name,
               prompt_version
        FROM ({fields({name: (name,) for name in _JUDGED}, columns)})"""  # noqa: S608  only names of fields


def _nulls(names: Sequence[str]) -> str:
    return ", ".join(f"NULL::VARCHAR AS {name}" for name in names)
