"""labelloop.toml: what is wrong is named, with the nearest right one, and no secret is shown."""

from datetime import timedelta
from pathlib import Path

import pytest

from labelloop import __version__
from labelloop.core.queue import Purpose
from labelloop.errors import ConfigError
from labelloop.settings.file import load, reference
from labelloop.settings.settings import Settings
from labelloop.settings.values import duration
from tests.world import HEAD, QUEUES

GOOD = HEAD + QUEUES
SECRETS = {"KEY": "k3y-0f-st0r3", "SECRET": "s3cr3t-0f-st0r3", "TOKEN": "t0k3n-0f-ls"}
WITH_SECRETS = (
    GOOD.replace('access_key = "a"', 'access_key = "${KEY}"')
    .replace('secret_key = "b"', 'secret_key = "${SECRET}"')
    .replace('api_key = "k"', 'api_key = "${TOKEN}"')
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labelloop.toml"


def read(path: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path.write_text(text)
    return load(path, environment or {})


def refused(path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, text, environment)
    assert caught.value.remedy
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_good_file_is_read_with_its_defaults(path: Path) -> None:
    settings = read(path, GOOD)
    assert settings.project.timezone == "UTC"
    assert settings.rounds.every == timedelta(days=1)
    assert settings.rounds.first_window == settings.store.presign_life == timedelta(days=7)
    assert settings.rounds.feedback_horizon == timedelta(days=2)
    assert settings.training.confidence == 0.9
    assert settings.state.datasets == path.parent.resolve() / ".labelloop/datasets"
    assert settings.state.ledger.get_secret_value() == (
        f"sqlite:///{path.parent.resolve()}/.labelloop/ledger.db"
    )
    assert [q.name for q in settings.queues()] == ["accuracy", "low", "flagged"]


def test_a_bucket_needs_no_keys_and_copies_may_lie_beside_the_prefixes(path: Path) -> None:
    keys = 'endpoint_url = "http://127.0.0.1:9"\naccess_key = "a"\nsecret_key = "b"\n'
    text = GOOD.replace(keys, 'profile = "food"\nprefixes = ["a/", "b/"]\n')
    store = read(path, text.replace('"s3://blind"', '"s3://production/c"')).store
    assert (store.access_key, store.endpoint_url, store.addressing) == (None, None, "auto")
    assert store.places() == ["s3://production/a", "s3://production/b"]


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("inputs", "{here}/inputs"),
        ("./a b#/../inputs é", "{here}/inputs%20%C3%A9"),
        ("/data/inputs/", "file:///data/inputs"),
        ("file:///data/in%20puts", "file:///data/in%20puts"),
        ("file:///data/in puts", "file:///data/in%20puts"),
    ],
)
def test_a_folder_is_found_from_where_the_file_lies(path: Path, written: str, uri: str) -> None:
    text = GOOD.replace("s3://production", written).replace("s3://blind", "copies")
    store = read(path, text).store
    here = path.parent.resolve().as_uri()
    assert store.is_folder
    assert store.uri == uri.format(here=here)
    assert store.blind_uri == f"{here}/copies"


def test_label_studio_signs_links_to_buckets_only(path: Path) -> None:
    text = GOOD.replace("s3://production", "inputs").replace("s3://blind", "copies")
    said = refused(path, text.replace("budget = 4", 'budget = 4\nimages = "label-studio"'))
    assert "needs a bucket" in said


def test_copies_in_a_folder_may_not_lie_among_the_inputs(path: Path) -> None:
    text = GOOD.replace("s3://production", "data").replace("s3://blind", "data/blind")
    assert "lies inside store.uri" in refused(path, text)
    apart = text.replace('"data/blind"', '"data/blind"\nprefixes = ["in puts"]')
    assert read(path, apart).store.places()[0].endswith("/data/in%20puts")


@pytest.mark.parametrize("key", ["ledger", "warehouse", "catalog", "datasets"])
def test_a_nul_character_is_refused_where_it_stands(path: Path, key: str) -> None:
    said = refused(path, GOOD + f'[state]\n{key} = "a\\u0000b"\n')
    assert f"state.{key} contains a NUL character" in said


