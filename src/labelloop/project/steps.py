"""Project -> steps: each verb's step with the settings and the opened ports that it needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.project.project import Project
from labelloop.reading.exclude import Exclude
from labelloop.reading.tag_names import TagNames

if TYPE_CHECKING:
    from labelloop.doctor.subject import Subject
    from labelloop.reading.columns import HowToRead
    from labelloop.steps.build.build import Build
    from labelloop.steps.collect.collect import Collect
    from labelloop.steps.forget.forget import Forget
    from labelloop.steps.index.bucket import Index
    from labelloop.steps.index.table import IndexTable
    from labelloop.steps.notify.notify import Notify
    from labelloop.steps.rebuild.rebuild import Rebuild
    from labelloop.steps.select.select import Select
    from labelloop.steps.select.top_up import TopUpRounds
    from labelloop.steps.select.vectors import Inputs
    from labelloop.steps.send.send import Send


def index_bucket(project: Project) -> "Index | None":
    """What reads the tags of the inputs; None where only a table says what the model predicted."""
    from labelloop.steps.index.bucket import Index

    own = project.settings
    if project.source is not None and own.source is not None and not own.source.with_tags:
        return None
    return Index(
        project.ledger,
        project.log,
        project.store,
        names=TagNames(**own.store.tags.model_dump()),
        classes=own.project.classes,
        renamed=project.renamed(),
        unusable_is_wrong=own.project.invalid_prediction == "wrong",
        confidence_divisor=own.store.confidence_divisor,
        exclude=Exclude(own.store.exclude) if own.store.exclude else None,
        feedback_horizon=own.rounds.feedback_horizon,
        clock=project.clock,
        progress=project.progress,
        notifications=project.notifications,
        list_every=own.store.list_every,
    )


def index_table(project: Project) -> "IndexTable | None":
    """What reads the table of predictions; None where there is none."""
    if project.source is None or project.settings.source is None:
        return None
    from labelloop.steps.index.table import IndexTable

    reading = how_to_read(project, project.renamed())
    return IndexTable(
        project.ledger,
        project.log,
        project.source,
        names=reading.names,
        rules=reading.rules,
        clock=project.clock,
        progress=project.progress,
        pair_within=project.settings.source.pair_within,
    )


def how_to_read(project: Project, renamed: Mapping[str, str]) -> "HowToRead":
    """How the rows of the table are read; `renamed`: the present name of each old one."""
    from labelloop.reading.columns import ColumnNames, HowToRead, TableRules

    own = project.settings
    assert own.source is not None  # noqa: S101  who asks has a table
    table = own.source
    every = table.attributes == ["*"]
    columns: dict[str, Any] = {k: name or None for k, name in table.column_names().items()}
    return HowToRead(
        names=ColumnNames(
            **columns,
            attributes=None if every else tuple(table.attributes),
            explicit=frozenset(table.columns.model_fields_set),
            class_by_probabilities=bool(table.class_order),
        ),
        rules=TableRules(
            classes=frozenset(own.project.classes),
            renamed=renamed,
            store_uri=own.store.uri,
            class_order=tuple(table.class_order),
            unusable_is_wrong=own.project.invalid_prediction == "wrong",
            confidence_divisor=table.confidence_divisor,
            predicted_at_unit=table.predicted_at_unit,
            max_text_bytes=own.input.max_text_bytes,
        ),
    )


def collect(project: Project) -> "Collect":
    """What brings people's answers home."""
    from labelloop.steps.collect.collect import Collect

    return Collect(
        project.ledger,
        project.annotator,
        ledger_id=project.ledger_id,
        referees=project.settings.people.referees,
        clock=project.clock,
        progress=project.progress,
    )


def select(project: Project) -> "Select":
    """What draws rounds."""
    from labelloop.steps.select.select import Select

    return Select(
        project.ledger,
        project.log,
        project.queues,
        every=project.settings.rounds.every,
        first_window=project.settings.rounds.first_window,
        terms=project.settings.training.terms(),
        classes=project.settings.project.classes,
        inputs=lambda: inputs(project),
        clock=project.clock,
        paused=project.paused(),
    )


