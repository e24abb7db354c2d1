"""What somebody types into a parameter stays a value: it is neither SQL nor a way out of the folder."""

import pytest

from daycast.errors import ConfigError, DaycastError
from daycast.settings import load_settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import choose_sources
from daycast.steps.registry import promote, show_model

pytestmark = pytest.mark.slow

HOSTILE = ["'; drop table forecasts; --", '"; drop table models; --', "../../../etc/passwd"]


@pytest.fixture
def forecast_and_models(trained):
    def count() -> list[tuple]:
        with trained.settings.warehouse.write(trained.at) as con:
            query = "select (select count(*) from forecasts), (select count(*) from models)"
            return con.execute(query).fetchall()

    issue_forecasts(trained.settings, trained.at)
    before = count()
    assert before[0][0] == 4 * 2 * 24
    assert before[0][1] > 0
    yield
    assert count() == before


@pytest.mark.usefixtures("forecast_and_models")
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_refused_by_that_name_and_nothing_is_gone(trained, text):
    for use in (
        lambda: issue_forecasts(trained.settings, trained.at, None, [text]),
        lambda: choose_sources(trained.settings, text),
        lambda: show_model(trained.settings, text, trained.at),
        lambda: promote(trained.settings, text, trained.at),
    ):
        with pytest.raises(DaycastError) as refused:
            use()
        assert text in str(refused.value).replace("\\'", "'")


def test_a_file_that_is_no_configuration_is_refused_without_showing_what_is_in_it(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0:secret:/root:/bin/sh\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="not valid TOML") as refused:
        load_settings(str(tmp_path / "folder" / ".." / "passwd"))
    assert "secret" not in str(refused.value)
