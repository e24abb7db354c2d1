"""What a configuration may say, and what it hears when it says something else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError
from daycast.quality.limits import DEFAULTS
from daycast.settings import Settings, clock, load_settings
from daycast.warehouse.lake import Lake


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a daycast.toml into an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def write_file(text: str, name: str = "daycast.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write_file


def test_without_a_file_the_simulated_network_runs_with_its_state_apart_from_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert [source.kind for source in settings.sources] == ["simulated"]
    assert settings.data == tmp_path / "data" / "demo"


def test_paths_are_relative_to_the_file_wherever_it_is_read_from(write, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    path = write('data = "state"')
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_settings(str(path)).warehouse.where == tmp_path / "state" / "warehouse.duckdb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nhiden_size = 3", r"unknown key 'model\.hiden_size'.*'hidden_size'"),
        ("[modle]\nhidden_size = 3", r"unknown key 'modle'.*'model'"),
        ('[[sources]]\nkind = "csv"\nname = "a"\nfiels = "x"', "fiels.*files"),
        ('[[sources]]\nkind = "ftp"', "ftp.*simulated.*csv"),
        ("[model]\nhidden_size = 'many'", r"model\.hidden_size: .*integer.*'many'"),
        ("[ingest]\nrefuse_above = 2", r"ingest\.refuse_above: .*1.*2"),
        ("[retrain]\nevery = 'weekly'", "'weekly' is no duration"),
        ("sources = []", "there is no source"),
        (
            "[variables.d_deg]\nunit = '°'\nvalid_min = 0\nvalid_max = 1\ncircular = true\ncell_method = 'mean'",
            "no mean",
        ),
        ("[variables.air_temperature_c]\nunit = 'K'\nvalid_min = 0\nvalid_max = 1", "air_temperature_c.*built in"),
        ("[model]\ntargets = ['air_temperatur_c']", "air_temperatur_c.*air_temperature_c"),
        ("[model\n", "not valid TOML"),
    ],
)
def test_a_wrong_configuration_is_told_the_value_and_the_way_out_in_one_line(write, text, message):
    write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_two_sources_of_one_name_are_refused(write):
    write('[[sources]]\nkind = "simulated"\n[[sources]]\nkind = "simulated"')
    with pytest.raises(ConfigError, match="two sources are called 'simulated'"):
        load_settings()


def test_the_environment_overrides_the_file_value_by_value(write, monkeypatch):
    write('data = "state"\n[model]\nhidden_size = 32\nlayers = 2')
    monkeypatch.setenv("DAYCAST_MODEL__HIDDEN_SIZE", "16")
    monkeypatch.setenv("DAYCAST_MODEL__TARGETS", '["dew_point_c"]')
    settings = load_settings()
    assert (settings.model.hidden_size, settings.model.layers, settings.model.targets) == (16, 2, ("dew_point_c",))


def test_a_misspelt_variable_of_the_environment_is_refused(write, monkeypatch):
    write("")
    monkeypatch.setenv("DAYCAST_MODLE__HIDDEN", "16")
    with pytest.raises(ConfigError, match=r"DAYCAST_MODLE__HIDDEN.*'model'"):
        load_settings()


def test_daycast_config_names_the_file(write, monkeypatch):
    monkeypatch.setenv("DAYCAST_CONFIG", str(write("[model]\nseed = 9", "other.toml")))
    assert load_settings().model.seed == 9


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no configuration file 'x\.toml'"):
        load_settings("x.toml")


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().data = "x"


@pytest.mark.parametrize(
    "mapping",
    ["station = 's'\ncolumns = { altimeter_setting_hpa = { column = 'alti', unit = 'inHg' } }",
     "wide = { altimeter_setting_hpa = { roof = 'alti' } }"],
)  # fmt: skip
def test_the_altimeter_setting_is_a_variable_where_a_source_maps_it(write, mapping):
    mapped = f"[[sources]]\nkind = 'csv'\nname = 'metar'\nfiles = '*.csv'\ntime = 't'\n{mapping}"
    glossary = load_settings(write(mapped)).glossary
    assert (glossary["altimeter_setting_hpa"].unit, glossary["altimeter_setting_hpa"].target) == ("hPa", False)
    assert "altimeter_setting_hpa" not in load_settings(write("")).glossary


def test_a_declared_variable_joins_the_glossary_with_its_unit_and_label(write):
    write("[variables.soil_moisture_pct]\nunit = '%'\nvalid_min = 0\nvalid_max = 100")
    variable = load_settings().glossary["soil_moisture_pct"]
    assert (variable.unit, variable.label, variable.target) == ("%", "soil moisture pct", True)


def test_the_clock_is_the_present_or_the_past_it_is_told_to_be_but_never_the_future():
    now = clock()
    assert clock("2026-01-01T02:00:00+02:00").isoformat() == "2026-01-01T00:00:00+00:00"
    assert now <= clock() <= now + timedelta(minutes=1)
    with pytest.raises(ConfigError, match="lies in the future"):
        clock((now + timedelta(days=1)).isoformat())


def test_a_key_that_was_renamed_is_refused_with_its_new_name(write):
    write("[model]\nlongest_minutes = 30")
    with pytest.raises(ConfigError, match=r"unknown key 'model.longest_minutes': it is called max_minutes now"):
        load_settings()


def test_a_key_that_is_no_more_is_refused_with_the_reason(write):
    write("[retrain]\nsignificance = 0.1")
    with pytest.raises(ConfigError, match=r"unknown key 'retrain.significance': promotion waits for no proof any more"):
        load_settings()


def test_a_retraining_may_have_another_cell_and_another_budget_and_the_rest_stays():
    settings = load_settings()
    assert settings.with_cell(None) == settings.model
    assert settings.with_cell("rnn", 9, 0.5) == replace(settings.model, cell="rnn", epochs=9, max_minutes=0.5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("gruu", None, None), "'gruu' is no cell: choose gru"),
        ((None, 0, None), "epochs cannot be 0"),
        ((None, None, -1.0), "minutes cannot be -1.0"),
        ((None, None, float("nan")), "minutes cannot be nan"),
    ],
)
def test_a_cell_that_is_none_and_a_budget_of_nothing_are_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        load_settings().with_cell(*asked)


def test_a_threshold_is_set_by_variable_and_the_others_keep_their_defaults(write):
    write('[quality.air_temperature_c]\nrate_of_change = 8\nspike_fail = "off"')
    limits, default = load_settings().limits["air_temperature_c"], DEFAULTS["air_temperature_c"]
    assert limits == replace(default, rate_of_change=8, spike_fail=None)
    assert load_settings().limits["dew_point_c"] == DEFAULTS["dew_point_c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[quality.air_temp_c]\nrate_of_change = 8", "quality names 'air_temp_c', no variable.*air_temperature_c"),
        ('[model]\ninputs = ["air_temp_c"]', "model.inputs names 'air_temp_c', no variable.*air_temperature_c"),
        ("[quality.dew_point_c]\nstpe = 8", "quality.dew_point_c: unknown key 'stpe'.*"),
        ("[quality.dew_point_c]\nstep = 8", "unknown key 'step': it is called rate_of_change now"),
        ("[quality.dew_point_c]\nrate_of_change = -1", "quality.dew_point_c.rate_of_change"),
        ("[quality.dew_point_c]\nflat_hours_fail = 40", "flat_hours_fail is 40: give whole hours from 2 to 25"),
        ('[ingest]\nsilent_after = "soon"', "'soon' is no duration"),
        ('[live]\nquiet_hours = "at night"', "'at night' are no hours of the day"),
        ('[live]\nalert_again_after = "later"', "'later' is no duration"),
        ('[live]\nreport_url = "report.html"', "live.report_url: it is no web address"),
    ],
)
def test_a_quality_setting_that_cannot_be_is_named_with_the_way_out(write, text, message):
    write(text)
    with pytest.raises(ConfigError, match=message):
        load_settings()


def test_an_address_with_a_secret_comes_from_the_environment_and_is_never_shown(write, monkeypatch):
    write("")
    monkeypatch.setenv("DAYCAST_ALERT_URL", "https://hooks.example/s3cret")
    settings = load_settings()
    assert settings.live.alert_url.get_secret_value() == "https://hooks.example/s3cret"
    assert "s3cret" not in repr(settings)
    monkeypatch.setenv("DAYCAST_ALERT_URL", "hooks.example/s3cret")
    with pytest.raises(ConfigError, match=r"live\.alert_url: it is no web address: write http://") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


LAKE = '[warehouse.lake]\ncatalogue = "{}"\ndata = "lake"\n'
IN_A_BUCKET = '[warehouse.lake]\ncatalogue = "postgresql://db/daycast"\ndata = "{}"\n'


def test_a_lake_lies_beside_the_configuration_and_takes_the_place_of_the_file(tmp_path):
    path = tmp_path / "daycast.toml"
    path.write_text(LAKE.format("postgresql://daycast@db:5432/daycast"))
    settings = load_settings(str(path))
    assert settings.warehouse.where == Lake("postgresql://daycast@db:5432/daycast", str(tmp_path / "lake"))
    assert settings.warehouse_file == tmp_path / "data" / "warehouse.duckdb"


def test_a_lake_can_be_named_by_the_environment_and_be_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAYCAST_WAREHOUSE__LAKE__CATALOGUE", "postgresql://db/daycast")
    monkeypatch.setenv("DAYCAST_WAREHOUSE__LAKE__DATA", "s3://bucket/lake")
    assert load_settings().warehouse.where == Lake("postgresql://db/daycast", "s3://bucket/lake")


def test_a_lake_has_the_key_of_its_bucket_from_the_environment_and_does_not_show_it(tmp_path, monkeypatch):
    path = tmp_path / "daycast.toml"
    path.write_text(IN_A_BUCKET.format("s3://bucket/lake"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    settings = load_settings(str(path))
    assert settings.warehouse.where.environment.get("AWS_SECRET_ACCESS_KEY") == "hush"
    where = settings.warehouse.where
    assert "hush" not in f"{settings!r} {settings.model_dump()} {settings.warehouse!r} {where!r} {where}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAKE.format("postgresql://u:hush@db/daycast"), "warehouse.lake: catalogue holds a password: leave it out"),
        (LAKE.format("postgresql://u@db/daycast?password=hush"), "warehouse.lake: catalogue holds a password"),
        (LAKE.format("hush"), "warehouse.lake: catalogue must read postgresql://"),
        (LAKE.format("postgresql://db"), "warehouse.lake: catalogue must read postgresql://"),
        ('[warehouse]\nlake = "postgresql://u:hush@db/daycast"\n', "warehouse.lake: "),
        ('[warehouse.lake]\ncatalogue = ["postgresql://u:hush@db/d"]\ndata = "d"\n', "warehouse.lake.catalogue: "),
        (IN_A_BUCKET.format("s3://b/d?s3_secret_access_key=hush"), "warehouse.lake.data: it may hold a credential"),
        (IN_A_BUCKET.format("s3://key:hush@bucket/d"), "warehouse.lake.data: it may hold a credential"),
        (IN_A_BUCKET.format("gs://bucket/d"), "warehouse.lake.data: 'gs://bucket/d' is neither a folder nor a bucket"),
        (IN_A_BUCKET.format("s3://Bucket/d"), "warehouse.lake.data: 's3://Bucket/d' is neither a folder nor"),
        (IN_A_BUCKET.format("s3://bucket/a//*"), "warehouse.lake.data: 's3://bucket/a//*' is neither a folder nor"),
    ],
)
def test_a_wrong_lake_is_refused_and_no_password_is_ever_shown(tmp_path, text, said):
    path = tmp_path / "daycast.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_settings(str(path))
    assert said in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task_runner = "ray"', "compute.task_runner: "),
        (
            'dask_address = "tcp://10.0.0.5:8786"',
            "compute: dask_address is for task_runner = \"dask\", and that is 'process'",
        ),
        ("workers = 2", "compute: workers is how many are started here"),
        ('task_runner = "dask"\nworkers = 2\ndask_address = "tcp://10.0.0.5:8786"', "compute: workers is how many are"),
        (
            'task_runner = "dask"\ndask_address = "10.0.0.5"',
            "compute: dask_address '10.0.0.5' is none: write tcp://host:port",
        ),
        ("block_stations = 0", "compute.block_stations: "),
    ],
)
def test_a_task_runner_that_cannot_be_is_refused(tmp_path, text, said):
    path = tmp_path / "daycast.toml"
    path.write_text(f"[compute]\n{text}\n")
    with pytest.raises(ConfigError) as raised:
        load_settings(str(path))
    assert said in str(raised.value)


def test_dask_that_is_not_installed_is_said_with_the_settings_and_named(monkeypatch):
    monkeypatch.setattr("daycast.settings.sections.find_spec", lambda _: None)
    monkeypatch.setenv("DAYCAST_COMPUTE__TASK_RUNNER", "dask")
    with pytest.raises(ConfigError, match=r"pip install 'daycast\[dask\]'"):
        load_settings()
    monkeypatch.setenv("DAYCAST_COMPUTE__TASK_RUNNER", "thread")
    assert load_settings().compute.task_runner == "thread"


def test_a_file_in_the_place_of_the_data_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "data").touch()
    for data in ("data", "data/below"):
        monkeypatch.setenv("DAYCAST_DATA", str(tmp_path / data))
        with pytest.raises(ConfigError, match=rf"data: {tmp_path}/data is a file where a folder should be"):
            load_settings()


def test_a_data_folder_with_a_question_mark_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DAYCAST_DATA", str(tmp_path / "a?b"))
    with pytest.raises(ConfigError, match=r"data: .*/a\?b has a '\?', .*: name another folder"):
        load_settings()


def test_stations_have_the_time_zone_of_all_or_one_of_their_own(write):
    path = write('[stations]\ntimezone = "UTC+2"\ntimezones = { S0003 = "Atlantic/Canary" }')
    stations = load_settings(str(path)).stations
    assert (stations.timezone, stations.timezones) == ("+02:00", {"S0003": "Atlantic/Canary"})


@pytest.mark.parametrize(
    ("text", "place"),
    [('timezone = "Europe/Berlim"', "stations.timezone"), ('timezones = { a = "CET+9x" }', "stations.timezones.a")],
)
def test_a_time_zone_that_is_none_is_told_with_its_place(write, text, place):
    with pytest.raises(ConfigError, match=f"{place}.* is not a time zone"):
        load_settings(str(write(f"[stations]\n{text}")))
