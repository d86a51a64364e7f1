"""The statements of the prediction log, as text for DuckDB; those of a selection run on Spark too.

Each takes the SQL of a source that has exactly the log's columns. What is put into the text are
integers, instants, doubles and checked conditions, each in one way.
"""

# ruff: noqa: S608  no text of a user gets in: see above

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from labelloop.core.ranked import Score
from labelloop.core.round import FrameRange
from labelloop.core.sample import NO_CLASS, RISK_BINS, UNUSABLE, Role
from labelloop.core.slice_count import LEAST_ROWS, MOST_VALUES
from labelloop.core.where import Where
from labelloop.ports.log import BatchKind, LabelPart

CANDIDATE = (
    "sample_id, uri, predicted_at, model, predicted_class, confidence, line, content_hash, "
    "risk_bin, pattern, margin, attributes, flagged, corrected_class, sampling_rate"
)

# The same arithmetic, double by double, as labelloop.core.sample.risk_bin.
RISK_BIN = (
    f"CASE WHEN confidence IS NULL THEN {RISK_BINS // 2} ELSE CAST(least({RISK_BINS - 1}, "
    f"floor({RISK_BINS}::DOUBLE * (1::DOUBLE - confidence))) AS INTEGER) END"
)

# labelloop.core.sample.margin: singles are doubles exactly, and a difference is rounded alike anywhere.
_TWO = "list_reverse_sort(list_filter(probabilities, lambda p: p IS NOT NULL))[:2]"
_DIFFERENCE = f"CAST({_TWO}[1] AS DOUBLE) - CAST({_TWO}[2] AS DOUBLE)"
MARGIN = f"CASE WHEN isfinite({_DIFFERENCE}) THEN {_DIFFERENCE} END"


def present(source: str, kind: BatchKind, renamed: Mapping[str, str]) -> str:
    """A source whose classes have their present names."""
    from sqlglot import exp

    if not renamed:
        return source
    column = "predicted_class" if kind == "predictions" else "value"
    cases = " ".join(
        f"WHEN {exp.Literal.string(old).sql('duckdb')} THEN {exp.Literal.string(new).sql('duckdb')}"
        for old, new in sorted(renamed.items())
    )
    case = f"CASE {column} {cases} ELSE {column} END"
    return f"(SELECT * REPLACE ({case} AS {column}) FROM {source})"


def with_column(source: str, added: str) -> str:
    """A source that has the column of an empty table too: null where no file has it."""
    return f"(SELECT * FROM {source} UNION ALL BY NAME SELECT * FROM {added})"


def in_frame(frame: FrameRange) -> str:
    """The condition that a row lies in a frame."""
    parts = [
        f"role = '{Role.SERVING}'",
        f"batch > {int(frame.batch_after)}",
        f"batch <= {int(frame.batch_to)}",
    ]
    if frame.since is not None:
        parts.append(f"predicted_at >= {_instant(frame.since)}")
    if frame.until is not None:
        parts.append(f"predicted_at < {_instant(frame.until)}")
    return "(" + " AND ".join(parts) + ")"


def counts(source: str, frame: FrameRange, conditions: Sequence[Where]) -> str:
    """Statement (1) of a selection: integer counts by class, risk bin and pattern."""
    return f"""
        SELECT predicted_class, {RISK_BIN} AS risk_bin, {pattern(conditions)} AS pattern,
               count(*) AS n
        FROM {source} WHERE {in_frame(frame)} GROUP BY ALL ORDER BY ALL"""


def slices(source: str, frame: FrameRange) -> str:
    """The most frequent values of each attribute among the rows of a frame."""
    return f"""
        SELECT attribute, value, n FROM (
            SELECT attribute, value, n,
                   row_number() OVER (PARTITION BY attribute ORDER BY n DESC, value) AS place
            FROM (
                SELECT e.key AS attribute, e.value AS value, count(*) AS n FROM (
                    SELECT unnest(map_entries(attributes)) AS e
                    FROM {source} WHERE {in_frame(frame)}
                ) entries
                WHERE e.value <> '' AND e.key <> '{UNUSABLE}'
                GROUP BY 1, 2 HAVING count(*) >= {LEAST_ROWS}
            ) counted
        ) placed
        WHERE place <= {MOST_VALUES}"""


