"""What notifications name, in the forms of those who send them, and in files."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters.notifications import files as notification_files
from labelloop.adapters.notifications.files import NotificationFiles
from labelloop.errors import StoreDenied
from labelloop.reading.notification import named_in

ODD, QUOTED = "a b/ü+&#%.png", "a+b/%C3%BC%2B%26%23%25.png"


def record(
    event: str = "ObjectCreated:Put", key: str = QUOTED, bucket: str = "b", source: str = "aws:s3"
) -> dict[str, Any]:
    named = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"eventSource": source, "eventName": event, "s3": named}


# after docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
S3 = {"Records": [record()]}
# after min.io's documentation of bucket notifications
MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": f"b/{QUOTED}",
    "Records": [record("s3:ObjectCreated:Put", source="minio:s3")],
}
SNS = {"Type": "Notification", "Message": json.dumps(S3)}
SQS = {"Messages": [{"Body": json.dumps(S3)}, {"Body": json.dumps(SNS)}]}
# after docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
EVENT_BRIDGE = {
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": ODD}},
}


def of_ceph(key: str) -> dict[str, Any]:
    return {"Records": [record("ObjectCreated:Put", key, source="ceph:s3")]}


def seaweedfs(kind: str, path: str = f"/buckets/b/{ODD}", **entry: object) -> dict[str, Any]:
    folder, _, name = path.rpartition("/")
    entries = {
        "create": ["new_entry"],
        "delete": ["old_entry"],
        "update": ["old_entry", "new_entry"],
    }
    message = {which: {"name": name, **entry} for which in entries[kind]}
    where = {} if kind == "delete" else {"new_parent_path": folder}
    return {"event_type": kind, "key": path, "message": {**message, **where}}


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (S3, [ODD]),
        # Ceph's RADOS gateway 16.2 doesn't quote: n ew+é%.png is a key, and might be a quoted one
        (of_ceph("n ew+é%.png"), ["n ew+é%.png", "n ew é%.png"]),
        (of_ceph(QUOTED), [QUOTED, ODD]),
        (of_ceph("plain/1.png"), ["plain/1.png"]),
        (of_ceph("%ff.png"), ["%ff.png"]),
        (of_ceph(500 * "%C3%BC"), [500 * "ü"]),
        (MINIO, [ODD]),
        (SNS, [ODD]),
        (SQS, [ODD, ODD]),
        (EVENT_BRIDGE, [ODD]),
        ({**EVENT_BRIDGE, "detail-type": "Object Tags Added"}, [ODD]),
        ({**EVENT_BRIDGE, "detail-type": "Object Deleted"}, []),
        (seaweedfs("create"), [ODD]),
        (seaweedfs("update"), [ODD]),
        (seaweedfs("delete"), []),
        (seaweedfs("create", is_directory=True), []),
        (seaweedfs("create", "/buckets/b"), []),
        (seaweedfs("create", "/etc/b/a.png"), []),
        (seaweedfs("create", "/buckets/other/a.png"), []),
        ({"Records": [record("ObjectTagging:Put"), record("ObjectRemoved:Delete", "x")]}, [ODD]),
        (
            {"Records": [record(key="x"), record(key="y", bucket="other"), record(key="z")]},
            ["x", "z"],
        ),
        ({"Records": []}, []),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, []),
    ],
)
def test_the_keys_are_named(said: object, names: list[str]) -> None:
    assert named_in(json.dumps(said), "b") == names


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '"x"', "null", "{}", '{"Records": 7}', '{"Records": [{}]}', '{"Message": "{"}',
     '{"detail": {}}', '{"event_type": "create"}', json.dumps({"Records": [record(key="%ff")]}),
     json.dumps({"Records": [{**record(), "s3": {"bucket": {"name": "b"}, "object": {"key": 7}}}]})],
)  # fmt: skip
def test_what_is_no_notification_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        named_in(text, "b")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "s3", "bucket", "name", "object", "key", "eventName", "detail", "message",
                 "detail-type", "event_type", "Message", "Body", "Messages", "new_entry", "new_parent_path"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_nothing_else_ever_comes_of_it(said: object) -> None:
    try:
        names = named_in(json.dumps(said), "b")
    except ValueError:
        return
    assert all(isinstance(name, str) for name in names)


# --- files ----------------------------------------------------------------------------------


def line(*keys: str) -> str:
    return json.dumps({"Records": [record(key=key) for key in keys]}) + "\n"


def names(files: NotificationFiles, position: str | None) -> tuple[list[str], int, str]:
    pages = list(files.since(position))
    return (
        [k for p in pages for k in p.keys],
        sum(p.n_unreadable for p in pages),
        pages[-1].position,
    )


def test_a_file_is_read_on_from_where_the_last_reading_ended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("a", "b") + line("a") + "\n")
    files = NotificationFiles(path, "b")
    found, n_unreadable, position = names(files, None)
    assert (found, n_unreadable) == (["a", "b"], 0)
    assert position == files.end()
    with path.open("a") as file:
        file.write(line("c") + "nonsense\n" + line("d") + line("half")[:-9])
    found, n_unreadable, later = names(files, position)
    assert (found, n_unreadable) == (["c", "d"], 1)
    assert later == files.end()
    with path.open("a") as file:
        file.write(line("half")[-9:])
    assert names(files, later)[0] == ["half"]
    assert names(files, None)[0] == ["a", "b", "c", "d", "half"]


def test_a_file_that_begins_otherwise_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("a") * 3)
    files = NotificationFiles(path, "b")
    position = files.end()
    path.write_text(line("b"))
    assert names(files, position)[0] == ["b"]
    path.write_text(line("c") * 30)
    assert names(files, position)[0] == ["c"]
    path.write_text(line("a"))
    assert names(files, position)[0] == ["a"]
    path.write_text("")
    assert names(files, position)[0] == []


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    files = NotificationFiles(tmp_path, "b")
    assert names(files, None)[0] == []
    (tmp_path / "2026-03-02.jsonl").write_text(line("b"))
    (tmp_path / "2026-03-01.jsonl").write_text(line("a"))
    (tmp_path / ".2026-03-03.jsonl.swp").write_text(line("x"))
    (tmp_path / "folder").mkdir()
    found, _, position = names(files, None)
    assert found == ["a", "b"]
    (tmp_path / "2026-03-01.jsonl").unlink()
    (tmp_path / "2026-03-03.jsonl").write_text(line("c"))
    found, _, position = names(files, position)
    assert found == ["c"]
    assert "2026-03-01" not in position


def test_many_come_in_pages_and_each_page_has_its_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_files, "PAGE", 3)
    path = tmp_path / "events.jsonl"
    path.write_text("".join(line(f"{i}") for i in range(7)))
    files = NotificationFiles(path, "b")
    pages = list(files.since(None))
    assert [len(page.keys) for page in pages] == [3, 3, 1]
    for i, page in enumerate(pages[:-1]):
        assert names(files, page.position)[0] == [f"{k}" for k in range(3 * i + 3, 7)]


def test_a_long_last_line_is_not_yet_there(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line("a") + line("b" * 5_000)[:-1])
    files = NotificationFiles(path, "b")
    assert names(files, None)[::2] == (["a"], files.end())
    path.write_text(line("b" * 5_000)[:-1])
    assert names(files, None)[::2] == ([], files.end())


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    files = NotificationFiles(tmp_path / "events.jsonl", "b")
    for ask in (lambda: list(files.since(None)), files.end):
        with pytest.raises(
            StoreDenied, match=r"notifications: .*events\.jsonl can't be read: No such"
        ):
            ask()
