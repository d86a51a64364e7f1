"""A folder as a store: whose the metadata is, what is being written, what must not be followed."""

import json
import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from labelloop.adapters.folder.store import INLINE_BYTES, FolderStore
from labelloop.errors import ConfigError, InputGone, StoreDenied, StoreUnavailable

PNG = b"\x89PNG\r\n\x1a\n and pixels"
LIFE = timedelta(days=1)


@dataclass
class Home:
    """A folder of inputs and one for copies, side by side."""

    path: Path
    public_url: str | None = None
    store: FolderStore = field(init=False)

    def __post_init__(self) -> None:
        self.inputs, self.blind = self.path / "inputs", self.path / "blind"
        self.inputs.mkdir()
        self.blind.mkdir()
        self.store = self.open()

    def open(self, public_url: str | None = None) -> FolderStore:
        return FolderStore(
            self.inputs.as_uri(), blind_uri=self.blind.as_uri(), public_url=public_url
        )

    def put(self, name: str, body: bytes = PNG, beside: str = "", text: str = "") -> Path:
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if beside:
            (path.parent / beside).write_text(text or json.dumps({"predicted_class": name}))
        return path

    def lines(self, *lines: object, end: str = "\n") -> None:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (self.inputs / "metadata.jsonl").write_text("\n".join(texts) + end)

    def listed(self) -> list[str]:
        return [o.sample_id for page in self.store.objects() for o in page]

    def read(self) -> dict[str, dict[str, str] | str]:
        """Each sample's tags, or its fault."""
        found = [o for page in self.store.objects() for o in page]
        return {o.sample_id: o.fault or dict(tags) for o, tags in self.store.tags(found)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- metadata ----------------------------------------------------------------------------------


def test_the_json_beside_a_file_has_its_whole_name_or_its_stem(home: Home) -> None:
    home.put("a.png", beside="a.png.json")
    home.put("b.png", beside="b.json")
    home.put("deep/c.tar.gz", beside="c.tar.json")
    home.put("noending", beside="noending.json")
    home.put("d.png")
    assert home.read() == {
        "a.png": {"predicted_class": "a.png"},
        "b.png": {"predicted_class": "b.png"},
        "d.png": {},
        "noending": {"predicted_class": "noending"},
        "deep/c.tar.gz": {"predicted_class": "deep/c.tar.gz"},
    }


def test_the_whole_name_is_stronger_and_a_shared_stem_is_a_fault(home: Home) -> None:
    home.put("a.png", beside="a.png.json")
    home.put("a.jpg", beside="a.json", text='{"predicted_class": "?"}')
    home.put("b.png", beside="b.json")
    home.put("b.jpg.part", b"still coming")
    assert home.read() == {
        "a.jpg": "a.json could belong to a.jpg or a.png: name it a.jpg.json",
        "a.png": {"predicted_class": "a.png"},
        "b.png": {"predicted_class": "b.png"},
    }


def test_numbers_keep_their_digits_and_null_is_nothing(home: Home) -> None:
    text = """{"confidence": 0.90, "n": 12345678901234567890, "flagged": true, "model": null,
        "box": [1, {"é": 2.50}], "bad": NaN}"""
    home.put("a.png", beside="a.json", text=text)
    assert home.read()["a.png"] == {
        "confidence": "0.90",
        "n": "12345678901234567890",
        "flagged": "true",
        "box": '[1, {"é": 2.5}]',
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"predicted_class": "ca', "a.png.json: no JSON: "),
        ('["predicted_class"]', "a.png.json: no JSON object: expected one"),
        ("[" * 100_000, "a.png.json: no JSON: "),
        ('{"a": "' + "x" * 1_000_001 + '"}', "a.png.json: more than 1,000,000 bytes"),
    ],
)
def test_metadata_that_says_nothing_is_a_fault(home: Home, text: str, fault: str) -> None:
    home.put("a.png", beside="a.png.json", text=text)
    found = home.read()["a.png"]
    assert isinstance(found, str)
    assert found.startswith(fault)


def test_metadata_in_latin_1_is_a_fault(home: Home) -> None:
    home.put("a.png").with_name("a.json").write_bytes(
        '{"predicted_class": "Füchse"}'.encode("latin-1")
    )
    assert "not UTF-8" in str(home.read()["a.png"])


def test_one_jsonl_names_each_file_and_later_lines_add(home: Home) -> None:
    for name in ("a.png", "deep/b.png", "c.png", "d.png"):
        home.put(name)
    home.put("d.png", beside="d.json")
    home.lines(
        {"file_name": "a.png", "predicted_class": "cat", "confidence": 0.5},
        {"file_name": "./deep//b.png", "predicted_class": "dog"},
        "",
        {"file_name": "gone.png", "predicted_class": "dog"},
        {"file_name": "d.png", "predicted_class": "the JSON beside it counts"},
        {"file_name": "a.png", "flagged": True},
    )
    assert home.read() == {
        "a.png": {"predicted_class": "cat", "confidence": "0.5", "flagged": "true"},
        "c.png": {},
        "d.png": {"predicted_class": "d.png"},
        "deep/b.png": {"predicted_class": "dog"},
    }