def rates(source: str, frame: FrameRange) -> str:
    """Integer counts by class, risk bin and sampling rate; 1 where it is null."""
    return f"""
        SELECT predicted_class, {RISK_BIN} AS risk_bin,
               coalesce(sampling_rate, 1::DOUBLE) AS sampling_rate, count(*) AS n
        FROM {source} WHERE {in_frame(frame)} GROUP BY ALL ORDER BY ALL"""


def rows(
    source: str, frame: FrameRange, conditions: Sequence[Where], spans: str, margin: str = MARGIN
) -> str:
    """Statement (2) of a selection: the rows that lie in a span; `spans` has their columns.

    A span without a class holds for every class and bin of its pattern.
    """
    return f"""
        SELECT {_of("r", CANDIDATE)} FROM (
            {_candidates(source, conditions, margin)}
            WHERE {in_frame(frame)} AND line > (SELECT min(above) FROM {spans})
              AND line <= (SELECT max(up_to) FROM {spans})
        ) r
        WHERE EXISTS (FROM {spans} s WHERE s.pattern = r.pattern AND s.predicted_class IS NULL
                      AND r.line > s.above AND r.line <= s.up_to)
           OR EXISTS (FROM {spans} s WHERE s.pattern = r.pattern AND s.risk_bin = r.risk_bin
                      AND s.predicted_class = r.predicted_class
                      AND r.line > s.above AND r.line <= s.up_to)
        ORDER BY line, sample_id"""


def scan(
    source: str, frame: FrameRange, conditions: Sequence[Where], attributes: Sequence[str]
) -> str:
    """Every row of the frame: what a risk is computed from; attribute i is the column a{i}."""
    from sqlglot import exp

    named = "".join(
        f", attributes[{exp.Literal.string(name).sql('duckdb')}] AS a{i}"
        for i, name in enumerate(attributes)
    )
    return f"""
        SELECT sample_id, line, {pattern(conditions)} AS pattern, predicted_class, confidence,
               {MARGIN} AS margin, sampling_rate{named}
        FROM {source} WHERE {in_frame(frame)}"""


def ranked(scored: str, *, n: int, by: int) -> str:
    """The rows with the highest scores: n of each group, or n in all where there is no group.

    scored
        a statement with the columns of `scored` or `disagreeing`
    by
        how many columns group them
    """
    groups = "".join(f", g{i}" for i in range(by))
    if not by:
        return f"""
        SELECT sample_id, line, score FROM ({scored}) r WHERE score IS NOT NULL
        ORDER BY score DESC, line, sample_id LIMIT {int(n)}"""
    return f"""
        SELECT sample_id, line, score{groups} FROM (
            SELECT *, row_number() OVER (PARTITION BY {groups[2:]}
                                         ORDER BY score DESC, line, sample_id) AS place
            FROM ({scored}) r WHERE score IS NOT NULL
        ) p
        WHERE place <= {int(n)} ORDER BY score DESC, line, sample_id"""


def scored(
    source: str, frame: FrameRange, where: Where | None, score: str, by: Sequence[str]
) -> str:
    """The frame's rows that match, each with the SQL expression `score` and the columns `by` as text."""
    groups = "".join(f", {group} AS g{i}" for i, group in enumerate(map(_group, by)))
    return f"""
        SELECT sample_id, line, {score} AS score{groups}
        FROM {source} WHERE {in_frame(frame)}{_also(where)}"""


