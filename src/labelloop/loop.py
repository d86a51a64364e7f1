"""Loop: the verbs of one project. Each hands the connections that a step needs to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labelloop.errors import ConfigError, LabelloopError, LedgerError, without_frames
from labelloop.ledger import Ledger, classes
from labelloop.project import Connections, silent
from labelloop.reading.tags import TagNames
from labelloop.settings.file import FILE_NAME, load

if TYPE_CHECKING:
    from labelloop.adapters.notifications.listener import NotificationListener
    from labelloop.core.dataset import DatasetVersion
    from labelloop.core.upkeep import Upkeep
    from labelloop.doctor.finding import Diagnosis
    from labelloop.doctor.subject import Subject
    from labelloop.exports.exported import Exported
    from labelloop.exports.imagefolder import FolderKind
    from labelloop.ledger.move import Moved
    from labelloop.ledger.rejects import SetAside
    from labelloop.ports.clock import Clock, Progress
    from labelloop.reading.columns import HowToRead
    from labelloop.steps.build.build import Build, Built
    from labelloop.steps.collect.tally import Collected
    from labelloop.steps.compare.compare import Compared
    from labelloop.steps.forget.forget import Forgotten
    from labelloop.steps.index.bucket import Indexed
    from labelloop.steps.measure import Measured
    from labelloop.steps.rebuild.rebuild import Rebuilt
    from labelloop.steps.select.select import Selected
    from labelloop.steps.send.send import Sent
    from labelloop.views.dataset_diff import DatasetDiff
    from labelloop.views.plan import Plan
    from labelloop.views.quality import Quality
    from labelloop.views.status import Status, Tie, Wait

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ran:
    """What one `run` did, verb by verb; a verb that failed stands in `failures` and is None.

    A failure doesn't stop the verbs that don't need what failed. `maintained` is what tidying the log
    did, where that was due.
    """

    indexed: "Indexed | None"
    collected: "Collected | None"
    selected: "Selected | None"
    sent: "Sent | None"
    measured: "Measured | None"
    built: "Built | None"
    maintained: "Upkeep | None"
    failures: Mapping[str, LabelloopError]


class Loop(Connections):
    """One project: its settings, its state, and the six verbs over them."""

    # --- the verbs ----------------------------------------------------------------------------

    def index(self, *, list_store: bool = False) -> "Indexed":
        """Take new predictions into the prediction log: rows of the table, tags of the bucket.

        `list_store` lists the bucket though notifications would do.
        """
        from labelloop.steps.index.bucket import Index

        own = self.settings
        by_table = self._index_table()
        if by_table is not None and own.source is not None and not own.source.with_tags:
            return by_table
        by_tags = Index(
            self.ledger,
            self.log,
            self.store,
            names=TagNames(**own.store.tags.model_dump()),
            classes=own.project.classes,
            renamed=self._renamed(),
            unusable_is_wrong=own.project.invalid_prediction == "wrong",
            feedback_horizon=own.rounds.feedback_horizon,
            clock=self.clock,
            progress=self._progress,
            notifications=self._notifications,
            list_every=own.store.list_every,
        ).run(list_store=list_store)
        return by_table.followed_by(by_tags) if by_table else by_tags

    def listener(self, *, host: str, port: int) -> "NotificationListener":
        """What takes the bucket's notifications as webhooks, for `index` to read.

        Raises:
            ConfigError: the settings name no folder for them, it can't be written, or the port is taken.
        """
        from labelloop.adapters.notifications.listener import NotificationListener

        folder = self.settings.store.notifications
        if folder is None or folder.is_file():
            raise ConfigError(
                "[store] notifications "
                + ("is not set" if folder is None else f"= {str(folder)!r} is a file"),
                remedy='name a folder, such as notifications = ".labelloop/notifications"',
            )
        try:
            return NotificationListener(folder, host=host, port=port, now=self.clock.now)
        except OSError as exc:
            raise ConfigError(
                f"can't listen at {host}:{port} and write to {folder}: {exc.strerror}",
                remedy="see that the folder can be written, and give another --port where that one is taken",
            ) from exc

    def _index_table(self) -> "Indexed | None":
        own = self.settings
        if self.source is None or own.source is None:
            return None
        from labelloop.steps.index.table import IndexTable

        reading = self._how_to_read(self._renamed())
        return IndexTable(
            self.ledger,
            self.log,
            self.source,
            names=reading.names,
            rules=reading.rules,
            clock=self.clock,
            progress=self._progress,
        ).run()

    def _how_to_read(self, renamed: Mapping[str, str]) -> "HowToRead":
        """How the rows of the table are read; `renamed`: the present name of each old one."""
        from labelloop.reading.columns import ColumnNames, HowToRead, TableRules

        own = self.settings
        assert own.source is not None  # noqa: S101  who asks has a table
        table = own.source
        every = table.attributes == ["*"]
        return HowToRead(
            names=ColumnNames(
                **table.columns.model_dump(),
                attributes=None if every else tuple(table.attributes),
                explicit=frozenset(table.columns.model_fields_set),
            ),
            rules=TableRules(
                classes=frozenset(own.project.classes),
                renamed=renamed,
                store_uri=own.store.uri,
                unusable_is_wrong=own.project.invalid_prediction == "wrong",
                confidence_divisor=table.confidence_divisor,
                predicted_at_unit=table.predicted_at_unit,
                max_text_bytes=own.input.max_text_bytes,
            ),
        )

    def collect(self, *, anew: bool = False) -> "Collected":
        """Bring people's answers home. `anew`: projects that aren't at this address are gone."""
        from labelloop.steps.collect.collect import Collect

        return Collect(
            self.ledger,
            self.annotator,
            ledger_id=self._ledger_id,
            clock=self.clock,
            progress=self._progress,
        ).run(anew=anew)

    def select(
        self,
        *,
        now: bool = False,
        dry_run: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "Selected":
        """Draw a round where one is due. `now` closes one early; `since`, `until`: an extra round."""
        from labelloop.steps.select.select import Select

        return Select(
            self.ledger,
            self.log,
            self.queues,
            every=self.settings.rounds.every,
            first_window=self.settings.rounds.first_window,
            terms=self.settings.training.terms(),
            clock=self.clock,
        ).run(close_now=now, dry_run=dry_run, since=since, until=until)

    def send(self, *, refresh: bool = False) -> "Sent":
        """Send what is drawn to Label Studio. `refresh` renews every open task's image URL."""
        from labelloop.steps.send.send import Send
        from labelloop.steps.send.texts import Texts

        own = self.settings
        return Send(
            self.ledger,
            self.store,
            self.annotator,
            self.queues,
            ledger_id=self._ledger_id,
            project_name=own.project.name,
            classes=[*own.project.classes, *own.project.extra_answers],
            presign_life=self.store.lasting(own.store.presign_life),
            blind_uri=own.store.blind_uri,
            bucket_access=self._bucket_access,
            signed_by=own.store.signed_by(),
            clock=self.clock,
            progress=self._progress,
            texts=Texts(self.log, self.store, max_bytes=own.input.max_text_bytes)
            if own.input.kind == "text"
            else None,
        ).run(refresh_all=refresh)

    def measure(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> "Measured":
        """The accuracies that the blind labels support now; of a period too, where one is named."""
        from labelloop.steps.measure import measure

        return measure(
            self.ledger,
            clock=self.clock,
            timezone=self.settings.project.timezone,
            since=since,
            until=until,
            keep=True,
        )

    def build(self) -> "Built":
        """Release new dataset versions where their content changed."""
        return self._build().run()

    def _build(self) -> "Build":
        from labelloop.steps.build.build import Build

        return Build(
            self.ledger,
            self.log,
            self.settings.state.datasets,
            min_confidence=self.settings.training.confidence,
            clock=self.clock,
            progress=self._progress,
            with_texts=self.settings.input.kind == "text",
        )

    def forget(
        self, sample_ids: Sequence[str], *, unknown_too: bool = False, dry_run: bool = False
    ) -> "Forgotten":
        """Erase samples wherever labelloop keeps them; without samples finish what was begun.

        Accuracies stay as they are. `unknown_too`: also samples never seen, so that they never come in.
        With `dry_run` nothing is written. Your own objects and tables are not touched.

        Raises:
            ArgumentError: a sample is unknown; nothing was done.
            LeaseHeld: a verb is running; nothing was done.
        """
        from labelloop.doctor import page
        from labelloop.steps.forget.forget import Forget

        place = self.settings.store.blind_uri
        return Forget(
            self.ledger,
            self.log,
            self.store,
            lambda: self.annotator,
            self.settings.state.datasets,
            also_delete=page.uris(place) if place else (),
            clock=self.clock,
            progress=self._progress,
        ).run(sample_ids, unknown_too=unknown_too, dry_run=dry_run)

    def run(self, *, now: bool = False, report: Callable[[str, object], None] | None = None) -> Ran:
        """All six verbs, once. `report` hears each verb's result, or its error, as it ends.

        Where the store is down, no round is drawn: its traffic would be missing. At the end the log is
        tidied, where that is due; `report` hears of it then, as "log".
        """
        failures: dict[str, LabelloopError] = {}
        _ = self.log  # without ledger and log no verb can do anything

        def attempt(verb: str, call: Callable[[], T]) -> T | None:
            try:
                result = call()
            except LabelloopError as exc:
                failures[verb] = exc
                if report is not None:
                    report(verb, exc)
                return None
            if report is not None and result is not None:
                report(verb, result)
            return result

        indexed = attempt("index", self.index)
        collected = attempt("collect", self.collect)
        selected = attempt("select", lambda: self.select(now=now)) if indexed else None
        sent = attempt("send", self.send)
        measured = attempt("measure", self.measure)
        built = attempt("build", self.build)
        maintained = attempt("log", self._maintain_if_due)
        return Ran(indexed, collected, selected, sent, measured, built, maintained, failures)

    def maintain(self, *, dry_run: bool = False) -> "Upkeep":
        """Tidy the prediction log: merge small files, let go what nobody needs. No answer changes.

        Raises:
            LeaseHeld: `index` is running; nothing was done.
        """
        from labelloop.steps.maintain import maintain

        return maintain(
            self.ledger,
            self.log,
            timezone=self.settings.project.timezone,
            clock=self.clock,
            progress=self._progress,
            dry_run=dry_run,
        )

    def _maintain_if_due(self) -> "Upkeep | None":
        from labelloop.steps.maintain import maintain_if_due

        return maintain_if_due(
            self.ledger,
            self.log,
            timezone=self.settings.project.timezone,
            clock=self.clock,
            progress=self._progress,
        )

    def compare(
        self,
        candidate: Path,
        *,
        min_gain: float = 0.0,
        trained_on: Sequence[tuple[str, int]] = (),
    ) -> "Compared":
        """The candidate whose answers stand in a Parquet file, against the model that serves."""
        from labelloop.steps.compare.candidate import from_file
        from labelloop.steps.compare.compare import compare

        return compare(
            self.ledger,
            from_file(candidate, self.settings.project.classes, self._renamed()),
            clock=self.clock,
            min_gain=min_gain,
            trained_on=trained_on,
        )

    def compare_shadow(
        self,
        model: str,
        *,
        min_gain: float = 0.0,
        trained_on: Sequence[tuple[str, int]] = (),
    ) -> "Compared":
        """A model whose answers stand in the log, against the model that serves."""
        from labelloop.steps.compare.candidate import from_log
        from labelloop.steps.compare.compare import compare, judges

        return compare(
            self.ledger,
            from_log(self.log, model, judges(self.ledger)),
            clock=self.clock,
            min_gain=min_gain,
            trained_on=trained_on,
        )

    def write_judges(self, target: Path) -> int:
        """Write the samples that a candidate must answer, as CSV; returns how many."""
        from labelloop.steps.compare.compare import write_samples

        return write_samples(self.ledger, target)

    def move_ledger(self, url: str) -> "list[Moved]":
        """Copy the ledger to the database at `url`, verified; the old one is then refused.

        Raises:
            LeaseHeld: a step is running.
            LedgerError: there is no ledger yet, or `url` can't be opened or isn't empty.
        """
        from labelloop.ledger.move import move

        source = self._existing_ledger()
        if source is None or source.identity() is None:
            raise LedgerError(
                "there is no ledger to move yet",
                remedy="write the new place into [state] ledger: the first run makes it there",
            )
        target = Ledger.open(url)
        self._opened.append(target)
        return move(source, target, progress=self._progress)

    def rebuild_ledger(self) -> "Rebuilt":
        """Fill an empty ledger from the log, Label Studio and the released versions; says what is lost.

        Raises:
            LedgerError: it isn't empty, or there is no log whose identity it could take.
        """
        from labelloop.ledger.database import Identity
        from labelloop.steps.rebuild.rebuild import Rebuild

        state = self.settings.state
        found = self._log_identity()
        if found is None:
            raise LedgerError(
                f"there is no prediction log at {state.warehouse} whose ledger could be rebuilt: its "
                "identity and its salt stand there, and nowhere else",
                remedy="bring back the log with its catalog ([state] warehouse, catalog) first",
            )
        identity = Identity(*found)
        with without_frames():
            ledger = Ledger.open(state.ledger.get_secret_value())
        self._opened.append(ledger)
        return Rebuild(
            ledger,
            self._given[1] or self._open_log(identity),
            self.annotator,
            state.datasets,
            answers=self.settings.answers(),
            clock=self.clock,
            progress=self._progress,
        ).run()

    # --- reading ------------------------------------------------------------------------------

    def status(self) -> "Status":
        """What waits for whom."""
        from labelloop.views.status import status

        return status(self.ledger, clock=self.clock, every=self.settings.rounds.every)

    def doctor(self, *, repair: bool = False) -> "Diagnosis":
        """What works and what doesn't, a line a check; a test page whose link lapsed is removed.

        repair
            before that, mend what can be mended of the ledger, the log and the datasets; every file
            is then read whole
        """
        from labelloop.doctor.examination import diagnose
        from labelloop.doctor.repair import repair as mend

        if not repair:
            return diagnose(self._subject())
        mended = mend(
            self._subject(),
            finish=self._finish_batches,
            rebuild=lambda versions: self._build().again(versions),
        )
        self.close()
        return diagnose(self._subject(thorough=True), after=mended)

    def _finish_batches(self) -> int:
        from labelloop.ledger import batches
        from labelloop.steps.index.batch_writer import recover_batches

        with self.ledger.lease("index") as lease:
            with self.ledger.read() as tx:
                n_unfinished = len(batches.in_state(tx, batches.WRITING))
            recover_batches(self.ledger, self.log, lease, self.clock.now())
        return n_unfinished

    def test_page(self) -> str:
        """The URL of a page that shows an annotator whether images reach their browser.

        Raises:
            ArgumentError: there is no place for it, or no image to show.
        """
        from labelloop.doctor import page

        return page.write(self._subject())

    def _subject(self, *, thorough: bool = False) -> "Subject":
        from labelloop.doctor.subject import Subject

        return Subject(
            settings=self.settings,
            queues=self.queues,
            open_store=lambda: self.store,
            open_source=lambda: self.source,
            how_to_read=lambda: self._how_to_read(self._renamed_so_far()),
            open_annotator=lambda: self.annotator,
            open_ledger=self._existing_ledger,
            log_identity=self._log_identity,
            log_files=self._log_files(),
            check_engine=self._check_engine,
            thorough=thorough,
            clock=self.clock,
            progress=self._progress,
        )

    def _existing_ledger(self) -> Ledger | None:
        with without_frames():
            ledger = Ledger.look(self.settings.state.ledger.get_secret_value())
        if ledger is not None:
            self._opened.append(ledger)
        return ledger

    def _renamed_so_far(self) -> Mapping[str, str]:
        """What `_renamed` will say, without making a ledger where there is none."""
        ledger = self._existing_ledger()
        if ledger is None:
            return self.settings.answers().renamed
        with ledger.read() as tx:
            return {**classes.renamed(tx), **self.settings.answers().renamed}

    def report(self) -> "Quality":
        """How good the model is, over time and by class, and what its labels went into."""
        from labelloop.views.quality import quality

        project = self.settings.project
        return quality(
            self.ledger,
            clock=self.clock,
            project=project.name,
            timezone=project.timezone,
            queues=self.queues,
        )

    def plan(self, half_width: float | None = None) -> "Plan":
        """How many blind labels an accuracy of this precision needs; of a few where it is None."""
        from labelloop.views.plan import plan

        return plan(self.ledger, self.measure(), queues=self.queues, half_width=half_width)

    def waits(self) -> "list[Wait]":
        """The tasks that wait for a person, the longest first."""
        from labelloop.views.status import waits

        return waits(self.ledger)

    def ties(self) -> "list[Tie]":
        """The tasks on which people disagree, by queue and sample."""
        from labelloop.views.status import ties

        return ties(self.ledger)

    def rejected(self) -> "list[SetAside]":
        """The rows that were set aside, newest first."""
        from labelloop.views.status import rejected

        return rejected(self.ledger)

    def datasets(self) -> "list[DatasetVersion]":
        """Every released dataset version."""
        from labelloop.ledger import datasets

        with self.ledger.read() as tx:
            return datasets.every(tx)

    def dataset(self, name: str, version: int | None = None) -> "DatasetVersion":
        """One released version; the newest where `version` is None.

        Raises:
            DatasetError: there is none of that name or number.
        """
        from labelloop.errors import DatasetError

        released = self.datasets()
        found = [d for d in released if d.name == name and version in (None, d.version)]
        if not found:
            have = ", ".join(f"{d.name} v{d.version}" for d in released) or "none yet"
            wanted = name if version is None else f"{name} v{version}"
            raise DatasetError(
                f"no dataset version {wanted!r}",
                remedy=f"released are: {have}; `labelloop build` releases one when there are labels",
            )
        return found[-1]

    def export(
        self,
        versions: "Sequence[DatasetVersion]",
        to: str,
        target: Path,
        *,
        link: bool = True,
        folder_kind: "FolderKind" = "names",
    ) -> "Exported":
        """Write a version, or as "huggingface" several, to `target`; a second run carries on.

        `link`: images that lie on this machine already become hard links where that can be.
        `folder_kind`: folders of an imagefolder have the classes' "names", or their "numbers".
        """
        from labelloop.exports import formats
        from labelloop.ledger import datasets

        target = target.resolve()
        with self.ledger.read() as tx:
            earlier = datasets.export_targets(tx, "imagefolder")
            others = classes.answered(tx)
        done = formats.export(
            versions,
            to,
            target,
            store=lambda: self.store,
            classes=self.settings.project.classes,
            others=others,
            folder_kind=folder_kind,
            earlier=[Path(place) for place in earlier if place != str(target)],
            link=link,
            progress=self._progress,
        )
        with self.ledger.write_at_once() as tx:
            for version in versions:
                datasets.record_export(
                    tx,
                    version.name,
                    version.version,
                    format_name=to,
                    target=str(target),
                    at=self.clock.now(),
                )
        return done

    def diff(self, old: "DatasetVersion", new: "DatasetVersion") -> "DatasetDiff":
        """What changed from one dataset version to another, and by whom.

        People are named as Label Studio names them; while it can't be asked, by their accounts' ids.
        """
        from labelloop.errors import AnnotatorError
        from labelloop.views.dataset_diff import diff, named

        found = diff(old, new, progress=self._progress)
        if not found.by_people:
            return found
        try:
            return named(found, self.annotator.accounts())
        except AnnotatorError:
            return found


def open_loop(
    path: str | Path = FILE_NAME,
    *,
    clock: "Clock | None" = None,
    progress: "Progress" = silent,
) -> Loop:
    """The loop that the labelloop.toml at `path` describes.

    Raises:
        ConfigError: the file is missing, or holds what can't be used.
    """
    return Loop(load(Path(path)), clock=clock, progress=progress)
