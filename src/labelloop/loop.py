"""Loop: the verbs of one project. `project` opens what a verb needs and makes its step."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from labelloop.core.queue import Purpose
from labelloop.errors import (
    AnnotatorError,
    ArgumentError,
    ConfigError,
    LabelloopError,
    LeaseHeld,
    LedgerError,
    ProjectGone,
)
from labelloop.ports.clock import silent
from labelloop.project import Project, steps
from labelloop.settings.file import FILE_NAME

if TYPE_CHECKING:
    from labelloop.core.dataset import DatasetVersion
    from labelloop.core.upkeep import Upkeep
    from labelloop.doctor.finding import Diagnosis
    from labelloop.exports.exported import Exported
    from labelloop.exports.imagefolder import FolderKind
    from labelloop.ledger.move import Moved
    from labelloop.ledger.rejects import RejectedRow
    from labelloop.ledger.snapshots import Snapshot
    from labelloop.measuring.measured import Measured
    from labelloop.measuring.people import Person
    from labelloop.ports.clock import Clock, Progress
    from labelloop.ports.desk import Reply
    from labelloop.settings.settings import Settings
    from labelloop.steps.backup import BackedUp
    from labelloop.steps.build.build import Built
    from labelloop.steps.collect.settling import Settled
    from labelloop.steps.collect.tally import Collected
    from labelloop.steps.compare.compare import Compared, Judges
    from labelloop.steps.forget.forget import Forgotten
    from labelloop.steps.index.indexed import Indexed
    from labelloop.steps.notify.notify import Happened, Notified, Tried, Unheard
    from labelloop.steps.rebuild.rebuild import Rebuilt
    from labelloop.steps.select.select import Selected
    from labelloop.steps.send.send import Sent
    from labelloop.steps.suspects import Suspects
    from labelloop.views.dataset_diff import DatasetDiff
    from labelloop.views.plan import Plan
    from labelloop.views.quality import Quality
    from labelloop.views.snapshots import SnapshotMade
    from labelloop.views.status import Status, Tie, Wait

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of each step of one `run`. A step that failed is None, and its error is in `failures`.

    If a step fails, the steps that don't need it still run. `maintained` is the result of tidying the
    log, if that was due; `notified` what other programs were told, if there are any.
    """

    indexed: "Indexed | None"
    collected: "Collected | None"
    selected: "Selected | None"
    sent: "Sent | None"
    measured: "Measured | None"
    built: "Built | None"
    maintained: "Upkeep | None"
    notified: "Notified | None"
    failures: Mapping[str, LabelloopError]


