from pathlib import Path

import pytest

from labelloop.demo.folder import MARK, FolderError, clean, fresh


def test_a_folder_is_made_and_an_older_run_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    with fresh(folder) as started_over:
        assert not started_over
        (folder / "ledger.db").write_text("old")
    with fresh(folder) as started_over:
        assert started_over
        assert [p.name for p in folder.iterdir()] == [MARK]


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(FolderError, match="isn't a demonstration's folder"):
        clean(tmp_path)
    with pytest.raises(FolderError), fresh(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "three years"


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with fresh(folder), pytest.raises(FolderError, match="another demonstration"):
        clean(folder)
    assert clean(folder)
    assert not clean(folder)
    assert not folder.exists()


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    with fresh(tmp_path / "x") as started_over:
        assert not started_over
    clean(tmp_path / "x")
    (tmp_path / "x").mkdir()
    with fresh(tmp_path / "x") as started_over:
        assert not started_over