def disagreeing(
    source: str, every: str, frame: FrameRange, where: Where | None, by: Sequence[str]
) -> str:
    """The same, for the rows that another model predicted too; the first answer of each model counts.

    The score is a quotient of two counts, so any engine gives the same double.
    """
    groups = "".join(f", {group} AS g{i}" for i, group in enumerate(map(_group, by)))
    kept = "".join(f", s.g{i}" for i in range(len(by)))
    return f"""
        SELECT s.sample_id, s.line, v.score{kept}
        FROM (SELECT sample_id, line{groups}
              FROM {source} WHERE {in_frame(frame)}{_also(where)}) s
        JOIN (
            SELECT sample_id, 1::DOUBLE - CAST(max(n) AS DOUBLE) / CAST(sum(n) AS DOUBLE) AS score
            FROM (
                SELECT sample_id, said, count(*) AS n FROM (
                    SELECT sample_id, predicted_class AS said FROM {source} WHERE {in_frame(frame)}
                    UNION ALL
                    SELECT sample_id, said FROM (
                        SELECT sample_id, model, arg_min(predicted_class, batch) AS said
                        FROM {every} WHERE role <> '{Role.SERVING}' GROUP BY sample_id, model
                    ) others
                ) answers GROUP BY sample_id, said
            ) votes GROUP BY sample_id HAVING sum(n) > 1
        ) v ON v.sample_id = s.sample_id"""


def score(wanted: Score) -> str:
    """The SQL of a score of the confidence or the place."""
    return {
        Score.PLACE: "0::DOUBLE",
        Score.LEAST_CONFIDENT: "1::DOUBLE - confidence",
        Score.RISK: f"(CAST({RISK_BIN} AS DOUBLE) + 0.5::DOUBLE) / {RISK_BINS}::DOUBLE",
    }[wanted]


def _also(where: Where | None) -> str:
    return f" AND ({where.sql('duckdb')})" if where else ""


def _group(column: str) -> str:
    from sqlglot import exp

    if column == "predicted_class":
        return column
    name = column.removeprefix("attributes.")
    return f"attributes[{exp.Literal.string(name).sql('duckdb')}]"


def beside(source: str, every: str, frame: FrameRange, model: str) -> str:
    """The frame's rows that a model predicted too without serving; the first of its answers counts."""
    from sqlglot import exp

    named = exp.Literal.string(model).sql("duckdb")
    return f"""
        SELECT s.sample_id, s.line, s.predicted_class, s.confidence, o.said
        FROM (SELECT * FROM {source} WHERE {in_frame(frame)}) s
        JOIN (SELECT sample_id, arg_min(predicted_class, batch) AS said FROM {every}
              WHERE role <> '{Role.SERVING}' AND model = {named} GROUP BY sample_id) o
        USING (sample_id)"""


def _among(wanted: str) -> str:
    """Whether a prediction is of a sample that `wanted` lists, with its place on the line.

    Places are integers: a log is looked through for them in a seventh of the time that names take.
    """
    return f"(line, sample_id) IN (SELECT line, sample_id FROM {wanted})"


def _about(wanted: str) -> str:
    """Whether a row is about a sample that `wanted` lists; feedback has no place on the line."""
    return f"sample_id IN (SELECT sample_id FROM {wanted})"


def rows_of(source: str, frame: FrameRange, conditions: Sequence[Where], wanted: str) -> str:
    """The frame's rows of the samples that `wanted` lists."""
    return f"""
        SELECT {CANDIDATE} FROM (
            {_candidates(source, conditions)}
            WHERE {in_frame(frame)} AND {_among(wanted)}
        ) ORDER BY line, sample_id"""


def embeddings(source: str, frame: FrameRange, wanted: str) -> str:
    """The embeddings of the frame's rows of the samples that `wanted` lists."""
    return f"""
        SELECT sample_id, embedding FROM {source}
        WHERE {in_frame(frame)} AND embedding IS NOT NULL AND {_among(wanted)}"""


