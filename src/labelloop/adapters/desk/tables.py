"""The tables of the answers' database. Moments are microseconds since 1970, in UTC."""

import sqlalchemy as sa

metadata = sa.MetaData()
_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("format", sa.Integer, nullable=False),
    # the last moment and the last ids that were given: none is ever given again
    sa.Column("last_at", _number, nullable=False),
    sa.Column("last_project", _number, nullable=False),
    sa.Column("last_task", _number, nullable=False),
    sa.Column("last_annotation", _number, nullable=False),
)

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("project", _number, primary_key=True),
    sa.Column("marker", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("show", sa.JSON, nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    # how many tasks are open: counting 100,000 at each answer would take longer than all the rest
    sa.Column("n_open", sa.Integer, nullable=False),
    sa.Column("created_at", _number, nullable=False),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task", _number, primary_key=True),
    sa.Column("project", _number, nullable=False),
    sa.Column("task_key", sa.Text, nullable=False, index=True),
    sa.Column("item_id", sa.Text, nullable=False, unique=True),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("look_of", sa.Text, index=True),
    sa.Column("by_referee", sa.Boolean, nullable=False),
    # the order in which items are given: as they came, shuffled among a few neighbours
    sa.Column("turn", _number, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("n_answers", sa.Integer, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("updated_at", _number, nullable=False),
)
sa.Index("tasks_changed", tasks.c.project, tasks.c.updated_at)
sa.Index("tasks_open", tasks.c.project, tasks.c.is_open, tasks.c.turn)

annotations = sa.Table(
    "annotations",
    metadata,
    sa.Column("annotation", _number, primary_key=True),
    sa.Column("task", _number, nullable=False, index=True),
    sa.Column("person", sa.Text, nullable=False, index=True),
    sa.Column("choices", sa.JSON, nullable=False),
    sa.Column("skipped", sa.Boolean, nullable=False),
    sa.Column("given_at", _number, nullable=False),
    sa.Column("updated_at", _number, nullable=False),
)

replies = sa.Table(
    "replies",
    metadata,
    sa.Column("answer_id", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False, index=True),
    sa.Column("choice", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("took_ms", sa.Integer),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("at", _number, nullable=False),
    # whether it still tells how things stand: it wasn't changed or taken back since
    sa.Column("stands", sa.Boolean, nullable=False),
)
# all that progress counts, so that it reads the index alone
sa.Index(
    "replies_of_person",
    *(replies.c[name] for name in ("person", "queue", "at", "stands", "outcome", "choice")),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("task", _number, primary_key=True),
    sa.Column("person", sa.Text, primary_key=True, index=True),
    sa.Column("until", _number, nullable=False),
)

members = sa.Table(
    "members",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("queues", sa.JSON(none_as_null=True)),
    sa.Column("added_at", _number, nullable=False),
    sa.Column("approved_at", _number),
    sa.Column("excluded_at", _number),
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("used", sa.Integer, nullable=False),
    sa.Column("expires_at", _number, nullable=False),
)
