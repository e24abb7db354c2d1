"""What the server, the workers and their runs are told, and what the supervisor says."""

import logging
import shutil
from types import SimpleNamespace

import pytest

from daycast.errors import ConfigError
from daycast.service.ephemeral_server import EphemeralServer
from daycast.service.up import _environment, _tell_of_disk
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


def test_a_full_disk_is_told_once_and_so_is_room_that_was_made(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "daycast")
    told = ""
    for free in (5_000_000, 10_000, 0, 9_000_000, 8_000_000):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        told = _tell_of_disk(tmp_path, told)
    assert [record.getMessage() for record in caplog.records] == [
        f"no space is left in {tmp_path}: make room there; until then runs wait or fail",
        f"there is room again in {tmp_path}",
    ]


@pytest.mark.parametrize(
    ("free", "way_out"), [(0, "no space is left in {home}: make room"), (10**9, "see {home}/server.log")]
)
def test_a_server_that_does_not_start_on_a_full_disk_says_so(tmp_path, monkeypatch, free, way_out):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    server = EphemeralServer.__new__(EphemeralServer)
    server.url, server.log = "http://127.0.0.1:9/api", tmp_path / "server.log"
    server.process = SimpleNamespace(poll=lambda: 1)
    with pytest.raises(ConfigError) as error:
        server.wait()
    assert str(error.value).startswith(
        f"the Prefect server of this command did not start: {way_out.format(home=tmp_path)}"
    )