def test_evaluation_comes_first_wherever_it_stands(path: Path) -> None:
    low, accuracy = QUEUES.index('[[queue]]\nname = "low"'), QUEUES.index("[[queue]]")
    text = HEAD + QUEUES[low:] + QUEUES[accuracy:low]
    queues = read(path, text).queues()
    assert [q.name for q in queues] == ["accuracy", "low", "flagged"]
    assert queues[0].purpose is Purpose.EVALUATION
    assert queues[2].on_feedback
    assert not queues[1].on_feedback


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # keys
        ("blind_uri", "blind_url", ["unknown key store.blind_url", "did you mean blind_uri?"]),
        (
            "budget = 4",
            "budgte = 4",
            ["unknown key 'budgte' in queue 'low'", "did you mean budget?"],
        ),
        ("[training]", "[trainnig]", ["unknown key trainnig", "did you mean training?"]),
        ("[training]\nconfidence", "[training]\nconfidenze", ["training.confidenze"]),
        ('name = "low"', 'nmae = "low"', ["queue 2 name is missing", "did you mean name?"]),
        ('name = "pets"', "", ["project.name is missing"]),
        ('api_key = "k"', "", ["label_studio.api_key is missing"]),
        # project
        ('"pets"', '""', ["project.name"]),
        ('["cat", "dog"]', '["cat"]', ["project.classes"]),
        ('["cat", "dog"]', '["cat", "cat"]', ["class 'cat' is listed twice"]),
        ('["cat", "dog"]', '["cat", " dog"]', ["class ' dog'"]),
        ('["cat", "dog"]', '["cat", "d\\tog"]', ["class 'd\\tog'"]),
        ('["cat", "dog"]', '["cat", 7]', ["project.classes.1 = 7"]),
        (
            "[store]",
            'timezone = "Mars/Olympus"\n[store]',
            ["Mars/Olympus", "Europe/Zurich", "then it is UTC"],
        ),
        # store
        ('"s3://production"', '"gs://production"', ["store.uri = 'gs://production'", "s3://b"]),
        ('"s3://production"', '"file://host/x"', ["store.uri = 'file://host/x'", "folder"]),
        (
            '"s3://production"',
            '"production"',
            ["uri and blind_uri", "of one kind", "second folder"],
        ),
        ('"s3://blind"', '"blind"', ["uri and blind_uri", "of one kind"]),
        ('"s3://blind"', '"s3://blind"\nprefixes = ["../x"]', ["a prefix holds . or .."]),
        ('endpoint_url = "http://127.0.0.1:9"', 'endpoint_url = "x:9"', ["store.endpoint_url"]),
        ('"s3://blind"', '"s3://production/blind"', ["lies inside store.uri"]),
        ('"s3://blind"', '"s3://production"', ["lies inside store.uri"]),
        ('secret_key = "b"', "", ["access_key and secret_key go together"]),
        ('secret_key = "b"', 'secret_key = "b"\nprofile = "p"', ["profile stands in place of"]),
        ('access_key = "a"\nsecret_key = "b"', 'session_token = "t"', ["session_token belongs"]),
        ('secret_key = "b"', 'secret_key = "b"\nproxy = "p:1"', ["proxy: expected a URL"]),
        ('"s3://blind"', '"s3://blind"\naddressing = "host"', ["store.addressing = 'host'"]),
        ('"s3://blind"', '"s3://blind"\nprefixes = ["/"]', ["a prefix is empty"]),
        ('"s3://blind"', '"s3://blind"\nprefixes = ["a/b/", "a"]', ["'a/b/' lies inside 'a/'"]),
        ('"s3://blind"', '"s3://production/a/x"\nprefixes = ["a"]', ["lies inside store.uri"]),
        ("[label_studio]", 'presign_life = "8 days"\n[label_studio]', ["8 days", "7 days"]),
        ("[label_studio]", 'presign_life = "0.5 seconds"\n[label_studio]', ["1 second"]),
        ("[label_studio]", "presign_life = 7\n[label_studio]", ["store.presign_life = 7", "unit"]),
        ("[label_studio]", '[store.tags]\nconfidnce = "c"\n[label_studio]', ["did you mean conf"]),
        # label studio
        (
            'url = "http://127.0.0.1:9"\napi',
            'url = "ftp://x"\napi',
            ["label_studio.url", "ftp://x"],
        ),
        # rounds
        ("[training]", '[rounds]\nevery = "daily"\n[training]', ["rounds.every = 'daily'"]),
        ("[training]", '[rounds]\nevery = "1 dya"\n[training]', ["'1 dya'"]),
        ("[training]", '[rounds]\nevery = "99999999999 days"\n[training]', ["rounds.every"]),
        # queues
        ('name = "low"', 'name = "accuracy"', ["queue 'accuracy' is there twice", "rename one"]),
        ('name = "low"', 'name = "a/b"', ["queue 'a/b' name"]),
        ('"training"\nwhere = "con', '"trainig"\nwhere = "con', ["'evaluation' or 'training'"]),
        ("budget = 4", "budget = 0", ["queue 'low' budget = 0"]),
        ("budget = 5", "", ["queue 'accuracy'", "needs a budget"]),
        ("budget = 5", 'budget = 5\nshow = ["confidence"]', ["show isn't allowed", "blind"]),
        ("budget = 5", 'budget = 5\nwhere = "confidence < 1"', ["where isn't allowed"]),
        ("budget = 5", 'budget = 5\ndraw = "random"', ["queue 'accuracy' draw = 'random'"]),
        (
            'name = "low"\npurpose = "training"\nwhere = "confidence < 0.7"',
            'name = "low"\npurpose = "evaluation"',
            ["show isn't allowed"],
        ),
        ('["corrected_class"]', '["corected_class"]', ["queue 'flagged' show, entry 1 ="]),
        ("confidence < 0.7", "confidense < 0.7", ["confidense", "confidence"]),
        (
            "confidence < 0.7",
            "confidence <",
            ["queue 'low' where = 'confidence <' isn't a condition", "remedy: write comparisons"],
        ),
        ("confidence < 0.7", "1; drop table x", ["queue 'low' where"]),
        # training
        ("confidence = 0.9", "confidence = 1.2", ["training.confidence = 1.2"]),
        ("confidence = 0.9", "confidence = 0", ["training.confidence = 0"]),
        ("confidence = 0.9", "confidence = nan", ["training.confidence"]),
    ],
)
def test_what_is_wrong_is_named_with_the_key_and_the_value(
    path: Path, old: str, new: str, said: list[str]
) -> None:
    assert GOOD.count(old) >= 1
    message = refused(path, GOOD.replace(old, new, 1))
    for part in said:
        assert part in message


