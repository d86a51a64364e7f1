"""What isn't installed is named with its extra. `make dist` tries all of them in bare environments."""

import pytest

from labelloop.adapters.s3 import client
from labelloop.adapters.s3.access import S3Access
from labelloop.errors import ConfigError


@pytest.mark.parametrize("opened", [client.session_of, client.resolved])
def test_a_bucket_without_its_packages_names_the_extra(
    opened: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(opened)
    monkeypatch.setattr(client, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="a bucket needs boto3 and pycurl") as caught:
        opened(S3Access())
    assert caught.value.remedy is not None
    assert "pip install 'labelloop[s3]'" in caught.value.remedy