def inputs(project: Project) -> "Inputs":
    """What reads the candidates' images or texts; nothing is opened before one is read."""
    from labelloop.steps.select.vectors import Inputs

    own = project.settings
    listed = own.source is None  # else the hashes aren't those of the store

    def read(uri: str, content_hash: str) -> bytes:
        return project.store.read(uri, content_hash=content_hash if listed else None)

    return Inputs(project.log, read, own.input.kind, own.home)


def top_up(project: Project, candidate: Path | None = None) -> "TopUpRounds":
    """What draws more of rounds; `candidate`: where the file lies that a round was drawn for."""
    from labelloop.steps.compare.candidate import of_round
    from labelloop.steps.select.top_up import TopUpRounds

    return TopUpRounds(
        project.ledger,
        project.log,
        project.queues,
        open_rival=lambda rival: of_round(
            rival, project.settings.project.classes, project.renamed(), candidate
        ),
        every=project.settings.rounds.every,
        clock=project.clock,
    )


def send(project: Project) -> "Send":
    """What sends tasks to people."""
    from labelloop.steps.send.send import Send
    from labelloop.steps.send.texts import Texts

    own, store = project.settings, project.store
    return Send(
        project.ledger,
        store,
        project.annotator,
        project.queues,
        ledger_id=project.ledger_id,
        project_name=own.project.name,
        classes=[*own.project.classes, *own.project.extra_answers],
        listed=own.source is None,
        presign_life=store.lasting(own.store.presign_life),
        blind_uri=own.store.blind_uri,
        bucket_access=project.bucket_access,
        signed_by=own.signed_by(),
        gateway_url=own.service.base_url or ("" if own.labelling_page else None),
        clock=project.clock,
        progress=project.progress,
        texts=Texts(project.log, store, max_bytes=own.input.max_text_bytes)
        if own.input.kind == "text"
        else None,
        timezone=own.project.timezone,
        paused=project.paused(),
    )


def build(project: Project) -> "Build":
    """What releases dataset versions."""
    from labelloop.steps.build.build import Build

    return Build(
        project.ledger,
        project.log,
        project.settings.state.datasets,
        min_confidence=project.settings.training.confidence,
        clock=project.clock,
        progress=project.progress,
        with_texts=project.settings.input.kind == "text",
        release_after=project.settings.training.release_evaluation_after,
        retrain_after=project.settings.training.retrain_after,
        # nothing is opened before something is to be read
        read=lambda uri, content_hash: project.store.read(uri, content_hash=content_hash),
    )


def notify(project: Project) -> "Notify":
    """What tells other programs of events."""
    from labelloop.steps.notify.notify import Notify

    return Notify(
        project.ledger,
        project.receivers,
        backlog_after=project.settings.people.backlog_after,
        clock=project.clock,
    )


def forget(project: Project) -> "Forget":
    """What erases samples."""
    from labelloop.doctor import page
    from labelloop.steps.forget.forget import Forget

    place = project.settings.store.blind_uri
    return Forget(
        project.ledger,
        project.log,
        project.store,
        lambda: project.annotator,
        project.settings.state.datasets,
        also_delete=page.uris(place) if place else (),
        clock=project.clock,
        progress=project.progress,
    )


def rebuild(project: Project) -> "Rebuild":
    """What fills a lost ledger again."""
    from labelloop.steps.rebuild.rebuild import Rebuild

    ledger, log = project.ledger_to_rebuild()
    return Rebuild(
        ledger,
        log,
        project.annotator,
        project.settings.state.datasets,
        answers=project.settings.answers(),
        clock=project.clock,
        progress=project.progress,
    )


def doctor_subject(project: Project, *, thorough: bool = False) -> "Subject":
    """The project as the doctor examines it."""
    from labelloop.doctor.subject import Subject

    return Subject(
        settings=project.settings,
        queues=project.queues,
        open_store=lambda: project.store,
        open_source=lambda: project.source,
        how_to_read=lambda: how_to_read(project, project.renamed_so_far()),
        open_annotator=lambda: project.annotator,
        open_desk=lambda: project.desk,
        open_ledger=project.existing_ledger,
        log_identity=project.log_identity,
        log_files=project.log_files(),
        check_engine=project.check_engine,
        thorough=thorough,
        clock=project.clock,
        progress=project.progress,
    )
