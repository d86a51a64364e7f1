"""The same course with the labelling page: the loop is killed, and so are the people's browsers and service.

A person answers as the page's script does: what they mean to say is written down first, and said again from
the start by whoever comes after a kill. Every third answer is wrong at first, taken back, and given anew.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from labelloop.core.verdict import ACCEPTED
from labelloop.demo.servers import SeaweedFS
from labelloop.loop import open_loop
from labelloop.ports.desk import Answer, Desk
from tests.chaos.trial import SETTINGS, Course, End, in_child, query, said_of

FIRST, REFEREE = "pat@labelloop.example", "ana@labelloop.example"
_KINDS = SETTINGS.index("[label_studio]"), SETTINGS.index("[[queue]]")


class DeskCourse(Course):
    """A course whose people answer on the labelling page. A kill before stage i is at -i."""

    settings = f"{SETTINGS[: _KINDS[0]]}[labelling_page]\n\n{SETTINGS[_KINDS[1] :]}"

    def __init__(self, home: Path, seaweedfs: SeaweedFS) -> None:
        super().__init__(home, seaweedfs, None)
        in_child(self._template, invite)
        self._kills: Mapping[int, int] = {}
        self._points: dict[int, list[str]] = {}
        self._killed: list[str] = []

    def close(self) -> None:
        self._s3.close()

    def run(self, kills: Mapping[int, int]) -> tuple[End, dict[int, list[str]], list[str]]:
        self._kills, self._points, self._killed = kills, {}, []
        end, points, killed = super().run(kills)
        return end, points | self._points, killed + self._killed

    def _answer(self, folder: Path, stage: int) -> None:
        at = self._kills.get(-stage, 0)
        if at:
            done, seen = in_child(folder, label, kill_at=at)
            if not done:
                self._killed.append(f"people {stage}, {seen[-1] if seen else 'at their start'}")
        done, self._points[-stage] = in_child(folder, label)
        assert done

    def _remote(self, folder: Path) -> tuple[list[tuple[str, int]], int]:
        with open_loop(folder / "labelloop.toml") as loop:
            annotator = loop.project.annotator
            refs = [project.project_ref for project in annotator.projects()]
            tasks = [t for ref in refs for page in annotator.tasks(ref) for t in page]
        standing = ", ".join(f"'{outcome.value}'" for outcome in ACCEPTED)
        counts = query(
            folder,
            "SELECT (SELECT sum(n_open) FROM projects), (SELECT count(*) FROM tasks WHERE is_open), "
            "(SELECT count(*) FROM annotations), "
            f"(SELECT count(*) FROM replies WHERE stands AND outcome IN ({standing}))",
            of="answers.db",
        )
        [(n_open, n_counted, n_answers, n_standing)] = counts
        assert (n_open, n_answers) == (n_counted, n_standing), counts
        return [(task.task_key, len(task.annotations)) for task in tasks], len(refs)

    def _remove_projects(self) -> None:
        """Nothing outlives the folder."""


def invite(folder: Path) -> None:
    """Let both people label every queue."""
    with open_loop(folder / "labelloop.toml") as loop:
        assert loop.project.desk is not None
        for person in (FIRST, REFEREE):
            loop.project.desk.assign(person, None)


def label(folder: Path) -> None:
    """Answer all that waits, as two people do."""
    with open_loop(folder / "labelloop.toml") as loop:
        desk = loop.project.desk
        assert desk is not None
        kept = folder / ".labelloop" / "browser.json"
        if kept.exists():
            say(desk, json.loads(kept.read_text()))
        samples = {
            key: (str(sample), int(str(look)))
            for key, sample, look in query(folder, "SELECT task_key, sample_id, look FROM tasks")
        }
        keys = dict(query(folder, "SELECT item_id, task_key FROM tasks", of="answers.db"))
        for person in (FIRST, REFEREE):
            for queue in desk.queues(person):
                while items := desk.next_items(queue.name, person):
                    for item in items:
                        right = said_of(*samples[keys[item.item_id]])
                        says = [person, item.item_id, right]
                        draft = kept.with_suffix(".new")
                        draft.write_text(json.dumps(says))
                        draft.replace(kept)
                        say(desk, says)


def say(desk: Desk, says: list[str]) -> None:
    """Give the answer that a browser keeps, however much of it was said before."""
    person, item_id, right = says
    ids = [hashlib.sha256(f"{item_id} {n}".encode()).hexdigest() for n in range(2)]
    if int(ids[0][:4], 16) % 3 == 0:
        wrong = "dog" if right == "cat" else "cat"
        first = Answer(answer_id=ids[0], item_id=item_id, choice=wrong)
        assert desk.give(person, first).accepted
        held = desk.item(item_id, person)
        if held is not None and held.answer is not None and held.answer.answer_id == ids[0]:
            assert desk.undo(person, item_id).accepted
    last = Answer(answer_id=ids[1], item_id=item_id, choice=right)
    assert desk.give(person, last).accepted
