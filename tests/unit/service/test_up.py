"""What the server, the workers and their runs are told."""

from daycast.service.up import _environment
from daycast.settings import Settings, load_settings


def test_runs_read_the_same_configuration_whatever_folder_they_work_in(tmp_path):
    settings = Settings.model_validate({}, context={"folder": tmp_path})
    config = tmp_path / "daycast.toml"
    told = _environment(settings, config, tmp_path, "http://127.0.0.1:4200/api")
    assert (told["DAYCAST_CONFIG"], told["DAYCAST_DATA"]) == (str(config), str(tmp_path / "data" / "demo"))


def test_without_a_configuration_file_paths_of_the_environment_stay_relative_to_where_up_was_called(
    tmp_path, monkeypatch
):
    for name in ("home", "of_the_run"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("DAYCAST_WAREHOUSE__LAKE__CATALOGUE", "postgresql://reader@db/daycast")
    monkeypatch.setenv("DAYCAST_WAREHOUSE__LAKE__DATA", "rows")
    asked = load_settings()
    for name, value in _environment(asked, None, tmp_path, "http://127.0.0.1:4200/api").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path / "of_the_run")
    live = asked.live.model_copy(update={"report_url": "http://127.0.0.1:4200/report"})  # on the server that is up
    assert load_settings() == asked.model_copy(update={"live": live})
    assert asked.stored.lake.data == str(tmp_path / "home" / "rows")
