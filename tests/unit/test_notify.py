"""notify: what happened is told to others once it is committed, at least once, in order a subject."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core import due
from labelloop.core.notice import NAMES, Notice
from labelloop.errors import ArgumentError, ConfigError, LeaseHeld
from labelloop.ledger import Ledger, outbox
from labelloop.ledger.outbox import State
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.steps.notify.notify import FAILURES, KEPT, Notify, Subscribed
from labelloop.testing import MemoryReceiver
from labelloop.views.json_form import document
from labelloop.views.verbs import notify_line
from tests.contract.test_receiver import listening
from tests.json_documents import result_of
from tests.served import Service
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, FLAGGED, HEAD, Killed, StoppedClock, World, kill_at_write

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Post:
    """A ledger with two receivers, one of which hears of rounds alone."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.clock = StoppedClock(NOW)
        self.all, self.rounds = MemoryReceiver("all"), MemoryReceiver("rounds")
        self.receivers = (
            Subscribed("a", NAMES, self.all),
            Subscribed("r", ("round.drawn",), self.rounds),
        )
        with ledger.write_at_once() as tx:
            outbox.register(tx, ["a", "r"])
        self.step = Notify(
            ledger, self.receivers, backlog_after=timedelta(days=7), clock=self.clock
        )

    def happens(self, name: str, subject: str, key: str) -> int:
        data = {
            "round": 1, "n_frame": 1, "drawn": {}, "dataset": "d", "version": 1, "n_human": 1,
            "n_model": 0,
        }  # fmt: skip
        notice = Notice(name=name, subject=subject, key=key, at=self.clock.at, data=data)
        with self.ledger.write_at_once() as tx:
            return outbox.record(tx, [notice])

    def states(self) -> list[State]:
        with self.ledger.read() as tx:
            return [d.state for d in outbox.unheard(tx, ["a", "r"])]


@pytest.fixture
def post(ledger: Ledger) -> Post:
    return Post(ledger)


def keys(receiver: MemoryReceiver) -> list[str]:
    return [n.key for n in receiver.heard]


def test_each_hears_once_of_what_it_asked_for(post: Post) -> None:
    assert post.happens("round.drawn", "rounds", "1") == 1
    assert post.happens("round.drawn", "rounds", "1") == 0
    post.happens("dataset.built", "dataset training", "training 1")
    found = post.step.run()
    assert (found.n_delivered, found.n_failed, found.n_waiting, found.n_dead) == (3, 0, 0, 0)
    assert (keys(post.all), keys(post.rounds)) == (["1", "training 1"], ["1"])
    assert post.all.heard[0].id == post.rounds.heard[0].id
    assert post.step.run().n_delivered == 0


def test_one_that_is_new_hears_of_nothing_that_was_before(post: Post) -> None:
    post.happens("round.drawn", "rounds", "1")
    with post.ledger.write_at_once() as tx:
        outbox.register(tx, ["a", "new"])
    post.happens("round.drawn", "rounds", "2")
    new = MemoryReceiver()
    receivers = (*post.receivers, Subscribed("new", NAMES, new))
    Notify(post.ledger, receivers, backlog_after=timedelta(days=7), clock=post.clock).run()
    assert (keys(post.all), keys(new)) == (["1", "2"], ["2"])


def test_what_failed_is_tried_again_later_and_holds_up_its_own_subject_alone(post: Post) -> None:
    post.all.fails = True
    post.happens("round.drawn", "rounds", "1")
    found = post.step.run()
    assert (found.n_delivered, found.n_failed, found.n_waiting) == (1, 1, 1)
    assert found.errors == {"all": "all failed"}
    assert "1 event delivered; 1 to be tried again\nall failed" in notify_line(found)
    post.all.fails = False
    post.happens("round.drawn", "rounds", "2")
    post.happens("dataset.built", "dataset training", "training 1")
    post.step.run()
    assert keys(post.all) == ["training 1"], "the second round waits behind the first"
    post.clock.pass_(minutes=2)
    post.step.run()
    assert keys(post.all) == ["training 1", "1", "2"]


def test_a_receiver_that_is_down_is_asked_a_few_times_a_run(post: Post) -> None:
    post.all.fails = True
    for number in range(20):
        post.happens("dataset.built", f"dataset {number}", str(number))
    assert post.step.run().n_failed == FAILURES
    assert post.all.n_asked == FAILURES