def opinions(predictions: str, wanted: str, model: str | None) -> str:
    """The newest prediction of each sample that `wanted` lists; `model`: by this one alone."""
    from sqlglot import exp

    by = "" if model is None else f"AND model = {exp.Literal.string(model).sql('duckdb')}"
    return f"""
        SELECT sample_id, model, predicted_class, confidence, probabilities FROM (
            SELECT sample_id, model, predicted_class, confidence, probabilities, row_number() OVER (
                PARTITION BY sample_id ORDER BY batch DESC, role = '{Role.SERVING}', model) AS place
            FROM {predictions}
            WHERE {_among(wanted)} {by}
        ) WHERE place = 1"""


def received(predictions: str, feedback: str, batch_after: int, batch_to: int, where: Where) -> str:
    """Samples with feedback in (batch_after, batch_to], as folded by batch_to, that match."""
    heard = f"batch > {int(batch_after)} AND batch <= {int(batch_to)}"
    listed = f"sample_id IN (SELECT sample_id FROM {feedback} WHERE {heard})"
    serving = _first_serving(predictions, f"batch <= {int(batch_to)} AND {listed}")
    return f"""
        SELECT {CANDIDATE} FROM (
            SELECT p.*, {RISK_BIN} AS risk_bin, 0::BIGINT AS pattern, {MARGIN} AS margin,
                   f.flagged, f.corrected_class
            FROM ({serving}) p
            JOIN ({_folded(feedback, f"batch <= {int(batch_to)} AND {listed}")}) f
            USING (sample_id)
        ) WHERE {where.sql("duckdb")} ORDER BY line, sample_id"""


def held(predictions: str, feedback: str, wanted: str) -> str:
    """The rows of the samples that `wanted` lists, counted by sample and batch."""
    listed = _about(wanted)  # what is to be erased is found whatever its place says
    return f"""
        SELECT sample_id, batch, 'predictions' AS kind, count(*) AS n_rows, min(uri) AS uri,
               min(content_hash) AS content_hash
        FROM {predictions} WHERE {listed} GROUP BY sample_id, batch
        UNION ALL
        SELECT sample_id, batch, 'feedback', count(*), '', ''
        FROM {feedback} WHERE {listed} GROUP BY sample_id, batch
        ORDER BY sample_id, batch"""


def twins(predictions: str, wanted: str, limit: int) -> str:
    """Samples that `wanted` doesn't list, with the content of one that it does."""
    listed = _among(wanted)
    return f"""
        SELECT DISTINCT sample_id FROM {predictions}
        WHERE content_hash IN (SELECT content_hash FROM {predictions}
                               WHERE {listed} AND content_hash <> '')
          AND NOT {listed}
        ORDER BY sample_id LIMIT {int(limit)}"""


IN_PARTS = "content_hash LIKE '" + "_" * 32 + "-%'"
"""Whether a content hash is the ETag of an upload in parts: no hash of the bytes."""


def same_size(predictions: str, wanted: str, limit: int) -> str:
    """The contents of each size that one which `wanted` lists has, where any was uploaded in parts."""
    listed = _among(wanted)
    return f"""
        SELECT p.uri, p.content_hash, p.size_bytes, max(w.sample_id) IS NOT NULL AS named
        FROM {predictions} p
        LEFT JOIN (SELECT DISTINCT sample_id FROM {wanted}) w ON w.sample_id = p.sample_id
        WHERE p.size_bytes > 0 AND p.content_hash <> ''
          AND p.size_bytes IN (SELECT size_bytes FROM {predictions} WHERE {listed})
          AND p.size_bytes IN (SELECT size_bytes FROM {predictions} WHERE {IN_PARTS})
        GROUP BY p.uri, p.content_hash, p.size_bytes
        ORDER BY p.size_bytes, p.uri, p.content_hash LIMIT {int(limit)}"""