@pytest.mark.mistake("key-unknown")
def test_a_key_of_a_newer_version_is_refused_by_one_that_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + "[telepathy]\nstrength = 3\n" + QUEUES)
    with pytest.raises(ConfigError, match="unknown key telepathy") as caught:
        load(path, {})
    assert f"labelloop {__version__} knows here: " in caught.value.remedy


def test_more_than_one_evaluation_queue_is_refused(path: Path) -> None:
    second = QUEUES[: QUEUES.index('[[queue]]\nname = "low"')].replace("accuracy", "second")
    assert "more than one evaluation queue" in refused(path, GOOD + second)


@pytest.mark.parametrize("queue", ["", '[queue]\nname = "a"\npurpose = "training"', "queue = []"])
def test_a_file_without_queues_is_refused(path: Path, queue: str) -> None:
    text = queue + HEAD if queue.startswith("queue") else HEAD + queue
    assert "queue" in refused(path, text)


def test_every_fault_is_told_at_once(path: Path) -> None:
    message = refused(path, GOOD.replace("budget = 4", "budget = 0").replace('"pets"', '""'))
    assert "budget = 0" in message
    assert "project.name" in message


def test_a_missing_file_and_a_broken_one_are_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no labelloop\.toml"):
        load(path, {})
    assert "line 2" in refused(path, "[a]\nb = c\n")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read as TOML"):
        load(path, {})
    with pytest.raises(ConfigError, match="can't be read"):
        load(path.parent, {})


def test_variables_are_filled_in(path: Path) -> None:
    settings = read(path, WITH_SECRETS, SECRETS)
    assert settings.store.access_key.get_secret_value() == SECRETS["KEY"]
    assert settings.label_studio.api_key.get_secret_value() == SECRETS["TOKEN"]


