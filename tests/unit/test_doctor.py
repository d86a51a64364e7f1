"""The doctor, on a project in memory: what each ailment reads like, and that none hides another."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labelloop.adapters.iceberg.files import IcebergFiles
from labelloop.core.due import VerbState
from labelloop.doctor import page, state
from labelloop.doctor.examination import CHECKS, diagnose
from labelloop.doctor.finding import Check, Diagnosis, Finding, Outcome, examine, fail, ok
from labelloop.doctor.subject import Machine, Subject
from labelloop.errors import (
    AnnotatorUnavailable,
    ArgumentError,
    ConfigError,
    InputTooLarge,
    LogError,
    SourceFileBad,
    StoreDenied,
    StoreUnavailable,
)
from labelloop.ledger import Ledger, verb_states
from labelloop.ledger.database import Identity
from labelloop.project.steps import how_to_read
from labelloop.testing import MemoryAnnotator, MemorySource
from tests.world import ACCURACY, HEAD, LOW, QUEUES, World

NO_BLIND = HEAD.replace('blind_uri = "s3://blind"', "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for i in range(60):
        made.put(f"{i:02}.png", predicted_class="cat" if i % 3 else "dog")
    return made


def subject(world: World, **changes: Any) -> Subject:
    """The world's project as the doctor sees it; its log is the ledger's own."""

    def ledger() -> Ledger | None:
        return Ledger.look(world.settings.state.ledger.get_secret_value())

    def log_identity() -> Identity | None:
        found = ledger()
        return found.identity() if found else None

    given: dict[str, Any] = {
        "settings": world.settings,
        "queues": world.settings.queues(),
        "open_store": lambda: world.store,
        "open_annotator": lambda: world.annotator,
        "open_ledger": ledger,
        "log_identity": log_identity,
        "clock": world.clock,
        "progress": lambda _what, _done, _total: None,
        "machine": Machine(),
    }
    return Subject(**(given | changes))


def with_table(world: World, source: MemorySource, settings: str = "") -> Subject:
    """The same with a table of predictions, in place of tags."""
    world.source = source
    head = HEAD.replace('blind_uri = "s3://blind"', "") if "text" in settings else HEAD
    world.configure(QUEUES, head=f'{head}{settings}[source]\nkind = "csv"\nuri = "x"\n')
    return subject(
        world, open_source=lambda: source, how_to_read=lambda: how_to_read(world.loop.project, {})
    )


def found(diagnosis: Diagnosis, check: str) -> Finding:
    return next(f for f in diagnosis.findings if f.check == check)


def outcomes(diagnosis: Diagnosis) -> set[Outcome]:
    return {f.outcome for f in diagnosis.findings if f.check != "disk"}


def test_a_healthy_project_has_one_line_that_a_person_must_try(world: World) -> None:
    healthy = diagnose(subject(world))
    assert outcomes(healthy) == {Outcome.OK, Outcome.YOU}, healthy
    assert [f.check for f in healthy.findings if f.outcome is Outcome.YOU] == ["browser"]
    assert healthy.n_failed == 0
    assert healthy.not_made == ()


def test_images_that_browsers_dont_show_are_counted_and_named(world: World) -> None:
    for name in ("a.TIF", "b.tiff", "c.heic"):
        world.put(name, predicted_class="cat")
    finding = found(diagnose(subject(world)), "formats")
    assert finding.outcome is Outcome.WARN
    assert "of 63 objects looked at 2 TIFF and 1 HEIC can't be shown" in finding.says
    assert any(name in finding.says for name in ("a.TIF", "b.tiff", "c.heic"))


def test_a_bucket_with_history_is_told_what_to_do(world: World) -> None:
    world.clock.pass_(days=30)
    finding = found(diagnose(subject(world)), "history")
    assert finding.outcome is Outcome.WARN
    assert "older than the first window (7 days)" in finding.says
    assert "`labelloop run --since 20" in finding.remedy
    world.put("new.png", predicted_class="cat")
    world.loop.run()
    assert [f for f in diagnose(subject(world)).findings if f.check == "history"] == []


def test_it_leaves_everything_as_it_was(world: World) -> None:
    before = dict(world.store.objects_by_uri)
    diagnose(subject(world))
    assert world.store.objects_by_uri == before
    assert sorted(p.name for p in world.folder.iterdir()) == ["labelloop.toml"]


def test_it_is_healthy_in_the_middle_of_work_too(world: World) -> None:
    world.loop.run()
    sent = found(diagnose(subject(world)), "tasks")
    assert sent.outcome is Outcome.OK
    assert "tasks in 2 projects" in sent.says


def test_every_remedy_is_there(world: World) -> None:
    for name in AILMENTS:
        patient = World(world.folder)
        patient.put("a.png")
        AILMENTS[name][0](patient)
        for finding in diagnose(subject(patient)).findings:
            assert bool(finding.remedy) == (finding.outcome is not Outcome.OK), finding


# --- ailments ---------------------------------------------------------------------------------


def raising(call: str, error: Exception) -> Callable[[World], None]:
    def break_it(world: World) -> None:
        def before(called: str, _uri: str) -> None:
            if called == call:
                raise error

        world.store.before = before

    return break_it


def setting(**changes: str) -> Callable[[World], None]:
    """Lines of labelloop.toml, by their key."""

    def change(world: World) -> None:
        text = HEAD
        for key, line in changes.items():
            lines = text.splitlines()
            at = next(i for i, old in enumerate(lines) if old.startswith(f"{key} ="))
            text = "\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n"
        world.configure(QUEUES, head=text)

    return change


def expiring(**left: float) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.annotator.personal = True
        world.annotator.access_expires_at = world.clock.at + timedelta(**left)

    return change


def annotator_down(world: World) -> None:
    for _ in range(9):
        world.annotator.fail_next("facts", AnnotatorUnavailable("no answer", remedy="start it"))


def bad_tags(world: World) -> None:
    for i in range(5):
        world.put(f"bad{i}.png", predicted_class="Wolf")


def keys_tell(world: World) -> None:
    world.configure(QUEUES, head=NO_BLIND)
    for i in range(200):
        kind = "cat" if i % 2 else "dog"
        world.put(f"{kind}/{i}.png", predicted_class=kind)


def silent(world: World) -> None:
    """Notifications, the last of which came two days ago."""
    world.configure(QUEUES, head=HEAD.replace("[store]", '[store]\nnotifications = "events"', 1))
    path = world.folder / "events"
    path.mkdir(exist_ok=True)
    (path / "1.jsonl").touch()
    at = world.clock.at.timestamp() - 2 * 86_400
    os.utime(path / "1.jsonl", (at, at))


DENIED = StoreDenied("access is denied", remedy="check the key")
DOWN = StoreUnavailable("no connection", remedy="see whether it runs")
HTTP = 'url = "http://labels.example.com"'


def looking_again(members: list[str], *, referees: Sequence[str] = ()) -> Callable[[World], None]:
    def configured(world: World) -> None:
        world.annotator.members = members
        named = ", ".join(f'"{email}"' for email in referees)
        world.configure(f"{ACCURACY}second_look = true\n[people]\nreferees = [{named}]\n")

    return configured


def served(world: World) -> None:
    """`labelloop serve` has done its first verb."""
    with world.loop.project.ledger.write_at_once() as tx:
        verb_states.put(tx, "index", VerbState(succeeded_at=world.clock.now()))


AILMENTS: dict[str, tuple[Callable[[World], object], str, Outcome, str]] = {
    "store down": (raising("objects", DOWN), "store", Outcome.FAIL, "no connection"),
    "wrong key": (raising("objects", DENIED), "access", Outcome.FAIL, "denied"),
    "tags denied": (raising("tags", DENIED), "tags", Outcome.FAIL, "denied"),
    "odd tags": (bad_tags, "tags", Outcome.WARN, "unknown class, such as bad"),
    "no notifications": (
        lambda w: w.configure(
            QUEUES, head=HEAD.replace("[store]", '[store]\nnotifications = "nowhere"', 1)
        ),
        "notifications",
        Outcome.FAIL,
        "nowhere can't be read: No such file",
    ),
    "silent notifications": (silent, "notifications", Outcome.WARN, "events for 48 hours"),
    "copies denied": (raising("copy_blind", DENIED), "blind copies", Outcome.FAIL, "denied"),
    "no blind place": (
        lambda w: w.configure(QUEUES, head=NO_BLIND),
        "blind copies",
        Outcome.FAIL,
        "blind_uri is not set",
    ),
    "keys tell": (keys_tell, "blindness", Outcome.FAIL, "keys name the predicted class"),
    "short-lived inputs": (
        lambda w: w.store.lifetimes.update({"s3://production": timedelta(days=3)}),
        "retention",
        Outcome.WARN,
        "deletes inputs after 3 days, while links work for 7 days",
    ),
    "short-lived copies": (
        lambda w: w.store.lifetimes.update({"s3://blind": timedelta(days=1)}),
        "copies kept",
        Outcome.WARN,
        "deletes blind copies after 1 day",
    ),
    "rules unreadable": (raising("retention", DENIED), "retention", Outcome.YOU, "may not read"),
    "CORS": (
        lambda w: w.store.allowed_origins.clear(),
        "image links",
        Outcome.FAIL,
        "CORS keeps the labelling page at http://127.0.0.1:9 from reading them",
    ),
    "public endpoint": (
        lambda w: (
            setting(endpoint_url='endpoint_url = "http://a.b"\npublic_endpoint_url = "http://c.d"')(
                w
            ),
            raising("view", DOWN)(w),
        ),
        "image links",
        Outcome.YOU,
        "can't open the public endpoint",
    ),
    "single label": (
        setting(endpoint_url='endpoint_url = "http://minio:9000"'),
        "addresses",
        Outcome.WARN,
        "minio is a name without a dot",
    ),
    "underscore": (
        setting(url='url = "http://label_studio:8080"'),
        "addresses",
        Outcome.FAIL,
        "label_studio contains an underscore",
    ),
    "this machine only": (
        setting(url=HTTP),
        "addresses",
        Outcome.WARN,
        "http://127.0.0.1:9 is an address of this machine only",
    ),
    "mixed content": (
        setting(
            url='url = "https://labels.example.com"',
            endpoint_url='endpoint_url = "http://images.example.com"',
        ),
        "addresses",
        Outcome.FAIL,
        "browsers block http images in https pages",
    ),
    "Label Studio down": (annotator_down, "Label Studio", Outcome.FAIL, "no answer"),
    "old Label Studio": (
        lambda w: setattr(w.annotator, "version", "1.9.2"),
        "Label Studio",
        Outcome.WARN,
        "older than any that was tested",
    ),
    "private bucket": (
        lambda w: w.configure(LOW.replace("budget", 'images = "label-studio"\nbudget')),
        "private bucket",
        Outcome.WARN,
        "queue 'low' has it sign the links",
    ),
    "private service": (
        served,
        "webhooks",
        Outcome.WARN,
        "calls no private address such as 127.0.0.1 when answers come",
    ),
    "unknown referee": (
        looking_again(["ana", "ben"], referees=["rob@labelloop.invalid"]),
        "people",
        Outcome.FAIL,
        "referee 'rob@labelloop.invalid' is no member",
    ),
    "one person": (looking_again(["ana"]), "people", Outcome.WARN, "nobody is asked again"),
    "no referee": (looking_again(["ana", "ben"]), "people", Outcome.WARN, "names no referee"),
    "one referee": (
        looking_again(["ana", "ben"], referees=["ben@labelloop.invalid"]),
        "people",
        Outcome.OK,
        "1 referee",
    ),
    "expired token": (expiring(minutes=-1), "token", Outcome.FAIL, "has expired"),
    "expiring token": (expiring(days=3, hours=1), "token", Outcome.WARN, "3 days left"),
    "lasting token": (expiring(days=73_000), "token", Outcome.OK, "more than ten years left"),
}


@pytest.mark.parametrize("name", AILMENTS)
def test_an_ailment_is_named(world: World, name: str) -> None:
    break_it, check, outcome, says = AILMENTS[name]
    break_it(world)
    diagnosis = diagnose(subject(world))
    of_it = [f for f in diagnosis.findings if f.check == check]
    assert any(f.outcome is outcome and says in f.says for f in of_it), of_it
    assert bool(diagnosis.n_failed) == (outcome is Outcome.FAIL)


def test_a_store_that_cant_be_opened_hides_nothing_else(world: World) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("by zero")

    diagnosis = diagnose(subject(world, open_store=broken))
    assert found(diagnosis, "store").says == "the check itself failed: ZeroDivisionError: by zero"
    assert found(diagnosis, "Label Studio").outcome is Outcome.OK
    assert found(diagnosis, "tasks").outcome is Outcome.OK
    assert "blind copies" in diagnosis.not_made


def test_what_needs_a_failed_check_is_not_made_and_named(world: World) -> None:
    made = examine(
        [
            Check("a", lambda _: [fail("no", "mend it")]),
            Check("b", lambda _: [ok("yes")], needs=("a",)),
            Check("c", lambda _: [ok("yes")], needs=("b",)),
            Check("d", lambda _: [ok("yes")]),
        ],
        subject(world),
    )
    assert [f.check for f in made.findings] == ["a", "d"]
    assert made.not_made == ("b", "c")


def test_every_need_is_the_name_of_an_earlier_check() -> None:
    seen = {"access"}  # the store's second finding
    for check in CHECKS:
        assert set(check.needs) <= seen, check.name
        seen.add(check.name)


# --- clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "outcome"), [(10, Outcome.OK), (-120, Outcome.WARN), (1200, Outcome.FAIL)]
)
def test_a_clock_that_differs_is_named(world: World, ahead: int, outcome: Outcome) -> None:
    world.annotator._now = lambda: world.clock.at + timedelta(seconds=ahead)
    finding = found(diagnose(subject(world)), "clocks")
    assert finding.outcome is outcome
    if outcome is not Outcome.OK:
        way = "ahead of" if ahead > 0 else "behind"
        assert f"the clock of the annotator is {abs(ahead):,} s {way} this one" in finding.says


# --- state ------------------------------------------------------------------------------------

OVERLAY = "1 0 0:1 / / rw - overlay overlay rw"


@pytest.mark.parametrize(
    ("mounts", "in_container", "outcome", "says"),
    [
        (OVERLAY, True, Outcome.FAIL, "the container's own disk"),
        (OVERLAY, False, Outcome.OK, "free"),
        (f"{OVERLAY}\n2 1 8:1 / {{}} rw - ext4 /dev/sda rw", True, Outcome.OK, "free"),
        (f"{OVERLAY}\n2 1 0:5 / {{}} rw - tmpfs tmpfs rw", False, Outcome.FAIL, "is on memory"),
        (f"{OVERLAY}\n2 1 0:5 / {{}} rw - nfs4 host:/x rw", False, Outcome.WARN, "network drive"),
    ],
)
def test_a_disk_that_doesnt_last_is_named(
    world: World, mounts: str, in_container: bool, outcome: Outcome, says: str
) -> None:
    machine = Machine(mounts=mounts.format(world.folder), in_container=in_container)
    [finding] = [f for f in diagnose(subject(world, machine=machine)).findings if f.check == "disk"]
    assert (finding.outcome, says in finding.says) == (outcome, True), finding


def test_folders_of_one_disk_inside_each_other_are_one_line(world: World) -> None:
    for name in ("log", "datasets"):
        (world.folder / ".labelloop" / name).mkdir(parents=True)
    disk = [f.says for f in diagnose(subject(world)).findings if f.check == "disk"]
    assert len(disk) == 1
    assert f"{world.folder / '.labelloop'} (ledger, log, catalog, datasets)" in disk[0]


def test_an_engine_that_cannot_start_is_named_where_one_is_asked_for(world: World) -> None:
    def refuse() -> None:
        raise ConfigError("needs pyspark", remedy="install it")

    diagnosis = diagnose(subject(world, check_engine=refuse))
    assert "engine" not in {f.check for f in diagnosis.findings}
    world.configure(QUEUES + '[engine]\nkind = "spark"\nmaster = "yarn"\n')
    refused = found(diagnose(subject(world, check_engine=refuse)), "engine")
    seen = (refused.outcome, refused.says, refused.remedy)
    assert seen == (Outcome.FAIL, "needs pyspark", "install it")
    there = found(diagnose(subject(world)), "engine")
    assert (there.outcome, "selections run on yarn" in there.says) == (Outcome.OK, True)


def test_a_full_disk_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10**8})
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage)
    assert found(diagnose(subject(world)), "disk").outcome is Outcome.FAIL


def test_the_nearest_folder_that_exists_is_what_counts(tmp_path: Path) -> None:
    assert state.existing_folder(tmp_path / "a" / "b") == tmp_path


def test_a_lost_ledger_is_named_before_anything_is_written(world: World) -> None:
    finding = found(diagnose(subject(world, log_identity=lambda: Identity("f00", b"salt"))), "log")
    assert finding.outcome is Outcome.FAIL
    assert "belongs to ledger f00, and there is no ledger" in finding.says


def test_a_log_of_another_ledger_is_named(world: World) -> None:
    world.loop.run()
    finding = found(diagnose(subject(world, log_identity=lambda: Identity("f00", b"salt"))), "log")
    assert finding.outcome is Outcome.FAIL
    assert "belongs to ledger f00, not to this one" in finding.says


def test_a_warehouse_that_cannot_be_written_is_named(world: World) -> None:
    class Refusing(IcebergFiles):
        def check_writable(self) -> None:
            raise LogError("Writing s3://b/log/labelloop-check failed: HTTP 411", remedy="mend it")

    refusing = Refusing(warehouse="s3://b/log", catalog="sqlite:///catalog.db")
    finding = found(diagnose(subject(world, log_files=refusing)), "log")
    assert finding.outcome is Outcome.FAIL
    assert "411" in finding.says


def test_a_damaged_ledger_is_named(world: World) -> None:
    (world.folder / ".labelloop").mkdir()
    (world.folder / ".labelloop" / "ledger.db").write_bytes(b"no database at all, sadly" * 99)
    diagnosis = diagnose(subject(world))
    assert "can't be opened" in found(diagnosis, "ledger").says
    assert diagnosis.not_made == (
        "webhooks",
        "log",
        "ledger's file",
        "batches",
        "datasets",
        "tasks",
    )


# --- sent tasks -----------------------------------------------------------------------------


@pytest.fixture
def sent(world: World) -> World:
    world.loop.run()
    return world


def whereabouts(world: World) -> list[str]:
    return [f.says for f in diagnose(subject(world)).findings if f.check == "tasks"]


@pytest.mark.mistake("tasks-foreign")
def test_deleted_copied_and_foreign_tasks_are_counted(sent: World) -> None:
    project_ref = sent.project_ref("low")
    first, second, *_ = sent.annotator.task_ids(project_ref)
    sent.annotator.delete_task(first)
    sent.annotator.duplicate_task(second)
    data = {"image": "http://127.0.0.1/x.png"}
    sent.annotator._add(project_ref, data)
    where = f"in project {project_ref} (low)"
    assert whereabouts(sent) == [
        f"1 open tasks are gone {where}",
        f"1 tasks are there more than once {where}",
        f"1 tasks {where} weren't sent by this ledger: somebody imported or copied them",
    ]
    sent.loop.collect()
    sent.loop.send()
    assert whereabouts(sent) == [
        f"1 tasks {where} weren't sent by this ledger: somebody imported or copied them"
    ]


def test_a_deleted_project_is_named(sent: World) -> None:
    project_ref = sent.project_ref("low")
    sent.annotator.delete_project(project_ref)
    assert whereabouts(sent) == [
        f"project {project_ref} of queue 'low' is gone from the annotator, with 4 open tasks"
    ]


@pytest.mark.mistake("marker-removed")
def test_a_project_whose_marker_was_removed_is_not_called_gone(sent: World) -> None:
    sent.annotator.remove_marker(sent.project_ref("low"))
    [says] = whereabouts(sent)
    assert "has lost the line" in says


@pytest.mark.mistake("label-studio-moved")
def test_another_label_studio_is_named(sent: World) -> None:
    sent.loop.collect()
    sent.annotator = MemoryAnnotator(url="http://other", now=lambda: sent.clock.at)
    [says] = whereabouts(sent)
    assert "labelloop last saw them at http://annotator.invalid" in says


@pytest.mark.mistake("account-outside")
def test_an_account_outside_the_organisation_is_named(sent: World) -> None:
    sent.annotator.outside = True
    finding = found(diagnose(subject(sent)), "Label Studio")
    assert (finding.outcome, "no organisation" in finding.says) == (Outcome.FAIL, True)


def test_projects_of_a_lost_ledger_are_named(sent: World) -> None:
    [says] = [
        f.says
        for f in diagnose(
            subject(sent, open_ledger=lambda: None, log_identity=lambda: None)
        ).findings
        if f.check == "tasks"
    ]
    assert "this ledger has sent nothing, but the annotator has a project 'pets: accuracy'" in says


# --- the page ---------------------------------------------------------------------------------


def test_the_page_shows_an_image_and_its_copy_and_goes_away(world: World) -> None:
    before = set(world.store.objects_by_uri)
    url = page.write(subject(world))
    made = set(world.store.objects_by_uri) - before
    assert made == {"s3://blind/labelloop-page/page.html", "s3://blind/labelloop-page/image"}
    assert "labelloop-page/page.html" in url
    html = world.store.read("s3://blind/labelloop-page/page.html").decode()
    assert html.count("<img ") == 2
    world.clock.pass_(hours=23)
    diagnose(subject(world))
    assert made <= set(world.store.objects_by_uri)
    world.clock.pass_(hours=2)
    diagnose(subject(world))
    assert set(world.store.objects_by_uri) == before


def test_the_page_of_a_project_with_blind_queues_only_names_no_key(world: World) -> None:
    world.configure(ACCURACY)
    page.write(subject(world))
    html = world.store.read("s3://blind/labelloop-page/page.html").decode()
    assert html.count("<img ") == 1
    assert ".png" not in html


@pytest.mark.parametrize("empty", [True, False])
def test_a_page_without_a_place_or_an_image_is_refused(world: World, empty: bool) -> None:
    if empty:
        world.store.objects_by_uri.clear()
    else:
        world.configure(LOW, head=NO_BLIND)
    with pytest.raises(ArgumentError, match="no image" if empty else "blind_uri is not set"):
        page.write(subject(world))


# --- tables and texts -------------------------------------------------------------------------

ROW = {"sample_id": "a", "predicted_class": "cat", "predicted_at": "2026-03-02"}


def test_a_table_is_looked_at_in_place_of_tags(world: World) -> None:
    world.put("untagged.png", predicted_class="-", confidence="-", timestamp="-")
    source = MemorySource()
    source.put("monday", [ROW | {"sample_id": "untagged.png"}])
    healthy = diagnose(with_table(world, source))
    assert outcomes(healthy) == {Outcome.OK, Outcome.YOU}, healthy
    assert "1 file;" in found(healthy, "table").says
    assert "tags" not in {f.check for f in healthy.findings}
    assert "the inputs of the newest rows exist" in found(healthy, "inputs").says
    source.put("monday evening", [ROW | {"sample_id": "elsewhere"}])
    inputs = found(diagnose(with_table(world, source)), "inputs")
    assert (inputs.outcome, "elsewhere" in inputs.says) == (Outcome.FAIL, True)
    source.put("tuesday", [ROW | {"predicted_class": "cow"}])
    rows = found(diagnose(with_table(world, source)), "rows")
    assert (rows.outcome, rows.says) == (
        Outcome.FAIL,
        "1 of 1 rows looked at would be rejected; most often (1): unknown class",
    )
    source.put("wednesday", [{"sample": "a"}])
    table = found(diagnose(with_table(world, source)), "table")
    assert (table.outcome, table.remedy) == (
        Outcome.FAIL,
        "did you mean 'sample'? it has sample",
    )
    source.put("thursday", SourceFileBad("no footer"))
    assert found(diagnose(with_table(world, source)), "table").outcome is Outcome.WARN


def test_looking_at_a_table_makes_no_ledger(tmp_path: Path) -> None:
    world = World(tmp_path)
    source = MemorySource()
    source.put("monday", [ROW])
    with_table(world, source)
    assert "none yet" in found(world.loop.doctor(), "ledger").says
    assert not (tmp_path / ".labelloop").exists()


def test_an_image_too_large_for_a_task_is_counted(world: World) -> None:
    world.store.inline = True

    def refuse(operation: str, uri: str) -> None:
        if operation == "presign":
            raise InputTooLarge(f"{uri} has too many bytes", remedy="serve it")

    world.store.before = refuse
    finding = found(diagnose(subject(world)), "image links")
    assert finding.outcome is Outcome.FAIL
    assert "60 of 60 checked images can't be shown to annotators" in finding.says


def test_texts_need_no_place_for_copies(world: World) -> None:
    source = MemorySource()
    source.put("monday", [ROW | {"prompt": "x"}])
    healthy = diagnose(with_table(world, source, '[input]\nkind = "text"\n'))
    assert healthy.n_failed == 0, healthy
    assert "hold the texts" in found(healthy, "blind copies").says
    assert "image links" not in {f.check for f in healthy.findings}


def test_texts_of_a_table_need_no_inputs_in_the_store(tmp_path: Path) -> None:
    source = MemorySource()
    source.put("monday", [ROW | {"prompt": "x"}])
    healthy = diagnose(with_table(World(tmp_path), source, '[input]\nkind = "text"\n'))
    listed = found(healthy, "store")
    assert (listed.outcome, "none are needed" in listed.says) == (Outcome.OK, True)
    images = found(diagnose(with_table(World(tmp_path), source)), "store")
    assert (images.outcome, "is empty" in images.says) == (Outcome.WARN, True)


def test_confidences_in_percent_are_explained(world: World) -> None:
    for i in range(99):
        world.put(f"percent{i}.png", confidence=f"{i}.5%")
    finding = next(
        f
        for f in diagnose(subject(world)).findings
        if f.check == "tags" and f.outcome is Outcome.FAIL
    )
    assert "confidences are in percent" in finding.says
    assert "confidence_divisor = 100 in [store]" in finding.remedy


def test_a_dropped_class_that_labels_hold_is_told_for_a_month(world: World) -> None:
    world.loop.run(now=True)
    world.answer_all("dog")
    world.loop.collect()
    head = (world.folder / "labelloop.toml").read_text()
    world.configure("", head=head.replace('["cat", "dog"]', '["cat", "dogs"]'))
    for _ in range(2):
        says = [f.says for f in diagnose(subject(world)).findings if f.outcome is Outcome.WARN]
        assert any(
            "labels hold the class 'dog', which [project] no longer names" in s for s in says
        )
        world.loop.index()
    world.clock.pass_(days=31)
    says = [f.says for f in diagnose(subject(world)).findings]
    assert not any("labels hold" in s for s in says)


def test_a_clock_that_runs_ahead_is_reported(world: World) -> None:
    world.put("ahead.png", timestamp="2027-03-01T00:00:00Z")
    finding = found(diagnose(subject(world)), "tags")
    assert finding.outcome is Outcome.WARN
    assert "1 of 61 checked predictions are dated in the future" in finding.says


def test_a_threshold_on_another_scale_is_a_warning(world: World) -> None:
    world.configure(QUEUES.replace("confidence < 0.7", "confidence < 70"))
    [finding] = [
        f
        for f in diagnose(subject(world)).findings
        if f.check == "settings" and f.outcome is Outcome.WARN
    ]
    assert "compares confidence with 70" in finding.says
