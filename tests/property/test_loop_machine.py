"""Any order of traffic, verbs, people and trouble leaves the loop whole."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from labelloop.core.annotation import Annotation, resolve, votes
from labelloop.core.task import OPEN, TaskState
from labelloop.core.tombstone import sample_hash
from labelloop.errors import AnnotatorUnavailable, ArgumentError, LabelloopError
from labelloop.exports import manifest
from labelloop.ledger import Ledger, erasures, rounds, tombstones
from labelloop.ledger import tables as t
from labelloop.ports.annotator import RemoteTask, TaskData
from tests.unit.test_kept_results import afresh
from tests.world import ACCURACY, FLAGGED, HEAD, LOW, Killed, World, kill_at_write

PEOPLE = ("ana", "ben", "cem")
SMALL = (
    ACCURACY.replace("5", "3")
    + "annotators_per_sample = 2\n"
    + LOW.replace("4", "2")
    + "overlap = 0.5\n"
    + FLAGGED
)
_template: list[Path] = []


def migrated_ledger() -> Path:
    if not _template:
        path = Path(tempfile.mkdtemp(prefix="labelloop-machine-")) / "ledger.db"
        Ledger.open(f"sqlite:///{path}").close()
        _template.append(path)
    return _template[0]


class LoopMachine(RuleBasedStateMachine):
    """Plays the application, the scheduler, the annotators, and trouble."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="labelloop-machine-"))
        (self.folder / ".labelloop").mkdir()
        shutil.copy(migrated_ledger(), self.folder / ".labelloop" / "ledger.db")
        self.world = World(self.folder, SMALL)
        self.drawn: dict[tuple[int, str], tuple[str, float | None, int]] = {}
        self.released: set[tuple[str, int]] = set()
        self.forgotten: set[str] = set()
        self.classes: tuple[str, ...] = ("cat", "dog")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.loop.close()
            shutil.rmtree(self.folder)

    # --- the application ------------------------------------------------------------------

    @rule(n=st.integers(1, 8), sure=st.booleans(), twin=st.booleans())
    def upload(self, n: int, sure: bool, twin: bool) -> None:
        for _ in range(n):
            self.world.n += 1
            body = f"{self.world.n // 2 if twin else self.world.n}".encode()
            confidence = "0.95" if sure else "0.3"
            self.world.put(f"{self.world.n:04d}.png", body, confidence=confidence)

    @rule(confidence=st.sampled_from(["abc", "nan", "1.2"]))
    def upload_what_cannot_be_read(self, confidence: str) -> None:
        self.world.n += 1
        self.world.put(f"{self.world.n:04d}.png", confidence=confidence)

    @rule(data=st.data(), corrected=st.booleans())
    def give_feedback(self, data: st.DataObject, corrected: bool) -> None:
        if self.world.n:
            number = data.draw(st.integers(1, self.world.n))
            said = {"corrected_class": "dog"} if corrected else {"flagged": "true"}
            with suppress(KeyError):
                self.world.retag(f"{number:04d}.png", **said)

    @rule(data=st.data())
    def delete_an_input(self, data: st.DataObject) -> None:
        if self.world.n > 5:
            number = data.draw(st.integers(1, self.world.n))
            self.world.store.objects_by_uri.pop(f"s3://production/{number:04d}.png", None)

    @rule(hours=st.sampled_from([1, 25, 24 * 8]))
    def let_time_pass(self, hours: int) -> None:
        self.world.clock.pass_(hours=hours)

    # --- the verbs ------------------------------------------------------------------------

    @rule(verb=st.sampled_from(["index", "collect", "select", "send", "build", "measure"]))
    def run_a_verb(self, verb: str) -> None:
        with suppress(AnnotatorUnavailable):
            said = getattr(self.world.loop, verb)()
            if verb == "measure":
                assert said == afresh(self.world, self.folder), "what was kept is what is so"

    @rule()
    def run_all(self) -> None:
        self.world.loop.run(now=True)

    @rule(labels=st.integers(1, 4), at=st.sampled_from([0, 0, 2]))
    def top_up_the_newest_round(self, labels: int, at: int) -> None:
        with self.world.loop.project.ledger.read() as tx:
            newest = rounds.latest(tx)
        if newest is None:
            return
        if at:
            kill_at_write(self.world, at)
        with suppress(Killed, ArgumentError):
            self.world.loop.top_up(newest.round, labels=labels)
        if at:
            self.world.restart()
            self._bury()

    @rule(
        verb=st.sampled_from(["index", "collect", "select", "send", "build"]), at=st.integers(2, 5)
    )
    def kill_a_verb(self, verb: str, at: int) -> None:
        kill_at_write(self.world, at)
        with suppress(Killed, AnnotatorUnavailable):
            getattr(self.world.loop, verb)()
        self.world.restart()
        self._bury()

    @rule(data=st.data(), at=st.sampled_from([0, 0, 7, 8, 9]), open_one=st.booleans())
    def forget(self, data: st.DataObject, at: int, open_one: bool) -> None:
        """A person asks to be erased; `at`: the process is killed at that write, past the leases."""
        drawn = sorted({d.sample_id for d in self.world.draws() if not d.forgotten})
        if not open_one or not drawn:
            drawn = [f"{n:04d}.png" for n in range(1, self.world.n + 2)]
        sample = data.draw(st.sampled_from(drawn))
        before = self._measured()
        if at:
            kill_at_write(self.world, at)
        try:
            self.world.loop.forget([sample], unknown_too=True)
        except Killed:
            self.world.restart()
            self._bury()
        except LabelloopError as exc:  # Label Studio is in trouble: the other parts are done
            if "erased everywhere yet" not in str(exc):
                raise
        with self.world.loop.project.ledger.read() as tx:
            stones = tombstones.every(tx)
        self.forgotten |= stones.among([sample])
        assert self._measured() == before
        self.drawn = {
            (number, sample_hash(s, stones.salt) if s in self.forgotten else s): kept
            for (number, s), kept in self.drawn.items()
        }

    def _measured(self) -> object:
        """Every accuracy: what forgetting doesn't change."""
        found = self.world.loop.measure()
        every = (found.last_seven_days, *found.rounds, *found.days)
        return (
            [(a.name, a.estimate, a.n_drawn, a.n_labelled) for a in every],
            found.by_class,
            found.confusion,
        )

    def _bury(self) -> None:
        """A killed process can't give its lease back; this one lives on, so it is given back here."""
        import sqlalchemy as sa

        from labelloop.ledger import tables as t

        engine = sa.create_engine(self.world.settings.state.ledger.get_secret_value())
        with engine.begin() as tx:
            tx.execute(t.leases.update().values(expires_at=0.0))
        engine.dispose()

    @rule(
        call=st.sampled_from(["import_tasks", "create_project", "find", "tasks", "projects"]),
        done=st.booleans(),
        late=st.sampled_from([0, 0, 2]),
    )
    def break_label_studio(self, call: str, done: bool, late: int) -> None:
        self.world.annotator.fail_next(call, carried_out=done, after_calls=late if done else 0)

    # --- people ---------------------------------------------------------------------------

    def _remote(self, data: st.DataObject) -> RemoteTask | None:
        there = self._all_remote()
        return data.draw(st.sampled_from(there)) if there else None

    def _all_remote(self) -> list[RemoteTask]:
        held = self.world.annotator
        return [task for p in held._projects for task in held._listed(p)]

    @rule(
        data=st.data(),
        choice=st.sampled_from(["cat", "dog", "dog", "bird", "cow"]),
        by=st.sampled_from(PEOPLE),
    )
    def answer(self, data: st.DataObject, choice: str, by: str) -> None:
        task = self._remote(data)
        if task is not None:
            self.world.annotator.answer(task.remote_id, choice, by=by)

    @rule(by=st.sampled_from(PEOPLE), choice=st.sampled_from(["cat", "dog"]))
    def answer_all_that_is_offered(self, by: str, choice: str) -> None:
        for project in self.world.annotator._projects:
            for remote_id in self.world.annotator.offered(project, by=by):
                self.world.annotator.answer(remote_id, choice, by=by)

    @rule(data=st.data(), act=st.sampled_from(["skip", "edit", "delete", "duplicate", "drop"]))
    def meddle(self, data: st.DataObject, act: str) -> None:
        task, held = self._remote(data), self.world.annotator
        if task is None:
            return
        if act == "skip":
            held.skip(task.remote_id, by="ben")
        elif act == "duplicate":
            held.duplicate_task(task.remote_id)
        elif act == "drop":
            held._tasks.pop(task.remote_id)
        elif task.annotations and act == "edit":
            held.edit(task.annotations[0].remote_id, "cat")
        elif task.annotations:
            held.delete_annotation(task.annotations[-1].remote_id)

    @rule(data=st.data())
    def delete_a_project(self, data: st.DataObject) -> None:
        there = list(self.world.annotator._projects)
        if len(there) > 1:
            self.world.annotator.delete_project(data.draw(st.sampled_from(there)))

    @rule(data=st.data())
    def import_what_is_not_ours(self, data: st.DataObject) -> None:
        there = list(self.world.annotator._projects)
        if there:
            stray = TaskData(task_key="", data={"image": "https://example.org/a.png"})
            self.world.annotator.import_tasks(data.draw(st.sampled_from(there)), [stray])

    @rule(title=st.sampled_from(["", "renamed"]), data=st.data())
    def rename_a_project(self, title: str, data: st.DataObject) -> None:
        there = list(self.world.annotator._projects)
        if there:
            self.world.annotator.rename_project(data.draw(st.sampled_from(there)), title)

    @rule(bird=st.booleans())
    def list_a_class_or_retire_it(self, bird: bool) -> None:
        self.classes = ("cat", "dog", "bird") if bird else ("cat", "dog")
        named = ", ".join(f'"{name}"' for name in self.classes)
        self.world.configure(SMALL, head=HEAD.replace('"cat", "dog"', named))

    # --- what always holds ----------------------------------------------------------------

    @invariant()
    def draws_never_change(self) -> None:
        if not hasattr(self, "world"):
            return
        c = t.draws.c
        with self.world.loop.project.ledger.read() as tx:
            rows = tx.execute(sa.select(c.round, c.sample_id, c.queue, c.inclusion, c.position))
            now = {(r.round, r.sample_id): (r.queue, r.inclusion, r.position) for r in rows}
        assert self.drawn.items() <= now.items()
        self.drawn = now

    @invariant()
    def what_is_counted_is_there(self) -> None:
        if hasattr(self, "world"):
            self.world.assert_counts()

    @invariant()
    def the_wall_holds_in_every_new_version(self) -> None:
        if not hasattr(self, "world"):
            return
        assert not self.world.log.held(sorted(self.forgotten)) or self._is_unfinished()
        fresh = {(v.name, v.version) for v in self.world.loop.datasets()} - self.released
        self.released |= fresh
        draws = self.world.draws("accuracy")
        for name, version in fresh:
            if name != "training":
                continue
            rows = list(manifest.rows(self.world.loop.dataset(name, version)))
            assert not {r.sample_id for r in rows} & self.forgotten
            assert len({r.sample_id for r in rows}) == len(rows)
            assert not {r.sample_id for r in rows} & {d.sample_id for d in draws}
            assert not {r.content_hash for r in rows} & {d.content_hash for d in draws}

    @rule(
        then=st.sampled_from(
            [lambda _w: None, lambda w: w.loop.build(), lambda w: w.clock.pass_(days=8)]
        )
    )
    def settle(self, then: Callable[[World], object]) -> None:
        """Once all trouble is over, everything is at its place, once."""
        world = self.world
        world.annotator._faults.clear()
        for _ in range(8):  # what Label Studio was late with is done by now
            world.annotator.projects()
        if self._is_unfinished():
            world.loop.forget([])
        self._nothing_is_left_of_the_forgotten()
        world.loop.index()
        for _ in range(3):
            world.loop.collect()
            world.loop.send()
        world.loop.collect()
        remote = self._all_remote()
        tasks = {t.task_key: t for t in world.tasks().values()}
        assert TaskState.SENDING not in world.states()
        assert TaskState.DRAWN not in world.states()
        waiting = Counter(r.task_key for r in remote if r.task_key and not r.annotations)
        assert not waiting or max(waiting.values()) == 1
        there = {r.task_key for r in remote}
        assert all(t.task_key in there for t in tasks.values() if t.state in OPEN)
        labels = world.labels()
        offered = self._offered_to_somebody_new()
        for key, said in self._usable_answers(remote).items():
            label = resolve(key, said, wanted=tasks[key].answers_wanted)
            assert labels.get(key) == (label.label if label else None), "every answer counts"
            if label is not None:
                assert tasks[key].state is TaskState.RESOLVED
                continue
            enough = len(votes(said)) >= tasks[key].answers_wanted
            assert tasks[key].state is (TaskState.TIED if enough else TaskState.ANNOTATED)
            assert key in offered, "who can settle it is asked"
        then(world)

    def _is_unfinished(self) -> bool:
        with self.world.loop.project.ledger.read() as tx:
            return bool(erasures.unfinished(tx))

    def _nothing_is_left_of_the_forgotten(self) -> None:
        world = self.world
        assert not world.log.held(sorted(self.forgotten))
        for version in world.loop.datasets():
            assert not {r.sample_id for r in manifest.rows(version)} & self.forgotten
        held = repr((world.annotator._tasks, world.log._written))
        with sqlite3.connect(self.folder / ".labelloop" / "ledger.db") as connection:
            held += "".join(connection.iterdump())
        connection.close()
        assert [sample for sample in self.forgotten if sample in held] == []

    def _offered_to_somebody_new(self) -> set[str]:
        held = self.world.annotator
        return {
            str(held.data_of(remote_id)["labelloop"])
            for project in held._projects
            for remote_id in held.offered(project, by="zoe")
        }

    def _usable_answers(self, remote: list[RemoteTask]) -> dict[str, list[Annotation]]:
        """What people say of each task, over all its duplicates."""
        found: dict[str, list[Annotation]] = {}
        for r in remote:
            for a in r.annotations:
                if not a.skipped and a.choices[0] in self.classes and r.task_key:
                    said = Annotation(
                        task_key=r.task_key,
                        remote_id=a.remote_id,
                        updated_at=a.updated_at,
                        annotator=a.annotator,
                        answer=a.choices[0],
                        skipped=False,
                    )
                    found.setdefault(r.task_key, []).append(said)
        return found


LoopMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLoopMachine = LoopMachine.TestCase