def test_a_variable_that_is_not_set_or_empty_is_named_once_it_is_needed(path: Path) -> None:
    without = {k: v for k, v in SECRETS.items() if k != "TOKEN"}
    expected = "label_studio.api_key names the environment variable TOKEN, which is not set"
    settings = read(path, WITH_SECRETS, without)
    assert settings.label_studio.url == "http://127.0.0.1:9"
    for use in (lambda: settings.label_studio.api_key, settings.require_variables):
        with pytest.raises(ConfigError, match=expected) as caught:
            use()
        assert "set TOKEN" in caught.value.remedy
    with pytest.raises(ConfigError, match="TOKEN, which is empty"):
        read(path, WITH_SECRETS, {**without, "TOKEN": ""}).require_variables()
    read(path, WITH_SECRETS, SECRETS).require_variables()


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ('"s3://production"', '"${THERE}"', "store.uri"),
        ('"s3://production"', '"s3://${THERE}/a"', "store.uri"),
        ('blind_uri = "s3://blind"', 'presign_life = "${THERE}"', "store.presign_life"),
        ('blind_uri = "s3://blind"', 'prefixes = ["${THERE}", "a"]', "store.prefixes"),
        ('blind_uri = "s3://blind"', 'proxy = "${THERE}"', "store.proxy"),
        ('blind_uri = "s3://blind"', 'notifications = "${THERE}"', "store.notifications"),
        ("[training]", '[store.tags]\nmodel = "${THERE}"\n[training]', "store.tags"),
        ("[training]", '[state]\nwarehouse = "${THERE}"\n[training]', "state.warehouse"),
        ("[training]", '[state]\nledger = "${THERE}"\n[training]', "state.ledger"),
        ("[training]", '[state]\ndatasets = "${THERE}"\n[training]', "state.datasets"),
        ("[training]", '[source]\nkind = "csv"\nuri = "${THERE}"\n[training]', "source.uri"),
        (
            "[training]",
            '[engine]\nkind = "spark"\n[engine.options]\n"spark.a" = "${THERE}"\n[training]',
            "engine.options",
        ),
    ],
)
def test_any_setting_of_what_is_reached_may_wait_for_its_variable(
    path: Path, old: str, new: str, setting: str
) -> None:
    assert old in GOOD
    settings = read(path, GOOD.replace(old, new, 1))
    assert settings.project.name == "pets"
    assert settings.queues()
    section, key = setting.split(".")
    with pytest.raises(ConfigError, match="THERE, which is not set"):
        getattr(getattr(settings, section), key)
    with pytest.raises(ConfigError, match="THERE, which is not set"):
        settings.require_variables()


def test_what_the_project_is_must_be_known_at_once(path: Path) -> None:
    said = refused(path, GOOD.replace('name = "pets"', 'name = "${NAME}"'))
    assert "project.name names the environment variable NAME, which is not set" in said
    said = refused(path, GOOD.replace("budget = 4", 'budget = "${BUDGET}"'))
    assert "BUDGET, which is not set" in said


def test_a_fault_is_found_though_a_variable_is_not_set(path: Path) -> None:
    assert "budget" in refused(path, WITH_SECRETS.replace("budget = 4", "budget = 0"), {})
    assert "unknown key" in refused(path, WITH_SECRETS.replace("blind_uri", "blind_url"), {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("budget = 4", "budget = 0"),
        ("blind_uri", "blind_url"),
        ('api_key = "${TOKEN}"', 'api_key = ["${TOKEN}"]'),
        ('access_key = "${KEY}"', 'access_kye = "${KEY}"'),
        ('secret_key = "${SECRET}"', 'secret_key = {a = "${SECRET}"}'),
        ("[training]", '[state]\nledger = ["${SECRET}"]\n[training]'),
        ("[training]", '[state]\ncatalog = ["${SECRET}"]\n[training]'),
    ],
)
def test_no_message_holds_a_secret(path: Path, old: str, new: str) -> None:
    message = refused(path, WITH_SECRETS.replace(old, new), SECRETS)
    assert not [s for s in SECRETS.values() if s in message]