def samples(predictions: str, feedback: str, wanted: str) -> str:
    """Of the samples that `wanted` lists: serving prediction, other models, folded feedback."""
    listed = _among(wanted)
    return f"""
        SELECT p.sample_id, p.model, p.predicted_at, p.predicted_class, p.confidence,
               p.content_hash, f.flagged, f.corrected_class, r.models AS repeated, s.shadows
        FROM ({_first_serving(predictions, listed)}) p
        LEFT JOIN ({_folded(feedback, _about(wanted))}) f USING (sample_id)
        LEFT JOIN (SELECT sample_id, list(DISTINCT model) AS models FROM {predictions}
                   WHERE role = '{Role.REPEATED}' AND {listed} GROUP BY sample_id) r
        USING (sample_id)
        LEFT JOIN (SELECT sample_id, map(list(model), list(predicted_class)) AS shadows
                   FROM (SELECT DISTINCT ON (sample_id, model) sample_id, model, predicted_class
                         FROM {predictions} WHERE role = '{Role.SHADOW}' AND {listed}
                         ORDER BY sample_id, model, batch)
                   GROUP BY sample_id) s
        USING (sample_id)"""


def logged_predictions(predictions: str, feedback: str, wanted: str) -> str:
    """Every prediction of the samples that `wanted` lists, with the folded feedback."""
    listed = _among(wanted)
    return f"""
        SELECT p.sample_id, p.role, p.model, p.predicted_class, p.content_hash,
               f.flagged, f.corrected_class
        FROM (SELECT * EXCLUDE (text) FROM {predictions} WHERE {listed}) p
        LEFT JOIN ({_folded(feedback, _about(wanted))}) f USING (sample_id)
        ORDER BY p.batch, p.sample_id"""


def texts(predictions: str, wanted: str) -> str:
    """The texts of the samples that `wanted` lists."""
    listed = _among(wanted)
    return f"""
        SELECT sample_id, text FROM ({_first_serving(predictions, listed)})
        WHERE text IS NOT NULL"""


def model_labels(
    predictions: str,
    feedback: str,
    parts: Sequence[LabelPart],
    *,
    cells: str,
    without_samples: str,
    without_content: str,
) -> str:
    """Uncontested predictions that their part admits, outside two lists, in order of sample_id.

    `cells` has the columns part, predicted_class and risk_bin of the parts that go by cells.
    """
    sure = [
        f"(part = {i} AND confidence >= '{float(part.min_confidence)!r}'::DOUBLE)"
        for i, part in enumerate(parts)
        if part.cells is None
    ]
    return f"""
        SELECT sample_id, uri, content_hash, predicted_class, confidence, model, part
        FROM ({_uncontested(predictions, feedback, [part.frames for part in parts])}) p
        WHERE predicted_class <> '{NO_CLASS}'
          AND ({" OR ".join(sure) or "false"}
               OR EXISTS (FROM {cells} c WHERE c.part = p.part AND c.risk_bin = p.risk_bin
                          AND c.predicted_class = p.predicted_class))
          AND {_outside(without_samples, without_content)}
        ORDER BY sample_id, batch"""


def label_counts(
    predictions: str,
    feedback: str,
    frames: Sequence[FrameRange],
    *,
    without_samples: str,
    without_content: str,
) -> str:
    """Uncontested predictions by frame, class and risk bin, and how many `model_labels` may give."""
    return f"""
        SELECT part AS frame, predicted_class, risk_bin, count(*) AS n,
               count(*) FILTER (predicted_class <> '{NO_CLASS}'
                                AND {_outside(without_samples, without_content)}) AS n_kept
        FROM ({_uncontested(predictions, feedback, [(frame,) for frame in frames])}) p
        GROUP BY ALL ORDER BY ALL"""


def _uncontested(predictions: str, feedback: str, groups: Sequence[Sequence[FrameRange]]) -> str:
    """Framed predictions without flag or correction; `part`: the first group that holds them."""
    holds = [" OR ".join(in_frame(frame) for frame in group) for group in groups]
    part = " ".join(f"WHEN {condition} THEN {i}" for i, condition in enumerate(holds))
    return f"""
        SELECT *, {RISK_BIN} AS risk_bin, CASE {part} END AS part FROM {predictions} p
        WHERE ({" OR ".join(holds)})
          AND NOT EXISTS (FROM ({_folded(feedback, "true")}) f WHERE f.sample_id = p.sample_id
                          AND (f.flagged OR f.corrected_class IS NOT NULL))"""


