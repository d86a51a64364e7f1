"""The ledger's tables. docs/reference/ledger.md says what each is for; migrations/ brings a database here."""

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from labelloop.core.task import ASKED_AGAIN


class Instant(sa.TypeDecorator[datetime]):
    """A UTC instant. SQLite forgets the offset, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """UTC, without offset where the database keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no offset: every instant in the ledger is UTC")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002  fixed by SQLAlchemy
        """UTC, always with its offset."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Said(sa.TypeDecorator[str]):
    """What somebody wrote, kept to be shown: what a database refuses in a text is replaced.

    PostgreSQL takes no NUL, and neither database half a surrogate pair.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002  fixed by SQLAlchemy
        """The text with U+FFFD in place of NUL and of lone surrogates."""
        if value is None:
            return None
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)


metadata = sa.MetaData()
_counter = sa.BigInteger().with_variant(sa.Integer, "sqlite")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("ledger_id", sa.Text, primary_key=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("salt", sa.Text, nullable=False),
)

classes = sa.Table(
    "classes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("added_at", Instant, nullable=False),
    sa.Column("retired_at", Instant),
    sa.Column("merged_into", sa.Text),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("batch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("path", sa.Text),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)

rejects = sa.Table(
    "rejects",
    metadata,
    sa.Column("uri", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("value", Said, nullable=False),
    sa.Column("n_least", sa.BigInteger, nullable=False, server_default=sa.text("1")),
    sa.Column("n_most", sa.BigInteger),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("last_read_at", Instant, nullable=False),
)

source_files = sa.Table(
    "source_files",
    metadata,
    sa.Column("uri", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("n_set_aside", sa.BigInteger, nullable=False),
    sa.Column("read_at", Instant, nullable=False),
)

waiting_rows = sa.Table(
    "waiting_rows",
    metadata,
    sa.Column("pair", sa.Text, primary_key=True),
    sa.Column("begins", sa.Boolean, primary_key=True),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("expected", sa.Boolean, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
)

rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("round", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("batch_from", sa.BigInteger, nullable=False),
    sa.Column("batch_to", sa.BigInteger, nullable=False),
    sa.Column("since", Instant),
    sa.Column("until", Instant),
    sa.Column("extra", sa.Boolean, nullable=False),
    sa.Column("rules_json", sa.Text, nullable=False),
    sa.Column("risk_version", sa.BigInteger),
    sa.Column("snapshot", sa.BigInteger),
    sa.Column("n_frame", sa.BigInteger, nullable=False),
    sa.Column("n_set_aside", sa.BigInteger, nullable=False),
    sa.Column("n_set_aside_most", sa.BigInteger),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("rival", sa.Text),
    sa.Column("rival_digest", sa.Text),
    sa.Column("n_both", sa.BigInteger),
    sa.Column("second_look", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("tops_up", sa.BigInteger),
    sa.Column("scale", sa.Float(53)),
    sa.Column("at_random", sa.Float(53)),
)

cells = sa.Table(
    "cells",
    metadata,
    sa.Column("round", sa.BigInteger, primary_key=True),
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("predicted_class", sa.Text, primary_key=True),
    sa.Column("risk_bin", sa.Integer, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("cut", sa.BigInteger),
    sa.Column("risk", sa.Float(53)),
    sa.Column("inclusion", sa.Float(53)),
)

confidences = sa.Table(
    "confidences",
    metadata,
    sa.Column("round", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("bin", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.BigInteger, nullable=False),
)

slices = sa.Table(
    "slices",
    metadata,
    sa.Column("round", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attribute", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

sampling_rates = sa.Table(
    "sampling_rates",
    metadata,
    sa.Column("round", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("predicted_class", sa.Text, primary_key=True),
    sa.Column("risk_bin", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sampling_rate", sa.Float(53), primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

risks = sa.Table(
    "risks",
    metadata,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rounds_json", sa.Text, nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("rounds_json", sa.Text, nullable=False),
    sa.Column("promise", sa.Text, nullable=False),
    sa.Column("max_error", sa.Float(53), nullable=False),
    sa.Column("failure_probability", sa.Float(53), nullable=False),
    sa.Column("audits_json", sa.Text, nullable=False),
    sa.Column("risk_version", sa.BigInteger),
    sa.Column("registered_at", Instant, nullable=False),
    sa.Column("decided_at", Instant),
    sa.Column("result_json", sa.Text),
    sa.Column("grid_json", sa.Text),
)

draws = sa.Table(
    "draws",
    metadata,
    sa.Column("draw", _counter, primary_key=True, autoincrement=True),
    sa.Column("round", sa.BigInteger, nullable=False),
    sa.Column("sample_id", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("predicted_at", Instant, nullable=False),
    sa.Column("predicted_class", sa.Text),
    sa.Column("confidence", sa.Float(53)),
    sa.Column("corrected_class", sa.Text),
    sa.Column("flagged", sa.Boolean),
    sa.Column("margin", sa.Float(53)),
    sa.Column("attributes_json", sa.Text),
    sa.Column("risk", sa.Float(53)),
    sa.Column("line", sa.BigInteger, nullable=False),
    sa.Column("inclusion", sa.Float(53)),
    sa.Column("uniform", sa.Boolean, nullable=False),
    sa.Column("within", sa.Float(53)),
    sa.Column("audit_only", sa.Boolean),
    sa.Column("pick", sa.Text),
    sa.Column("score", sa.Float(53)),
    sa.Column("rank", sa.Integer),
    sa.Column("represents", sa.Integer),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("task_key", sa.Text, nullable=False),
    sa.Column("sampling_rate", sa.Float(53)),
    sa.UniqueConstraint("round", "sample_id"),
    sa.Index("draws_sample_id", "sample_id"),
    sa.Index("draws_task_key", "task_key"),
    sa.Index("draws_content", "content_hash"),
    sa.Index("draws_round", "round", "queue", "position"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task_key", sa.Text, primary_key=True),
    sa.Column("sample_id", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("look", sa.Integer, nullable=False),
    sa.Column("project_ref", sa.Text),
    sa.Column("remote_id", sa.Text),
    sa.Column("media_uri", sa.Text),
    sa.Column("url_expires_at", Instant),
    sa.Column("answers_wanted", sa.Integer, nullable=False),
    sa.Column("people_asked", sa.Integer),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("sent_at", Instant),
    sa.Column("resolved_at", Instant),
    sa.Column("forgotten_at", Instant),
    sa.UniqueConstraint("purpose", "sample_id", "look"),
    sa.Index("tasks_state", "state"),
    sa.Index("tasks_project", "project_ref", "remote_id"),
    sa.Index("tasks_sent", "queue", "sent_at"),
)

# Of the millions of tasks that are settled, only those that something is still to be done about.
# Literals, as a database can't tell what a parameter will be.
several = tasks.c.answers_wanted > sa.literal_column("1")
further = tasks.c.look > sa.literal_column("0")
asked_wrongly = tasks.c.remote_id.is_not(None) & tasks.c.people_asked.is_distinct_from(
    tasks.c.answers_wanted
)
blind = (tasks.c.purpose == "evaluation") | (tasks.c.look == sa.literal_column(str(ASKED_AGAIN)))
"""The tasks whose annotators must not see the prediction."""
for _name, _columns, _where in (
    ("tasks_copies", (tasks.c.state, tasks.c.resolved_at), tasks.c.media_uri.is_not(None)),
    ("tasks_asked", (tasks.c.state,), asked_wrongly),
    ("tasks_several", (tasks.c.queue, tasks.c.state), several),
    ("tasks_looks", (tasks.c.queue, tasks.c.state), further),
):
    # on PostgreSQL too, by the migration; to say so here would load its dialect at every start
    sa.Index(_name, *_columns, sqlite_where=_where)

task_counts = sa.Table(
    "task_counts",
    metadata,
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

annotations = sa.Table(
    "annotations",
    metadata,
    sa.Column("task_key", sa.Text, primary_key=True),
    sa.Column("remote_id", sa.Text, primary_key=True),
    sa.Column("updated_at", Instant, primary_key=True),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("skipped", sa.Boolean, nullable=False),
    sa.Column("deleted_at", Instant),
    sa.Column("standing", sa.Text, nullable=False, server_default="vote"),
)
apart = annotations.c.standing != sa.literal_column("'vote'")
"""The few annotations that count otherwise than as votes."""
sa.Index("annotations_apart", annotations.c.task_key, sqlite_where=apart)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("task_key", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("n_votes", sa.Integer, nullable=False),
    sa.Column("revision", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("first_at", Instant, nullable=False),
    sa.Column("resolved_at", Instant, nullable=False),
)

referees = sa.Table(
    "referees",
    metadata,
    sa.Column("annotator", sa.Text, primary_key=True),
    sa.Column("named_at", Instant, nullable=False),
    sa.Column("left_at", Instant),
)

strays = sa.Table(
    "strays",
    metadata,
    sa.Column("task_key", sa.Text, primary_key=True),
    sa.Column("remote_id", sa.Text, primary_key=True),
    sa.Column("value", Said, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("parent", sa.BigInteger),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("counts_json", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("redacted_from", sa.Text),
)

exports = sa.Table(
    "exports",
    metadata,
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("format", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("at", Instant, nullable=False),
)

comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("candidate_hash", sa.Text, primary_key=True),
    sa.Column("labels_hash", sa.Text, primary_key=True),
    sa.Column("at", Instant, nullable=False),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("sample_hash", sa.Text, primary_key=True),
    sa.Column("forgotten_at", Instant, nullable=False),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("erasure", _counter, primary_key=True, autoincrement=True),
    sa.Column("begun_at", Instant, nullable=False),
    sa.Column("work_json", sa.Text, nullable=False),
)

measured = sa.Table(
    "measured",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _counter, primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", Said, nullable=False),
    sa.Index("events_subject", "subject"),
)

verbs = sa.Table(
    "verbs",
    metadata,
    sa.Column("verb", sa.Text, primary_key=True),
    sa.Column("succeeded_at", Instant),
    sa.Column("failed_at", Instant),
    sa.Column("n_failures", sa.Integer, nullable=False),
    sa.Column("error", Said, nullable=False),
)

pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("paused_at", Instant, nullable=False),
    sa.Column("paused_by", Said, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("added_at", Instant, nullable=False),
    sa.Column("excluded_at", Instant),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("cookie_hash", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
)

media_links = sa.Table(
    "media_links",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("task_key", sa.Text, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Index("media_links_task", "task_key"),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("id", _counter, primary_key=True, autoincrement=True),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("page", sa.Text, nullable=False),
    sa.Column("note", Said, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("made_by", Said, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("revoked_at", Instant),
    sa.Column("n_opened", sa.Integer, nullable=False),
    sa.Column("last_opened_at", Instant),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _counter, primary_key=True, autoincrement=True),
    sa.Column("notice_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("data_json", sa.Text, nullable=False),
    sa.UniqueConstraint("name", "key"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("outbox_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("n_attempts", sa.Integer, nullable=False),
    sa.Column("first_at", Instant),
    sa.Column("next_at", Instant, nullable=False),
    sa.Column("done_at", Instant),
    sa.Column("error", sa.Text, nullable=False),
)
