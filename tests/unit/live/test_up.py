"""What keeps `daycast up` from starting is said at once."""

import pytest

from daycast.errors import ConfigError
from daycast.live.up import up
from daycast.settings import Settings


def test_without_a_clone_it_says_what_it_needs_and_makes_nothing(tmp_path):
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    with pytest.raises(ConfigError, match=r"has no infra/prefect\.yaml: .*needs a clone, .*pip install --editable"):
        up(settings, None, tmp_path, None)
    assert not list(tmp_path.iterdir())