def test_a_line_that_is_being_written_waits_for_its_end(home: Home) -> None:
    home.put("a.png")
    home.put("b.png")
    whole = {"file_name": "a.png", "predicted_class": "cat"}
    home.lines(whole, '{"file_name": "b.png", "predicted_cl', end="")
    assert home.read() == {"a.png": {"predicted_class": "cat"}, "b.png": {}}
    home.lines(whole, {"file_name": "b.png", "predicted_class": "dog"})
    assert home.read()["b.png"] == {"predicted_class": "dog"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{nonsense}", "line 2 can't be read"),
        ('{"predicted_class": "cat"}', "line 2 has no file_name"),
    ],
)
def test_a_bad_line_is_told_to_those_that_no_line_names(home: Home, line: str, fault: str) -> None:
    home.put("a.png")
    home.put("b.png")
    home.lines({"file_name": "a.png", "predicted_class": "cat"}, line)
    found = home.read()
    assert found["a.png"] == {"predicted_class": "cat"}
    assert f"no line of metadata.jsonl names it, and {fault}" in str(found["b.png"])


# --- what is listed ----------------------------------------------------------------------------


def test_what_is_hidden_passing_or_metadata_is_no_input(home: Home) -> None:
    for name in (".a.png", ".git/x.png", "b.png.tmp", "c.part", "d.partial", "e.json", "f.jsonl"):
        home.put(name)
    os.mkfifo(home.inputs / "pipe.png")
    home.put("real.png")
    assert home.listed() == ["real.png"]


def test_a_file_counts_as_new_whatever_time_it_brought_along(home: Home) -> None:
    path = home.put("a.png")
    os.utime(path, (0, 0))
    [[found]] = home.store.objects()
    assert found.last_modified.year > 2000


def test_metadata_that_comes_later_makes_its_file_newer(home: Home) -> None:
    path = home.put("a.png", beside="a.json")
    os.utime(path.with_name("a.json"), (0, 0))
    beside_ns = path.with_name("a.json").stat().st_ctime_ns
    [[found]] = home.store.objects()
    assert abs(found.last_modified.timestamp() - beside_ns / 1e9) < 1e-3
    assert beside_ns >= path.stat().st_ctime_ns


def test_a_name_that_is_not_utf_8_is_a_fault_and_no_crash(home: Home) -> None:
    (home.inputs / os.fsdecode(b"caf\xe9.png")).write_bytes(PNG)
    home.put("b.png", beside="b.json")
    assert home.read() == {
        "b.png": {"predicted_class": "b.png"},
        "caf\\xe9.png": "the file's name isn't UTF-8",
    }
    [[_, found]] = home.store.objects()
    assert found.uri.endswith("/caf%E9.png")
    assert home.store.read(found.uri) == PNG


def test_links_are_followed_to_files_inside_and_nowhere_else(home: Home) -> None:
    home.put("real/a.png", beside="a.json")
    (home.path / "secret.png").write_bytes(b"secret")
    (home.path / "elsewhere").mkdir()
    (home.path / "elsewhere" / "x.png").write_bytes(b"secret")
    links = {
        "good.png": home.inputs / "real" / "a.png",
        "out.png": home.path / "secret.png",
        "folder": home.path / "elsewhere",
        "round": home.inputs,
        "broken.png": home.inputs / "none.png",
    }
    for name, target in links.items():
        (home.inputs / name).symlink_to(target)
    (home.inputs / "good.json").write_text('{"predicted_class": "cat"}')
    found = home.read()
    assert found["good.png"] == {"predicted_class": "cat"}
    assert found["real/a.png"] == {"predicted_class": "real/a.png"}
    for name in ("out.png", "folder"):
        assert found[name] == "a link that leads out of the folder"
    for name in ("round", "broken.png"):
        assert "a link to what isn't a file" in str(found[name]) or "out of" in str(found[name])
    assert len(found) == 6
    uri = f"{home.inputs.as_uri()}/out.png"
    for call in (
        lambda: home.store.read(uri),
        lambda: home.store.copy_blind(uri, f"{home.blind.as_uri()}/0a"),
        lambda: home.store.presign(uri, LIFE),
    ):
        with pytest.raises(StoreDenied, match="leads out of the folder"):
            call()
    assert list(home.blind.iterdir()) == []


def test_metadata_is_not_followed_out_of_the_folder(home: Home) -> None:
    (home.path / "passwd.json").write_text('{"predicted_class": "secret"}')
    home.put("a.png")
    (home.inputs / "a.json").symlink_to(home.path / "passwd.json")
    assert home.read() == {"a.png": "a.json: it leads out of the folder"}


