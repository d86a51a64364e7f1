import stat
from pathlib import Path

import pytest

from labelloop.adapters.s3.access import S3Access
from labelloop.demo import project
from labelloop.demo.digits import CLASSES
from labelloop.settings.file import load


@pytest.mark.parametrize("label_studio", [None, ("http://127.0.0.1:2", "t")])
def test_the_demonstrations_settings_are_valid_and_private(
    tmp_path: Path, label_studio: tuple[str, str] | None
) -> None:
    path = tmp_path / "labelloop.toml"
    project.write(
        path,
        store=S3Access(endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="s"),
        label_studio=label_studio,
        referees=["ana@example.com"],
    )
    settings = load(path)
    assert tuple(settings.project.classes) == CLASSES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    others = sum(queue.budget or 0 for queue in settings.queues() if not queue.blind)
    assert project.FIRST_BUDGET + 2 * project.LATER_BUDGET + 3 * others <= 450