class Loop:
    """One project: its six steps, and everything that can be read from it.

    Get one from `labelloop.open`, and use it in a `with` statement.
    """

    def __init__(self, project: Project) -> None:
        self.project = project

    @property
    def settings(self) -> "Settings":
        """The project's settings."""
        return self.project.settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the next call opens them again."""
        self.project.close()

    # --- the verbs --------------------------------------------------------------------------------

    def index(self, *, list_store: bool = False) -> "Indexed":
        """Add new predictions to the prediction log: rows of the table, tags of the bucket.

        `list_store` lists the whole bucket, even if notifications are on.
        """
        table = steps.index_table(self.project)
        by_table = table.run() if table else None
        bucket = steps.index_bucket(self.project)
        if bucket is None:
            assert by_table is not None  # noqa: S101  one of them there is
            return by_table
        by_tags = bucket.run(list_store=list_store)
        return by_table.followed_by(by_tags) if by_table else by_tags

    def collect(self, *, anew: bool = False) -> "Collected":
        """Fetch people's answers. With `anew`, open tasks of projects that are gone are sent again."""
        return steps.collect(self.project).run(anew=anew)

    def select(
        self,
        *,
        now: bool = False,
        dry_run: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "Selected":
        """Draw a round if one is due, or `now`. `since` and `until` draw an extra round of a period."""
        step = steps.select(self.project)
        return step.run(close_now=now, dry_run=dry_run, since=since, until=until)

    def select_where_they_differ(
        self,
        *,
        labels: int,
        shadow: str | None = None,
        candidate: Path | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        dry_run: bool = False,
    ) -> "Selected":
        """Draw an extra round for `compare`, of samples where a candidate differs from the serving model.

        The candidate is a shadow model in the log, or a file as `compare` takes it.
        """
        from labelloop.steps.compare.candidate import from_file, in_log

        rival = (
            from_file(candidate, self.settings.project.classes, self.project.renamed())
            if candidate
            else in_log(shadow or "")
        )
        step = steps.select(self.project)
        return step.draw_where_they_differ(
            rival, labels=labels, since=since, until=until, dry_run=dry_run
        )

    def send(self, *, refresh: bool = False, quiet: bool = False) -> "Sent":
        """Send the drawn samples to people. `refresh` renews the image URL of every open task.

        With `quiet` nobody gets a new task; links are renewed all the same.
        """
        return steps.send(self.project).run(refresh_all=refresh, quiet=quiet)

    def top_up(
        self,
        *rounds: int,
        labels: int,
        candidate: Path | None = None,
        checks: bool = False,
        dry_run: bool = False,
    ) -> "Selected":
        """Draw `labels` more samples of `rounds`, shared among them by their traffic, on the same line.

        The rounds' numbers then come from all of their draws. `candidate` says where the file lies that
        a round was drawn for, if it lies elsewhere by now. Until a top-up is sent, the same call again
        draws nothing. With `checks` they check the model's labels for the open guarantee of one round, in
        all rounds of that guarantee, and play no part in the accuracy.

        Raises:
            ArgumentError: a round that doesn't exist, was released, drew nothing for evaluation, or has
                fewer samples left.
        """
        step = steps.top_up(self.project, candidate)
        if checks:
            return step.check(rounds[0], labels=labels, dry_run=dry_run)
        return step.run(rounds, labels=labels, dry_run=dry_run)

    def measure(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        gate: float | None = None,
        by: str | None = None,
    ) -> "Measured":
        """Estimate the accuracies from the blind labels; also that of a period, if one is given.

        With `gate`, the result's `gate` says whether the model that serves is more accurate than that.
        With `by`, the name of an attribute, `model` or `predicted_class`, its `by` has an accuracy and the
        numbers of each class for each value.

        Writes nothing. `run` keeps the results, so that the next run is quick.
        """
        from labelloop.steps.measure import measure

        return measure(
            self.project.ledger_to_read,
            clock=self.project.clock,
            timezone=self.settings.project.timezone,
            since=since,
            until=until,
            gate=gate,
            costs=self.settings.cost_weights(),
            by=by,
        )

    def people(self) -> "tuple[Person, ...]":
        """Return what each person did in the last 30 days, and how often they err, if that is known.

        The names are those of the annotator, or the ids of accounts if it can't be reached.
        """
        from labelloop.measuring.people import everybody, named

        with self.project.ledger_to_read.read() as tx:
            found = everybody(tx, now=self.project.clock.now())
        try:
            return named(found, self.project.annotator.accounts()) if found else ()
        except (AnnotatorError, ConfigError):
            return found

    def _measure_and_keep(self) -> "Measured":
        from labelloop.steps.measure import measure

        found = measure(
            self.project.ledger,
            clock=self.project.clock,
            timezone=self.settings.project.timezone,
            gate=self.settings.gate.accuracy,
            keep=True,
            costs=self.settings.cost_weights(),
        )
        self._judge_shadows()
        self._keep_report()
        return found

    def _judge_shadows(self) -> None:
        """Compare shadow models whose answers are in the log, so that pages can say whether to ship one."""
        log = self.project.log_to_read
        if log is not None:
            from labelloop.steps.compare.shadows import judge_shadows

            costs = self.settings.cost_weights()
            judge_shadows(self.project.ledger, log, clock=self.project.clock, costs=costs)

    def _build_and_keep(self) -> "Built":
        found = self.build()
        self._keep_report()
        return found

    def _keep_report(self) -> None:
        from labelloop.views import kept_report

        kept_report.keep_if_due(
            self.project.ledger,
            self.report,
            inputs=self._inputs_of_report(),
            clock=self.project.clock,
        )

    def build(self) -> "Built":
        """Release a new version of each dataset whose content changed."""
        return steps.build(self.project).run()

    def forget(
        self, sample_ids: Sequence[str], *, unknown_too: bool = False, dry_run: bool = False
    ) -> "Forgotten":
        """Erase samples from everything that labelloop keeps. Without samples, finish an interrupted call.

        Accuracies stay as they are. With `unknown_too`, samples that labelloop doesn't know are accepted,
        and never taken in later. With `dry_run` nothing is written. labelloop doesn't touch your own
        objects and tables.

        Raises:
            ArgumentError: a sample is unknown; nothing was done.
            LeaseHeld: a step is running; nothing was done.
        """
        step = steps.forget(self.project)
        return step.run(sample_ids, unknown_too=unknown_too, dry_run=dry_run)

    def run(
        self,
        *,
        now: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        report: Callable[[str, object], None] | None = None,
    ) -> Ran:
        """Do all six steps once. `report` is called with each step's name and its result or error.

        `since` and `until` name a period in the past: the run draws one extra round from it, instead of
        a round that may be due.

        If the store is down, no round is drawn, because its traffic would be missing. At the end the log
        is tidied if that is due; `report` is then called with "log". Then other programs hear what
        happened, reported as "notify"; one that can't be reached is no failure.
        """
        failures: dict[str, LabelloopError] = {}
        self.settings.require_variables()
        _ = self.project.log  # without ledger and log no verb can do anything

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
        selected = attempt("select", lambda: self._select(now, since, until)) if indexed else None
        sent = attempt("send", self.send)
        measured = attempt("measure", self._measure_and_keep)
        built = attempt("build", self._build_and_keep)
        maintained = attempt("log", self._maintain_if_due)
        notified = attempt("notify", self._notify)
        return Ran(
            indexed, collected, selected, sent, measured, built, maintained, notified, failures
        )

    def _notify(self) -> "Notified | None":
        """What `run` told others; None where there is nobody, or another process tells them."""
        if not self.project.receivers:
            return None
        try:
            return self.notify()
        except LeaseHeld:
            return None

    def _select(
        self, now: bool, since: datetime | None, until: datetime | None
    ) -> "Selected | None":
        """What `run` draws; None where the extra round of the period is there already."""
        from labelloop.ledger import rounds

        with self.project.ledger.read() as tx:
            periods = [
                (r.frame.since, r.frame.until)
                for r in rounds.every(tx)
                if r.extra and r.rival is None
            ]
        if (since or until) and (since, until) in periods:
            return None
        return self.select(now=now, since=since, until=until)

    def do(self, verb: str, *, now: bool = False, quiet: bool = False) -> object:
        """Do one verb of `due.VERBS` as `run` does it; returns its result, or None if nothing was due.

        `now` draws a round even if none is due; with `quiet` nobody gets a new task.
        """
        calls: dict[str, Callable[[], object]] = {
            "index": self.index,
            "collect": self.collect,
            "select": lambda: self.select(now=now),
            "send": lambda: self.send(quiet=quiet),
            "measure": self._measure_and_keep,
            "build": self._build_and_keep,
            "log": self._maintain_if_due,
            "notify": lambda: self.notify() if self.project.receivers else None,
        }
        return calls[verb]()

    def notify(self) -> "Notified":
        """Tell the receivers of [[notify]] what happened since the last time, and what they missed.

        Raises:
            LeaseHeld: another process is telling them.
        """
        return steps.notify(self.project).run()

    def notify_again(self, event_id: str) -> "Notified":
        """Tell the receivers of an event once more.

        Raises:
            ArgumentError: no event has this id.
            LeaseHeld: another process is telling them.
        """
        return steps.notify(self.project).send_again(event_id)

    def notify_test(self) -> "list[Tried]":
        """Send every receiver an event called `test`."""
        from labelloop.steps.notify.notify import test

        return test(self.project.receivers, self.project.clock.now())

    def events(self, limit: int = 100) -> "list[Happened]":
        """Return the newest events that were recorded for others, newest first."""
        from labelloop.steps.notify.notify import events

        return events(self.project.ledger_to_read, limit)

    def unheard(self) -> "list[Unheard]":
        """Return the events that receivers haven't heard of: those that wait, and those given up."""
        from labelloop.steps.notify.notify import unheard

        return unheard(self.project.ledger_to_read, self.project.receivers)

    def announce(self, url: str) -> int:
        """Let the annotator call `url` when answers come, for each project of ours; returns how many.

        Raises:
            AnnotatorError: it can't be asked, or refuses.
        """
        from labelloop.core.token import webhook_secret
        from labelloop.ledger import tasks

        identity = self.project.ledger.identity()
        assert identity is not None  # noqa: S101  it is prepared
        secret = webhook_secret(identity.ledger_id, salt=identity.salt)
        with self.project.ledger.read() as tx:
            projects = sorted(tasks.projects(tx))
        n = 0
        for project_ref in projects:
            with suppress(ProjectGone):  # collect finds out
                self.project.annotator.announce(project_ref, url, secret)
                n += 1
        return n

    def maintain(self, *, dry_run: bool = False) -> "Upkeep":
        """Tidy the prediction log: merge small files, delete unused ones. Its content stays the same.

        Raises:
            LeaseHeld: `index` is running; nothing was done.
        """
        from labelloop.steps.maintain import maintain

        return maintain(
            self.project.ledger,
            self.project.log,
            timezone=self.settings.project.timezone,
            clock=self.project.clock,
            progress=self.project.progress,
            dry_run=dry_run,
        )

    def _maintain_if_due(self) -> "Upkeep | None":
        from labelloop.steps.maintain import maintain_if_due

        return maintain_if_due(
            self.project.ledger,
            self.project.log,
            timezone=self.settings.project.timezone,
            clock=self.project.clock,
            progress=self.project.progress,
        )

    def compare(
        self,
        candidate: Path,
        *,
        min_gain: float = 0.0,
        trained_on: Sequence[tuple[str, int]] = (),
        gate: bool = False,
    ) -> "Compared":
        """Compare a candidate, whose predictions are in a file, with the serving model.

        With `gate`, the verdict holds at every look: ask as often as labels come.
        """
        from labelloop.steps.compare.candidate import from_file
        from labelloop.steps.compare.compare import compare

        return compare(
            self.project.ledger,
            from_file(candidate, self.settings.project.classes, self.project.renamed()),
            clock=self.project.clock,
            min_gain=min_gain,
            trained_on=trained_on,
            gate=gate,
            costs=self.settings.cost_weights(),
        )

    def judge(
        self,
        body: bytes,
        name: str,
        *,
        min_gain: float = 0.0,
        trained_on: Sequence[tuple[str, int]],
    ) -> "Compared":
        """Compare a candidate whose file came from elsewhere, by a verdict that holds at every look.

        The file is read by a process with limits. `trained_on` must be named, be it as nothing.

        Raises:
            ArgumentError: the file can't be used, is over a limit, or lacks labelled samples.
        """
        from labelloop.steps.compare.compare import compare
        from labelloop.steps.compare.limited import from_bytes

        classes, renamed = self.settings.project.classes, self.project.renamed()
        return compare(
            self.project.ledger,
            from_bytes(body, name, classes, renamed),
            clock=self.project.clock,
            min_gain=min_gain,
            trained_on=trained_on,
            gate=True,
            costs=self.settings.cost_weights(),
        )

    def judges(self) -> "Judges":
        """Return the samples that a candidate must answer."""
        from labelloop.steps.compare.compare import samples

        return samples(self.project.ledger_to_read)

    def compare_shadow(
        self,
        model: str,
        *,
        min_gain: float = 0.0,
        trained_on: Sequence[tuple[str, int]] = (),
        gate: bool = False,
    ) -> "Compared":
        """Compare a shadow model, whose predictions are in the log, with the serving model."""
        from labelloop.steps.compare.candidate import from_log, in_log
        from labelloop.steps.compare.compare import compare, drawn_for, judges

        ledger = self.project.ledger
        frames = [*judges(ledger), *drawn_for(ledger, in_log(model).digest)]
        return compare(
            ledger,
            from_log(self.project.log, model, frames),
            clock=self.project.clock,
            min_gain=min_gain,
            trained_on=trained_on,
            gate=gate,
            costs=self.settings.cost_weights(),
        )

    def promote(self, compared: "Compared", registered: str, version: int) -> bool:
        """Let others hear that a candidate passed, MLflow among them; whether it did.

        Raises:
            ArgumentError: `compared` was made without `gate`.
            ConfigError: nobody would hear of it.
        """
        from labelloop.steps.compare.compare import promote

        if not any("candidate.promoted" in r.on for r in self.project.receivers):
            raise ConfigError(
                f"nobody would hear that {registered} version {version} passed",
                remedy='add [mlflow], or a [[notify]] with on = ["candidate.promoted"]',
            )
        passed = promote(
            self.project.ledger, compared, registered, version, clock=self.project.clock
        )
        if passed:
            with suppress(LeaseHeld):  # whoever holds it tells them
                self.notify()
        return passed

    def write_judges(self, target: Path) -> int:
        """Write a CSV file of the samples that a candidate must predict; return how many there are."""
        from labelloop.steps.compare.compare import write_samples

        return write_samples(self.project.ledger_to_read, target)

    def move_ledger(self, url: str) -> "list[Moved]":
        """Copy the ledger to the database at `url` and verify it; the old ledger is then refused.

        Raises:
            LeaseHeld: a step is running.
            LedgerError: there is no ledger yet, or `url` can't be opened or isn't empty.
        """
        from labelloop.ledger.move import move

        source = self.project.ledger_to_move()
        try:
            target = self.project.ledger_at(url)
        except LedgerError as exc:
            # the settings name another one
            raise LedgerError(
                exc.args[0], remedy=exc.remedy.replace("[state] ledger", "--to")
            ) from exc
        return move(source, target, progress=self.project.progress)

    def back_up(self, into: Path) -> "BackedUp":
        """Copy the ledger, the log's catalog and the answers into a new folder below `into`.

        Verbs may run meanwhile.

        Raises:
            LedgerError: there is no ledger yet, or a copy can't be made.
        """
        from labelloop.steps.backup import back_up

        return back_up(
            self.project.ledger_to_read,
            self.project.other_files(),
            into,
            clock=self.project.clock,
            progress=self.project.progress,
        )

    def restore(self, folder: Path) -> "BackedUp":
        """Put the copies that `back_up` made in their places, where there is no ledger.

        Raises:
            LedgerError: the folder is no backup or damaged, or there is a ledger already.
        """
        from labelloop.steps.backup import restore

        return restore(
            folder,
            self.settings.state.ledger.get_secret_value(),
            self.project.other_files(),
            progress=self.project.progress,
        )

    def join(self, link: str, name: str) -> "tuple[Reply, str | None]":
        """Let a newcomer label the queue of a join link; their token, where they joined.

        Their answers wait until somebody approves them.

        Raises:
            ConfigError: the settings name no labelling page.
        """
        from labelloop.core.verdict import Outcome
        from labelloop.ledger import accounts
        from labelloop.ports.desk import Reply

        desk = self.project.desk
        if desk is None:
            raise ConfigError("there is no labelling page to join", remedy="add [labelling_page]")
        with self.project.ledger.read() as tx:
            taken = {account.name.lower() for account in accounts.every(tx)}
        # a referee's word decides: nobody becomes one by taking the name
        if name.lower() in taken | {each.lower() for each in self.settings.people.referees}:
            return Reply(outcome=Outcome.NAME_TAKEN), None
        reply = desk.join(link, name)
        if not reply.accepted:
            return reply, None
        token = accounts.new_token()
        with self.project.ledger.write_at_once() as tx:
            accounts.add(tx, name, ("label",), token, at=self.project.clock.now())
        return reply, token

    def rebuild_ledger(self) -> "Rebuilt":
        """Rebuild a lost ledger from the log, the annotator and the released versions; report what is lost.

        Raises:
            LedgerError: the ledger isn't empty, or there is no log to rebuild it from.
        """
        return steps.rebuild(self.project).run()

    # --- reading ------------------------------------------------------------------------------

    def status(self) -> "Status":
        """Return the open tasks, what blocks them, and the counts of rejected rows."""
        from labelloop.views.status import status

        return status(
            self.project.ledger_to_read,
            clock=self.project.clock,
            every=self.settings.rounds.every,
            timezone=self.settings.project.timezone,
        )

    def doctor(self, *, repair: bool = False) -> "Diagnosis":
        """Check connections, rights, clocks and addresses: one finding for each check.

        A test page whose link has expired is removed.

        repair
            before that, read every file of the ledger, the log and the datasets, and repair what is
            damaged
        """
        from labelloop.doctor.examination import diagnose
        from labelloop.doctor.repair import repair as mend

        self.settings.require_variables()
        if not repair:
            return diagnose(steps.doctor_subject(self.project))
        mended = mend(
            steps.doctor_subject(self.project),
            finish=self._finish_batches,
            rebuild=lambda versions: steps.build(self.project).again(versions),
        )
        self.close()
        return diagnose(steps.doctor_subject(self.project, thorough=True), after=mended)

    def _finish_batches(self) -> int:
        from labelloop.steps.index.batch_writer import finish_batches

        return finish_batches(self.project.ledger, self.project.log, self.project.clock.now())

    def test_page(self) -> str:
        """Write a page that shows an annotator whether images reach their browser; return its URL.

        Raises:
            ArgumentError: there is no bucket for the page, or no image to show.
        """
        from labelloop.doctor import page

        self.settings.require_variables()
        return page.write(steps.doctor_subject(self.project))

    def report(self) -> "Quality":
        """Return how good the model is, over time and by class, and the datasets made so far."""
        from labelloop.views.quality import quality

        project = self.settings.project
        return quality(
            self.project.ledger_to_read,
            clock=self.project.clock,
            project=project.name,
            timezone=project.timezone,
            queues=self.settings.queues(Purpose.EVALUATION),
            costs=self.settings.cost_weights(),
        )

    def kept_report(self) -> "Quality":
        """Return the report that `run` made last; a new one if it made none under these settings."""
        from labelloop.views import kept_report

        ledger, inputs = self.project.ledger_to_read, self._inputs_of_report()
        return kept_report.kept(ledger, inputs=inputs) or self.report()

    def make_snapshot(self, lasts: timedelta, *, note: str = "", by: str) -> "SnapshotMade":
        """Keep the report as it is now, for whoever gets the link, until that expires.

        by
            who makes it, for those who list the snapshots

        Raises:
            ArgumentError: it lasts no time, or too long, or there is nothing to show yet.
        """
        from labelloop.ledger import snapshots
        from labelloop.pages import report
        from labelloop.views.snapshots import LONGEST, SnapshotMade

        if not timedelta(0) < lasts <= LONGEST:
            raise ArgumentError(
                f"a snapshot can't last {lasts.total_seconds() / 86400:,.4g} days",
                remedy=f"choose more than 0 seconds, and at most {LONGEST.days} days",
            )
        found = self.kept_report()
        if not found.rounds:
            raise ArgumentError(
                "there is nothing to show yet", remedy="`labelloop run` draws the first round"
            )
        at = self.project.clock.now()
        page = report.snapshot(found, expires_at=at + lasts)
        with self.project.ledger.write_at_once() as tx:
            number, token = snapshots.make(tx, page, note=note, by=by, expires_at=at + lasts, at=at)
        base = self.settings.service.base_url or ""
        return SnapshotMade(id=number, url=f"{base}/s/{token}", expires_at=at + lasts)

    def snapshots(self) -> "list[Snapshot]":
        """Return every link to a snapshot, the newest first."""
        from labelloop.ledger import snapshots

        with self.project.ledger_to_read.read() as tx:
            return snapshots.every(tx)

    def revoke_snapshot(self, number: int, *, by: str) -> bool:
        """Let a link open nothing any more; return whether it was in force.

        Raises:
            ArgumentError: there is no such snapshot.
        """
        from labelloop.ledger import snapshots

        with self.project.ledger.write_at_once() as tx:
            return snapshots.revoke(tx, number, by=by, at=self.project.clock.now())

    def _inputs_of_report(self) -> str:
        from labelloop.measuring.kept_results import METHOD_VERSION

        own = self.settings
        queues = [(q.name, q.rule) for q in own.queues(Purpose.EVALUATION)]
        return repr((METHOD_VERSION, own.project.name, own.project.timezone, queues, own.costs))

    def plan(self, half_width: float | None = None) -> "Plan":
        """Return how many blind labels an interval of this half width needs; None: of several."""
        from labelloop.measuring.kept_results import KeptResults
        from labelloop.views.plan import plan

        measured, timezone = self.measure(), self.settings.project.timezone
        with self.project.ledger_to_read.read() as tx:
            return plan(
                tx,
                measured,
                KeptResults(tx, timezone=timezone, level=0.95).rounds,
                queues=self.settings.queues(Purpose.EVALUATION),
                half_width=half_width,
            )

    def waits(self, *, skipped: bool = False) -> "list[Wait]":
        """Return the tasks that wait for a person, oldest first, or those that everybody skipped."""
        from labelloop.views.status import waits

        return waits(self.project.ledger_to_read, skipped=skipped)

    def ties(self) -> "list[Tie]":
        """Return the tasks on which people disagree, by queue and sample."""
        from labelloop.views.status import ties

        return ties(self.project.ledger_to_read)

    def settle(
        self,
        sample_id: str,
        answer: str,
        *,
        by: str,
        queue: str | None = None,
        instead_of: str = "",
    ) -> "Settled":
        """Let `answer` hold for a sample on which people disagree, by the decision of `by`.

        `instead_of` is the decision before, where one is to be changed.

        Raises:
            ArgumentError: people don't disagree on it any more, or the answer is no class.
        """
        from labelloop.steps.collect.settling import settle, tie_of

        with self.project.ledger.write_at_once() as tx:
            key = tie_of(tx, sample_id, queue)
            at = self.project.clock.now()
            return settle(tx, key, answer, by=by, at=at, instead_of=instead_of)

    def rejected(self) -> "list[RejectedRow]":
        """Return the rejected rows, newest first."""
        from labelloop.views.status import rejected

        return rejected(self.project.ledger_to_read)

    def datasets(self) -> "list[DatasetVersion]":
        """Return every released dataset version."""
        from labelloop.ledger import datasets

        with self.project.ledger_to_read.read() as tx:
            return datasets.every(tx)

    def dataset(self, name: str, version: int | None = None) -> "DatasetVersion":
        """Return one released version; the newest if `version` is None.

        Raises:
            DatasetError: there is none of that name or number.
        """
        from labelloop.ledger import datasets

        with self.project.ledger_to_read.read() as tx:
            return datasets.find(tx, name, version)

    def suspects(
        self,
        name: str = "training",
        version: int | None = None,
        *,
        predictions: Path | None = None,
        model: str | None = None,
        limit: int | None = None,
    ) -> "Suspects":
        """Return the labels of a training version that a model contradicts, the surest contradiction first.

        The model's answers are the newest ones in the log, those of `model` alone if it is named, or the
        file `predictions`, as `compare` takes it. They must not have learned from these labels.

        Raises:
            ArgumentError: the version is no training set, the file can't be used, or no label has an
                answer.
        """
        from labelloop.ledger import datasets
        from labelloop.steps.suspects import from_file, from_log, suspects

        classes = self.settings.project.classes
        with self.project.ledger_to_read.read() as tx:
            found = datasets.find(tx, name, version)
            log = None if predictions else self.project.log_to_read
            if predictions:
                opinions = from_file(predictions, classes, self.project.renamed_so_far())
            elif log is not None:
                opinions = from_log(log, model)
            else:
                raise ArgumentError(
                    "there is no prediction log yet", remedy="run `labelloop index` first"
                )
            told = suspects(tx, found, opinions, classes, limit=limit)
        if told.n_labels and not told.n_judged:
            of = "the log's predictions" if model is None else f"model {model!r} in the log"
            raise ArgumentError(
                f"none of the {told.n_labels:,} labels of {told.version} has an answer in "
                f"{predictions or of}",
                remedy="pass --predictions FILE: answers of a model to the samples of that version",
            )
        return told

    def export(
        self,
        versions: "Sequence[DatasetVersion]",
        to: str,
        target: Path | str,
        *,
        link: bool = True,
        folder_kind: "FolderKind" = "names",
        remove_old: bool = False,
    ) -> "Exported":
        """Write a version to `target`, or several as "huggingface". If interrupted, call it again.

        `target` is a path. For an imagefolder it may also be an s3:// URI on the server of the inputs;
        `remove_old` then deletes the images of earlier versions that aren't in this one.

        `link`: images on this machine become hard links if possible, instead of copies.
        `folder_kind`: the folders of an imagefolder have the "names" or the "numbers" of the classes.
        """
        from labelloop.exports import formats
        from labelloop.ledger import classes, datasets

        own = self.settings
        apart_from = filter(None, [own.store.blind_uri, own.state.warehouse])
        place = formats.export_target(
            target, to, inputs=own.store.places(), apart_from=[*apart_from]
        )
        with self.project.ledger.read() as tx:
            earlier = datasets.export_targets(tx, "imagefolder")
            others = classes.answered(tx)
        done = formats.export(
            versions,
            to,
            place,
            store=lambda: self.project.store,
            classes=self.settings.project.classes,
            others=others,
            folder_kind=folder_kind,
            earlier=[Path(other) for other in earlier if other != str(place)],
            link=link,
            remove_old=remove_old,
            progress=self.project.progress,
        )
        redacted = []
        with self.project.ledger.write_at_once() as tx:
            for found in done.redacted:
                taken = datasets.exports_of(tx, found.dataset, found.version)
                held = [e.target for e in taken if e.at < found.at and e.target != str(place)]
                redacted.append(replace(found, exports=tuple(dict.fromkeys(held))))
            for version in versions:
                datasets.record_export(
                    tx,
                    version.name,
                    version.version,
                    format_name=to,
                    target=str(place),
                    at=self.project.clock.now(),
                )
        return replace(done, redacted=tuple(redacted))

    def diff(self, old: "DatasetVersion", new: "DatasetVersion") -> "DatasetDiff":
        """What changed from one dataset version to another, and by whom.

        People are named as the annotator names them; while it can't be asked, by their accounts' ids.
        """
        from labelloop.views.dataset_diff import diff, named

        found = diff(old, new, progress=self.project.progress)
        if not found.by_people:
            return found
        try:
            return named(found, self.project.annotator.accounts())
        except (AnnotatorError, ConfigError):
            return found


def open_loop(
    path: str | Path = FILE_NAME,
    *,
    clock: "Clock | None" = None,
    progress: "Progress" = silent,
) -> Loop:
    """Open the project whose settings are in the file at `path`.

    Raises:
        ConfigError: the file is missing, or a setting in it can't be used.
    """
    return Loop(Project.open(path, clock=clock, progress=progress))