def test_after_days_it_is_given_up_and_can_be_sent_again(post: Post) -> None:
    post.all.fails = True
    post.happens("dataset.built", "dataset training", "1")
    began, n_tries = post.clock.at, 0
    while post.states() != [State.DEAD]:
        n_tries += post.step.run().n_failed
        post.clock.pass_(hours=1)
        assert post.clock.at - began < timedelta(days=6)
    assert post.clock.at - began > timedelta(days=4)
    assert n_tries > 10
    post.happens("dataset.built", "dataset training", "2")
    post.all.fails = False
    post.step.run()
    assert keys(post.all) == ["2"], "what was given up holds up nothing"
    with post.ledger.read() as tx:
        (dead,) = outbox.unheard(tx, ["a"])
    assert post.step.send_again(dead.notice.id).n_delivered == 1
    assert keys(post.all) == ["2", "1"]
    assert post.states() == []
    with pytest.raises(ArgumentError, match="no event 'evt_none'"):
        post.step.send_again("evt_none")


def test_daily_runs_give_up_too() -> None:
    first, now = NOW, NOW
    for n in range(1, 8):
        if due.is_given_up(first, n, now):
            break
        now += timedelta(days=1)
    assert now - first == timedelta(days=4)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_anywhere_it_tells_again_under_the_same_id(make_world: MakeWorld, at: int) -> None:
    world = make_world(ACCURACY)
    receiver = MemoryReceiver()
    hears(world, receiver)
    world.traffic(10)
    world.loop.index()
    world.loop.select()
    # the lease, what is due, and the note of the delivery
    kill_at_write(world, at)
    with pytest.raises(Killed):
        world.loop.notify()
    assert len(receiver.heard) == (0 if at < 3 else 1)
    hears(world, receiver)
    world.loop.notify()
    assert len({n.id for n in receiver.heard}) == 1
    assert len(receiver.heard) == (2 if at == 3 else 1)


def test_two_at_once_are_one(post: Post) -> None:
    post.happens("round.drawn", "rounds", "1")
    with post.ledger.lease("notify"):
        other = Notify(
            Ledger(post.ledger._engine), post.receivers, backlog_after=KEPT, clock=post.clock
        )
        with pytest.raises(LeaseHeld):
            other.run()
    assert post.all.heard == []


def test_old_events_go_when_everybody_has_heard(post: Post) -> None:
    post.happens("round.drawn", "rounds", "1")
    post.step.run()
    post.all.fails = True
    post.happens("round.drawn", "rounds", "2")
    post.clock.pass_(days=100)
    post.happens("round.drawn", "rounds", "3")
    post.step.run()
    with post.ledger.read() as tx:
        assert [n.key for n in outbox.newest(tx, 9)] == ["3", "2"]


# --- what the steps tell ------------------------------------------------------------------------


def hears(world: World, receiver: MemoryReceiver, *names: str) -> None:
    world.loop.close()
    world.loop = Loop(
        Project(
            world.settings,
            clock=world.clock,
            store=world.store,
            log=world.log,
            annotator=world.annotator,
            receivers=[(receiver, names or NAMES)],
        )
    )


def test_a_run_tells_of_its_round_its_datasets_and_an_old_backlog(make_world: MakeWorld) -> None:
    head = HEAD.replace("[training]", "[training]\nretrain_after = 3")
    world, receiver = make_world(ACCURACY + FLAGGED, head=head), MemoryReceiver()
    hears(world, receiver)
    world.traffic(10, flagged="true")
    ran = world.loop.run()
    assert not ran.failures
    assert ran.notified is not None
    result_of(document("run", ran), "run")
    (drawn,) = receiver.heard
    assert (drawn.name, drawn.data["drawn"]) == ("round.drawn", {"accuracy": 5, "flagged": 5})
    world.answer_all()
    world.loop.run()
    told = {(n.name, n.subject) for n in receiver.heard[1:]}
    assert told == {
        ("dataset.built", "dataset evaluation"),
        ("dataset.built", "dataset training"),
        ("training.grown", "dataset training"),
        ("accuracy.measured", "model unversioned"),
    }
    assert world.loop.run().notified is not None
    assert len(receiver.heard) == 5, "nothing new, nothing told"
    world.clock.pass_(days=1, minutes=1)
    world.traffic(10)
    world.loop.run()
    receiver.heard.clear()
    world.clock.pass_(days=8)
    world.loop.run()
    world.loop.run()
    assert [n.subject for n in receiver.heard if n.name == "backlog.old"] == ["queue accuracy"]