def test_no_representation_holds_a_secret(path: Path) -> None:
    text = WITH_SECRETS.replace(
        "[training]",
        '[state]\nledger = "postgresql://me:${SECRET}@h/d"\n'
        'catalog = "postgresql://me:${SECRET}@h/c"\n[training]',
    )
    settings = read(path, text, SECRETS)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert not [s for s in SECRETS.values() if s in shown]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 day", timedelta(days=1)),
        ("90 seconds", timedelta(seconds=90)),
        ("1.5 hours", timedelta(minutes=90)),
        ("2weeks", timedelta(days=14)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "day", "-1 day", "1 month", "1 day 2 hours", "1e3 days"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number and a unit"):
        duration(text)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ('quiet_hours = "22-6"', "expected two times of a day, such as '22:00-06:00'"),
        ('quiet_hours = "25:00-06:00"', "expected two times of a day"),
        ('quiet_hours = "06:00-06:00"', "begins and ends at the same time"),
        ('run_every = "0 seconds"', "greater than or equal to"),
        ('public_url = "labels.example.com"', "begins with http:// or https://"),
        ("prot = 1", "did you mean port"),
        ('[service.auth]\ntrusted_proxies = ["proxy"]', "an address or a network"),
        ('[service.auth.users]\nann = ["read"]', "trusted_proxies is empty"),
        ('[service.auth]\ntrusted_proxies = ["::1"]\nusers = { ann = ["write"] }', "'operate'"),
    ],
)
def test_a_service_that_cannot_be_is_refused(path: Path, service: str, said: str) -> None:
    assert said in refused(path, f"{GOOD}\n[service]\n{service}\n")


def test_every_setting_is_in_the_reference() -> None:
    text = reference()
    for name, section in Settings.model_fields.items():
        assert (section.alias or name) in text
        for key in getattr(section.annotation, "model_fields", {}):
            assert key in {"tags", "auth"} or f"`{key}`" in text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('kind = "parqet"\nuri = "x"', "Input should be 'parquet', 'jsonl'"),
        ('kind = "csv"', 'kind = "csv" needs a uri'),
        ('kind = "iceberg"\ntable = "a.b"', "needs catalog and table"),
        ('kind = "csv"\nuri = "x"\ntable = "a.b"', 'are for kind = "iceberg"'),
        ('kind = "csv"\nuri = "x"\nconfidence_divisor = 0', "greater than 0"),
        ('kind = "csv"\nuri = "x"\npredicted_at_unit = "ms"', "'milliseconds'"),
        ('kind = "csv"\nuri = "x"\nwith_tag = true', "did you mean with_tags"),
        ('kind = "csv"\nuri = "x"\n[source.columns]\nconfidnce = "c"', "did you mean confidence"),
    ],
)
def test_a_source_that_cannot_be_is_refused(path: Path, source: str, said: str) -> None:
    assert said in refused(path, f"{GOOD}\n[source]\n{source}\n")


def test_a_source_starts_at_the_file_s_folder(path: Path) -> None:
    source = '[source]\nkind = "iceberg"\ncatalog = "sqlite:///lake.db"\ntable = "logs.answers"\n'
    settings = read(path, f"{GOOD}\n{source}")
    assert settings.source is not None
    assert settings.source.catalog is not None
    at = path.parent.resolve()
    assert settings.source.catalog.get_secret_value() == f"sqlite:///{at}/lake.db"
    settings = read(path, f'{GOOD}\n[source]\nkind = "csv"\nuri = "logs"\n')
    assert settings.source is not None
    assert settings.source.uri == str(at / "logs")


# --- [engine] -------------------------------------------------------------------------------


def test_spark_is_given_its_options_as_texts_and_shows_none(path: Path) -> None:
    engine = """
        [engine]
        kind = "spark"
        master = "local[2]"
        [engine.options]
        "spark.executor.cores" = 2
        "spark.speculation" = true
        "spark.hadoop.fs.s3a.secret.key" = "${SECRET}"
    """
    settings = read(path, GOOD + engine, SECRETS)
    assert {name: value.get_secret_value() for name, value in settings.engine.options.items()} == {
        "spark.executor.cores": "2",
        "spark.speculation": "true",
        "spark.hadoop.fs.s3a.secret.key": SECRETS["SECRET"],
    }
    assert SECRETS["SECRET"] not in repr(settings)
    assert read(path, GOOD).engine.kind == "duckdb"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ('master = "yarn"', 'master and options are for kind = "spark"'),
        ('kind = "spark"\noptions = {"executor.memory" = "8g"}', "begins with spark."),
        ('kind = "spark"\noptions = {"spark.authenticate.secret" = "s3cr3t"}', "command line"),
        ('kind = "spark"\nmaster = "spark://me:s3cr3t@host:7077"', "holds a user or a password"),
        ('kind = "sparc"', "'duckdb' or 'spark'"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(path: Path, engine: str, said: str) -> None:
    message = refused(path, f"{GOOD}[engine]\n{engine}\n")
    assert said in message
    assert "s3cr3t" not in message