def _outside(samples: str, contents: str) -> str:
    return (
        f"NOT EXISTS (FROM {samples} w WHERE w.sample_id = p.sample_id) "
        f"AND NOT EXISTS (FROM {contents} w WHERE w.content_hash = p.content_hash)"
    )


STORED = (
    "sample_id, uri, predicted_at, model, role, predicted_class, confidence, attributes, content_hash, "
    "text, batch, line"
)


def browse(
    predictions: str,
    feedback: str | None,
    where: Where | None,
    *,
    lines: str,
    contents: str,
    after: tuple[int, int] | None,
) -> str:
    """Where the serving predictions stand that are looked for; `lines` and `contents` list what isn't.

    feedback: where the condition names a column of it.
    """
    said = ""
    if feedback is not None:
        said = f" LEFT JOIN ({_folded(feedback, 'true')}) f USING (sample_id)"
    parts = [
        f"role = '{Role.SERVING}'",
        f"({where.sql('duckdb')})" if where is not None else "true",
        f"line NOT IN (SELECT line FROM {lines})",
        f"content_hash NOT IN (SELECT content_hash FROM {contents})",
    ]
    if after is not None:
        batch, line = map(int, after)
        parts.append(f"(batch < {batch} OR (batch = {batch} AND line > {line}))")
    return f"SELECT batch, line FROM {predictions} p{said} WHERE {' AND '.join(parts)}"


def first_of(browsed: str, *, limit: int) -> str:
    """The first places of what `browse` finds."""
    return f"{browsed} ORDER BY batch DESC, line LIMIT {int(limit)}"


def n_of(browsed: str, *, limit: int) -> str:
    """How many places `browse` finds, `limit` at most."""
    return f"SELECT count(*) AS n FROM ({browsed} LIMIT {int(limit)})"


def at_lines(source: str, lines: Sequence[int]) -> str:
    """The rows at some places of the line."""
    listed = ", ".join(str(int(line)) for line in lines)
    return f"SELECT {STORED} FROM {source} WHERE line IN ({listed}) ORDER BY batch, sample_id, role"


def said_of(feedback: str, wanted: str) -> str:
    """The folded feedback on the samples that `wanted` lists."""
    return _folded(feedback, _about(wanted))


def attributes(source: str) -> str:
    """The distinct names of attributes."""
    return f"SELECT DISTINCT unnest(map_keys(attributes)) AS name FROM {source}"


def pattern(conditions: Sequence[Where]) -> str:
    """Which conditions hold, as bits; null is no."""
    bits = [
        f"CASE WHEN {condition.sql('duckdb')} THEN {1 << i} ELSE 0 END"
        for i, condition in enumerate(conditions)
    ]
    return f"CAST({' + '.join(bits) or '0'} AS BIGINT)"


def _candidates(source: str, conditions: Sequence[Where], margin: str = MARGIN) -> str:
    """The start of a statement over rows of a source with all that CANDIDATE names."""
    return f"""
            SELECT *, {RISK_BIN} AS risk_bin, {pattern(conditions)} AS pattern,
                   {margin} AS margin, NULL::BOOLEAN AS flagged, NULL::VARCHAR AS corrected_class
            FROM {source}"""


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{name}" for name in columns.split(", "))


def _first_serving(predictions: str, condition: str) -> str:
    return f"""
        SELECT DISTINCT ON (sample_id) * FROM {predictions}
        WHERE role = '{Role.SERVING}' AND {condition} ORDER BY sample_id, batch"""


def _folded(feedback: str, condition: str) -> str:
    latest = "arg_max(value, (batch, received_at, value)) FILTER (kind = '{}')"
    return f"""
        SELECT sample_id, nullif({latest.format("corrected_class")}, '') AS corrected_class,
               CASE {latest.format("flagged")} WHEN 'true' THEN true WHEN 'false' THEN false END
                   AS flagged
        FROM {feedback} WHERE {condition} GROUP BY sample_id"""


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat(sep=' ')}'"