def test_a_gate_that_begins_to_fail_is_told_once(make_world: MakeWorld) -> None:
    receiver = MemoryReceiver()
    world = make_world(ACCURACY.replace("5", "200"), head=HEAD + "\n[gate]\naccuracy = 0.9\n")
    hears(world, receiver, "gate.failed")
    world.traffic(300, predicted_class="cat")
    world.loop.run()
    world.answer_all("dog")
    assert world.loop.measure(gate=0.9).gate is not None
    world.loop.run()
    (failed,) = receiver.heard
    assert (failed.data["required"], failed.subject) == (0.9, "model unversioned")
    world.clock.pass_(days=1)
    world.loop.run()
    assert len(receiver.heard) == 1


def test_nobody_listens_and_the_run_says_nothing(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.traffic(5)
    ran = world.loop.run()
    assert (ran.failures, ran.notified) == ({}, None)


def test_a_receiver_that_is_down_fails_no_run(make_world: MakeWorld) -> None:
    world, receiver = make_world(ACCURACY), MemoryReceiver()
    receiver.fails = True
    hears(world, receiver)
    world.traffic(5)
    ran = world.loop.run()
    assert ran.failures == {}
    assert ran.notified is not None
    assert ran.notified.errors == {"memory": "memory failed"}
    (waiting,) = world.loop.unheard()
    assert (waiting.event, waiting.state, waiting.n_attempts) == ("round.drawn", State.WAITING, 1)
    assert [b.says for b in world.loop.status().blocks if b.kind == "not told yet"] == [
        "1 event that a receiver could not be told yet"
    ]


# --- the settings and the command ---------------------------------------------------------------

NOTIFY = """
[[notify]]
url = "{url}"
on = ["round.drawn"]
secret = "made up secret"
"""


def command(world: World, *args: str) -> tuple[int, str]:
    found = CliRunner().invoke(
        group, ["notify", *args, "--config", str(world.folder / "labelloop.toml")]
    )
    return found.exit_code, found.output


def test_the_command_tests_lists_and_resends(make_world: MakeWorld) -> None:
    with listening() as told:
        world = make_world(ACCURACY, head=HEAD + NOTIFY.format(url=f"{told.url}/key-in-path"))
        code, said = command(world, "--test")
        assert (code, said) == (0, f"{told.url}/***: heard\n")
        assert told.heard[0][0]["webhook-id"] == "evt_test"
        told.status = 500
        code, said = command(world, "--test")
        assert (code, said.count(told.url), said.count("remedy: ")) == (1, 1, 1)
        code, said = command(world, "--test", "--json")
        assert code == 1
        assert "answered 500" in result_of(said, "notify-test")[0]["error"]
        world.traffic(5)
        assert world.loop.run().failures == {}
        code, said = command(world)
        assert code == 0
        assert "round.drawn" in said
        event = result_of(command(world, "--json")[1], "unheard")[0]["id"]
        told.status = 200
        told.heard.clear()
        code, said = command(world, "--resend", event)
        assert (code, said.strip()) == (0, "notify   1 event delivered")
        assert [h["webhook-id"] for h, _ in told.heard] == [event]
        assert command(world)[1] == "every receiver has heard of every event\n"
        assert command(world, "--test", "--deliver")[0] == 2
    held = (world.state / "ledger.db").read_bytes()
    assert b"key-in-path" not in held
    assert b"made up secret" not in held


def test_without_receivers_a_test_reaches_nobody(make_world: MakeWorld) -> None:
    assert command(make_world(ACCURACY), "--test") == (
        0,
        "nothing to test: labelloop.toml has no [[notify]]\n",
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('url = "ftp://a/b"\non = ["round.drawn"]', "begins with http:// or https://"),
        ('url = "https://u:p@a/b"\non = ["round.drawn"]', "user or a password"),
        ('url = "https://a/b"\non = ["round.draw"]', "do you mean 'round.drawn'?"),
        ('url = "https://a/b"\non = []', "notify.0.on"),
        (
            'url = "https://a/b"\non = ["round.drawn"]\nsecret = "short"',
            "notify.0.secret is too short: expected 8 characters or more",
        ),
        ('url = "https://a/b"\non = ["round.drawn"]\nform = "teams"', "notify.0.form"),
    ],
)
def test_settings_that_cant_be_used_are_explained(settings: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + ACCURACY + f"\n[[notify]]\n{settings}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert says in str(caught.value)
    assert "//a/b" not in str(caught.value)


def test_two_receivers_have_two_urls(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + ACCURACY + 2 * NOTIFY.format(url="https://a/b"))
    with pytest.raises(ConfigError, match="have one url"):
        load(path, {})


def test_a_variable_that_isnt_set_stops_only_who_tells_others(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + ACCURACY + NOTIFY.format(url="${SLACK_URL}"))
    settings = load(path, {})
    assert settings.project.name == "pets"
    with pytest.raises(ConfigError, match="SLACK_URL"):
        settings.require_variables()
    with pytest.raises(ConfigError, match="SLACK_URL"):
        _ = settings.notify[0].url
    assert (
        load(path, {"SLACK_URL": "https://a/b"}).notify[0].url.get_secret_value() == "https://a/b"
    )


def test_nobody_is_left_out_as_a_variable_isnt_set(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    both = NOTIFY.format(url="http://127.0.0.1:9/a") + NOTIFY.format(url="${SLACK_URL}")
    path.write_text(HEAD + ACCURACY + both)
    with Project.open(path) as project:
        _ = project.ledger
        with pytest.raises(ConfigError, match="SLACK_URL"):
            _ = project.receivers


def test_a_variable_that_isnt_set_makes_no_other_receiver_different(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    plain = NOTIFY.format(url="https://a/b").replace('secret = "made up secret"', "")
    unset = NOTIFY.format(url="https://a/c").replace("made up secret", "${SECRET}")
    path.write_text(HEAD + ACCURACY + plain + unset)
    assert load(path, {}).notify[0].secret is None
    path.write_text(path.read_text() + NOTIFY.format(url="no address"))
    with pytest.raises(ConfigError, match="url"):
        load(path, {})


def test_pages_read_events_and_send_one_again(make_world: MakeWorld) -> None:
    world, receiver = make_world(ACCURACY), MemoryReceiver()
    hears(world, receiver)
    world.traffic(5)
    world.loop.run()
    service = Service(world)
    reader, operator = service.bearer("ann", "read"), service.bearer("bob", "operate")
    (event,) = reader.get("/api/v1/events").json()["result"]
    assert (event["event"], event["id"]) == ("round.drawn", receiver.heard[0].id)
    path = f"/api/v1/events/{event['id']}/resend"
    assert reader.post(path).status_code == 403
    assert operator.post("/api/v1/events/evt_none/resend").status_code == 404
    assert operator.post(path).status_code == 202
    assert service.told == ["notify"]
    world.loop.notify()
    assert [n.id for n in receiver.heard] == [event["id"]] * 2
    service.site.close()


def test_who_operates_delivers_again_from_the_page(make_world: MakeWorld) -> None:
    html = {"Accept": "text/html"}
    with listening() as told:
        told.status = 500
        world = make_world(ACCURACY, head=HEAD + NOTIFY.format(url=told.url))
        world.traffic(5)
        world.loop.run()
        while world.loop.unheard()[0].state is not State.DEAD:
            world.clock.pass_(hours=6)
            world.loop.notify()
        event = world.loop.unheard()[0].id
        service = Service(world)
        operator = service.bearer("bob", "read", "operate")
        shown = operator.get("/activity", headers=html).text.partition('id="unheard"')[2]
        assert "given up" in shown
        assert "answered 500" in shown
        assert event not in service.bearer("ann", "read").get("/activity", headers=html).text
        (path,) = set(re.findall(r'action="(/do/events/[^"]+)"', shown))
        proof = re.search(r'name="csrf" value="([^"]+)"', shown)
        assert proof is not None
        done = operator.post(path, data={"csrf": proof[1], "next": "/activity"}, headers=html)
        assert "delivered once more" in done.text
        assert service.told == ["notify"]
        told.status = 200
        world.loop.notify()
        assert [h["webhook-id"] for h, _ in told.heard][-1] == event
        service.site.forget_results()
        assert 'id="unheard"' not in operator.get("/activity", headers=html).text
        service.site.close()
