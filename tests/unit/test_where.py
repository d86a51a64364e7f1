"""Conditions: what is refused and how it is said; and that engine and oracle agree."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.core.where import Where, instant
from labelloop.errors import WhereError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("confidense < 0.7", "unknown column 'confidense'\n  remedy: did you mean confidence?"),
        ("CONFIDENCE < 0.7", "did you mean confidence?"),
        ("predict_class = 'a'", "did you mean predicted_class?"),
        ("p.confidence < 0.7", "unknown column 'p.confidence'"),
        ('predicted_class = "cat"', "a text stands in single quotes: 'cat'"),
        ("attributes.user.id = '7'", "write attributes['user.id']"),
        ("attributes = 'x'", "write attributes['NAME']"),
        ("confidence < '0.7'", "compares a number with a text"),
        ("predicted_class = 7", "compares a number with a text"),
        ("0.2 < confidence < 0.7", "compares a number with a true or false"),
        ("confidence = null", "use `is null`"),
        ("model in ('a', null)", "use `is null`"),
        ("null is null", "always holds"),
        ("predicted_at < 'yesterday'", "'yesterday' is no date or time"),
        ("predicted_at < ('yesterday')", "'yesterday' is no date or time"),
        ("predicted_at < '0001-01-01T00:00:00+14:00'", "is no date or time"),
        ("predicted_at < attributes.day", "day is a text, not an instant"),
        ("predicted_at < model", "model is a text, not an instant"),
        ("confidence < 1e999", "too large a number"),
        ("-'a' = 'b'", "can't be used here"),
        ("confidence", "is a number, not a condition"),
        ("not confidence", "confidence is a number, not a condition"),
        ("flagged and model", "model is a text, not a condition"),
        ("confidence is true", "is a number, not a condition"),
        ("model like attributes.x", "no quoted pattern"),
        ("null", "is a null, not a condition"),
        ("", "isn't a condition"),
        ("confidence <", "isn't a condition"),
        ("flagged; drop table predictions", "isn't a condition"),
        ("not " * 5000 + "flagged", "nested too deeply"),
        ("model = 'a\0b'", "zero character"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(text: str, said: str) -> None:
    with pytest.raises(WhereError) as caught:
        Where.parse(text)
    assert said in str(caught.value)
    assert "<class" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "lower(model) = 'a'",
        "confidence + 1 < 2",
        "model in (select model from other)",
        "exists (select 1)",
        "(select true)",
        "case when flagged then true end",
        "confidence::int < 1",
        "model ~ 'x'",
        "model ilike 'x'",
        "model like 'a' escape '!'",
        "model = 'a' collate nocase",
        "confidence < ?",
        "confidence < $p",
        "model = any(['a'])",
        "read_csv('/etc/passwd') = 'a'",
        "* = 1",
        "model || 'x' = 'ax'",
        "predicted_at < now()",
        "predicted_at < interval '1 day'",
        "[1] = [1]",
        "{'a': 1} = {'a': 1}",
        "attributes[lower('X')] = 'a'",
        "attributes.site.upper() = 'A'",
        "confidence between symmetric 1 and 0",
        "try_cast(model as int) = 1",
        "count(*) > 1",
        "row_number() over () = 1",
        "x -> x + 1",
        "model is distinct from 'x'",
        "model glob '*'",
        "model similar to 'x'",
    ],
)
def test_only_the_closed_list_is_accepted(text: str) -> None:
    with pytest.raises(WhereError):
        Where.parse(text)


def test_names_are_collected() -> None:
    where = Where.parse("flagged and attributes.site = model or attributes['a b'] is null")
    assert where.columns == {"flagged", "model"}
    assert where.attributes == {"site", "a b"}
    assert where.names_feedback
    assert not Where.parse("confidence < 0.7").names_feedback


def test_conditions_of_the_same_text_are_equal() -> None:
    assert Where.parse("flagged") == Where.parse("flagged")
    assert hash(Where.parse("flagged")) == hash(Where.parse("flagged"))


def test_comments_stay_out_of_the_statement() -> None:
    sql = Where.parse("flagged -- drop\n and /* or */ confidence < 0.5").sql("duckdb")
    assert sql == '"flagged" AND ("confidence" < CAST(\'0.5\' AS DOUBLE))'


def test_long_lists_of_alternatives_are_no_burden() -> None:
    where = Where.parse(" or ".join(f"model = 'm{i}'" for i in range(100)))
    assert where.matches({"model": "m99"})
    assert "m99" in where.sql("duckdb")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00-05:30", "2026-03-01T17:30:00+00:00"),
        (" 2026-03-01 12:00:00.123456+00:00 ", "2026-03-01T12:00:00.123456+00:00"),
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_instants_are_utc(text: str, utc: str) -> None:
    assert instant(text).isoformat() == utc
    assert instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["yesterday", "", "1740830400", "12:00", "2026-13-01", "2026-02-30", "0001-01-01T00:00+01:00"],
)
def test_what_names_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any message: the caller says what was read
        instant(text)


# --- the engine and the oracle --------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
texts = st.sampled_from(["", "a", "b", "ab", "it's", "%", "ü\\", "A"])
doubles = st.sampled_from([-1.0, 0.0, 1e-7, 0.3, 0.1 + 0.2, 1.0, 1e300])
moments = st.integers(-2, 2).map(lambda i: NOON + timedelta(microseconds=i))
literals = texts.map(lambda text: "'" + text.replace("'", "''") + "'")
names = st.sampled_from(["model", "predicted_class", "corrected_class", 'attributes."x y"'])
numbers = st.sampled_from(["confidence", "size_bytes"]) | doubles.map(repr)
instants = st.just("predicted_at") | moments.map(lambda at: f"('{at.isoformat()}')")
operators = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
leaves = st.one_of(
    st.sampled_from(["flagged", "true", "false"]),
    *(
        part
        for operands in (names | literals, numbers, st.just("predicted_at"))
        for part in (
            st.builds("{} {} {}".format, operands, operators, operands),
            st.builds("{} between {} and {}".format, operands, operands, operands),
            st.builds("{} not in ({}, {})".format, operands, operands, operands),
            st.builds("{} is not null".format, operands),
        )
    ),
    st.builds("predicted_at {} {}".format, operators, instants),
    st.builds("{} between predicted_at and {}".format, instants, instants),
    st.builds("predicted_at in ({}, {})".format, instants, instants),
    st.builds("{} like {}".format, names, st.sampled_from(["'%'", "'_'", "'a_%'", "'ü\\'"])),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({}) is false".format, inner),
        st.builds("({}) is null".format, inner),
        st.builds("({}) <= ({})".format, inner, inner),
    ),
    max_leaves=8,
)
rows = st.fixed_dictionaries(
    {
        "model": texts,
        "predicted_class": texts,
        "corrected_class": st.none() | texts,
        "confidence": st.none() | doubles,
        "size_bytes": st.sampled_from([0, 1, 2**53 + 1]),
        "predicted_at": moments,
        "flagged": st.none() | st.booleans(),
        "attributes": st.dictionaries(st.just("x y"), texts),
    }
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(conditions, min_size=1, max_size=4), row=rows)
def test_duckdb_and_matches_agree(
    connection: duckdb.DuckDBPyConnection, texts: list[str], row: Mapping[str, Any]
) -> None:
    wheres = [Where.parse(text) for text in texts]
    selected = ", ".join(f"coalesce({where.sql('duckdb')}, false)" for where in wheres)
    given_row = dict(row)
    attributes = given_row.pop("attributes")
    found = connection.execute(
        f"""SELECT {selected} FROM (SELECT $model::VARCHAR AS model,
            $predicted_class::VARCHAR AS predicted_class,
            $corrected_class::VARCHAR AS corrected_class, $confidence::DOUBLE AS confidence,
            $size_bytes::BIGINT AS size_bytes, $predicted_at::TIMESTAMPTZ AS predicted_at,
            $flagged::BOOLEAN AS flagged,
            MAP($names::VARCHAR[], $values::VARCHAR[]) AS attributes)""",
        given_row | {"names": list(attributes), "values": list(attributes.values())},
    ).fetchone()
    assert found == tuple(where.matches(row) for where in wheres)