@pytest.mark.parametrize("below", ["../secret.png", "%2e%2e/secret.png", "x/../../secret.png"])
def test_a_uri_does_not_lead_out_of_the_folder(home: Home, below: str) -> None:
    (home.path / "secret.png").write_bytes(b"secret")
    with pytest.raises(StoreDenied, match="lies outside"):
        home.store.read(f"{home.inputs.as_uri()}/{below}")


def test_a_file_that_may_not_be_read_is_a_fault(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("a.png", beside="a.json")
    opened = os.open

    def refuse(path: str, *rest: int) -> int:
        if path.endswith("a.png"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", refuse)  # root, who runs tests, may read everything
    assert "Permission denied" in str(home.read()["a.png"])


# --- what is gone ------------------------------------------------------------------------------


def test_an_empty_folder_is_taken_for_a_disk_that_is_not_mounted(home: Home) -> None:
    path = home.put("a.png")
    path.unlink()
    assert home.listed() == []
    with pytest.raises(StoreUnavailable, match="mounted"):
        home.store.exists(path.as_uri())
    with pytest.raises(StoreUnavailable, match="mounted"):
        home.store.read(path.as_uri())
    home.put("b.png")
    assert not home.store.exists(path.as_uri())
    with pytest.raises(InputGone, match=r"a\.png"):
        home.store.read(path.as_uri())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    store = FolderStore((tmp_path / "production").as_uri())
    with pytest.raises(StoreDenied, match=r"production/'.*doesn't exist") as caught:
        list(store.objects())
    assert "s3://" in caught.value.remedy


def test_copies_need_their_folder(home: Home) -> None:
    home.blind.rmdir()
    source = home.put("a.png")
    for call in (
        lambda: home.store.check_writable(home.blind.as_uri()),
        lambda: home.store.copy_blind(source.as_uri(), f"{home.blind.as_uri()}/0a"),
        lambda: home.store.delete(f"{home.blind.as_uri()}/0a"),
    ):
        with pytest.raises(StoreDenied, match="blind"):
            call()


@pytest.mark.parametrize("uri", ["inputs", "file://inputs", "file:///a%00b"])
def test_what_names_no_folder_is_refused_at_once(uri: str) -> None:
    with pytest.raises(ConfigError, match="isn't the name of a folder"):
        FolderStore(uri)


# --- what annotators see -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("b.JPG", b"?", "image/jpeg"),
        ("c", PNG, "image/png"),
        ("d", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("e", b"?", "application/octet-stream"),
    ],
)
def test_a_small_image_travels_inside_the_task(
    home: Home, name: str, body: bytes, kind: str
) -> None:
    path = home.put(name, body)
    url = home.store.presign(path.as_uri(), LIFE)
    assert url.startswith(f"data:{kind};base64,")
    assert home.store.inline
    assert home.store.view(url, origin="http://labels.example").content_type == kind
    assert home.store.lasting(LIFE) > timedelta(days=365)


def test_a_large_image_says_what_to_do(home: Home) -> None:
    fits = home.put("a.png", b"x" * INLINE_BYTES)
    assert home.store.presign(fits.as_uri(), LIFE)
    large = home.put("b.png", b"x" * (INLINE_BYTES + 1))
    with pytest.raises(StoreDenied, match="500,001 bytes") as caught:
        home.store.presign(large.as_uri(), LIFE)
    assert "public_endpoint_url" in caught.value.remedy


@pytest.mark.parametrize(
    ("public_url", "begins"),
    [
        ("https://images.example.com", "https://images.example.com/"),
        ("https://images.example.com/", "https://images.example.com/"),
        (
            "https://labels.example.com/data/local-files/?d=",
            "https://labels.example.com/data/local-files/?d=",
        ),
        (
            "https://labels.example.com/data/local-files/?d=food",
            "https://labels.example.com/data/local-files/?d=food/",
        ),
    ],
)
def test_a_served_folder_is_linked_from_the_one_that_holds_both(
    home: Home, public_url: str, begins: str
) -> None:
    store = home.open(public_url)
    assert not store.inline
    name = "a b#%+?&/🍞.png"
    path = home.put(name)
    assert store.presign(path.as_uri(), LIFE) == f"{begins}inputs/{quote(name)}"
    copy = f"{home.blind.as_uri()}/0a1b"
    store.copy_blind(path.as_uri(), copy)
    assert store.presign(copy, LIFE) == f"{begins}blind/0a1b"
    assert (home.blind / "0a1b").read_bytes() == PNG
    alone = FolderStore(home.inputs.as_uri(), public_url=public_url)
    assert alone.presign(path.as_uri(), LIFE) == f"{begins}{quote(name)}"
