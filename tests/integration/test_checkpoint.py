"""Checkpoints: what is read is what was written, and what is no checkpoint says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from daycast.errors import ModelError
from daycast.features.panel import Panel, make_panel
from daycast.model.checkpoint import load_checkpoint, read_header, read_tensors, save_checkpoint
from daycast.model.forecaster import Forecaster
from daycast.quality.flags import keep_usable
from daycast.times import DAY
from daycast.warehouse.observations import read_stations, read_versions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(trained_once) -> Path:
    (path,) = trained_once.settings.checkpoints.glob("*.safetensors")
    return path


@pytest.fixture(scope="module")
def network(trained_once, checkpoint: Path) -> Panel:
    """The newest ten days."""
    settings, now = trained_once.settings, trained_once.at
    with settings.warehouse.write(now) as con:
        versions = keep_usable(read_versions(con, now - 10 * DAY, now, now), list(settings.glossary))
        stations = read_stations(con)
    start, end = versions["observed_at"].min(), versions["observed_at"].max()
    return make_panel(versions, stations, read_header(checkpoint).channels, start, end)


def forecasts(forecaster: Forecaster, network: Panel) -> dict[str, np.ndarray]:
    at, origins = np.repeat(np.arange(4), 3), np.tile([170, 190, 210], 4)
    parts = list(forecaster.predict(forecaster.open(network), at, origins, forecaster.names))
    return {name: np.concatenate([quantiles[name] for _, quantiles, _, _ in parts]) for name in forecaster.names}


def test_the_mean_with_the_base_network_is_that_of_its_weights(checkpoint: Path, network: Panel) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    made = {}
    for share in (0.0, 0.5, 1.0):
        weights = (share,) * len(forecaster.header.targets)
        forecaster.header = replace(forecaster.header, base_weights=weights)
        made[share] = forecasts(forecaster, network)
    np.testing.assert_allclose(made[1.0]["gru"], made[0.0]["base"], atol=1e-4)
    assert not np.allclose(made[0.0]["gru"], made[0.0]["base"], atol=1e-2)
    middle = (made[0.0]["gru"] + made[1.0]["gru"]) / 2
    dry = np.array([trace > 0 for trace in forecaster.header.traces])  # limits come after the mean
    np.testing.assert_allclose(made[0.5]["gru"][:, :, ~dry], middle[:, :, ~dry], atol=1e-3)


def test_in_a_season_that_the_networks_never_saw_the_base_network_forecasts(checkpoint: Path, network: Panel) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    header = replace(forecaster.header, base_weights=(0.0,) * len(forecaster.header.targets), learned_from="")
    issued = network.time_of(170)

    def learned(first: float, last: float) -> np.ndarray:
        """What is forecast by networks that learned between so many days before."""
        since, until = ((issued - days * DAY).isoformat() for days in (first, last))
        forecaster.header = replace(header, learned_from=since, refreshed_until=until)
        return forecasts(forecaster, network)["gru"][::3]  # one of the hours of issue

    forecaster.header = header
    made = forecasts(forecaster, network)
    own, base = made["gru"][::3], made["base"][::3]
    for known in ((120, -30), (120, 13), (360, 200), (365 + 90, 90)):  # the third began five days on, a year ago
        np.testing.assert_array_equal(learned(*known), own)
    for unseen in ((120, 43), (365.2425 - 43, 200)):
        np.testing.assert_allclose(learned(*unseen), base, atol=1e-4)
    dry = np.array([trace > 0 for trace in header.traces])
    np.testing.assert_allclose(learned(120, 28)[:, :, ~dry], ((own + base) / 2)[:, :, ~dry], atol=1e-3)


def test_a_reloaded_checkpoint_forecasts_bit_for_bit_the_same(checkpoint: Path, network: Panel, tmp_path: Path) -> None:
    first = load_checkpoint(checkpoint, "cpu")
    save_checkpoint(first, tmp_path / "again" / "copy.safetensors")
    second = load_checkpoint(tmp_path / "again" / "copy.safetensors", "cpu")
    assert second.header == first.header
    assert second.names == first.names == ("persistence", "same_hour_yesterday", "climatology", "ridge", "base", "gru")
    expected, got = forecasts(first, network), forecasts(second, network)
    for name in first.names:
        np.testing.assert_array_equal(got[name], expected[name])
        assert np.isfinite(got[name]).all()
        assert (np.diff(got[name], axis=-1) >= 0).all()
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["copy.safetensors"]  # nothing is left beside


def test_threads_that_forecast_some_windows_each_forecast_what_one_does_and_in_order(
    checkpoint: Path, network: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    at, origins, before = np.repeat(np.arange(4), 3), np.tile([170, 190, 210], 4), torch.get_num_threads()
    expected = forecasts(forecaster, network)
    monkeypatch.setattr("daycast.model.forecaster._AT_ONCE_ON_CPU", 5)
    torch.set_num_threads(2)
    try:
        parts = list(forecaster.predict(forecaster.open(network), at, origins, forecaster.names))
    finally:
        torch.set_num_threads(before)
    assert [(part.start, part.stop) for part, *_ in parts] == [(0, 5), (5, 10), (10, 12)]
    for name in forecaster.names:
        together = np.concatenate([quantiles[name] for _, quantiles, _, _ in parts])
        np.testing.assert_allclose(together, expected[name], rtol=1e-5, atol=1e-4)


def test_the_truth_that_forecasts_are_scored_against_is_what_the_network_holds_to_the_bit(
    checkpoint: Path, network: Panel
) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    at, origins = np.array([0, 1, 3]), np.array([170, 190, network.hours - 10])
    ((_, _, truth, _),) = forecaster.predict(forecaster.open(network), at, origins, ["persistence"])
    for row, (station, t0) in enumerate(zip(at, origins, strict=True)):
        held = network.values[station, t0 + 1 : t0 + 25, : truth.shape[2]]
        np.testing.assert_array_equal(truth[row, : len(held)], held)
        assert np.isnan(truth[row, len(held) :]).all()
    assert (truth == 0).any()  # dry hours, of which an interval from 0 to 0 holds all


def test_a_forecast_stays_within_the_limits_of_its_variable(checkpoint: Path, network: Panel) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    rain = forecaster.header.targets.index("precipitation_mm")
    quantiles = forecasts(forecaster, network)["gru"][:, :, rain]
    assert quantiles.min() >= 0.0
    forecaster.residuals["ridge"] = forecaster.residuals["ridge"] - 1e6
    assert (forecasts(forecaster, network)["ridge"][:, :, rain] == 0.0).all()


def test_a_trace_of_rain_is_forecast_as_none(checkpoint: Path, network: Panel) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    rain = forecaster.header.targets.index("precipitation_mm")
    for quantiles in forecasts(forecaster, network).values():
        some = quantiles[:, :, rain][quantiles[:, :, rain] != 0]
        assert len(some)
        assert some.min() >= np.float32(0.05)


def test_a_station_that_training_did_not_know_gets_the_networks_climatology(checkpoint: Path, network: Panel) -> None:
    forecaster = load_checkpoint(checkpoint, "cpu")
    assert forecaster.climatology_rows(network).tolist() == [0, 1, 2, 3]
    strangers = network.stations.with_columns(station_id=network.stations["station_id"] + "x")
    foreign = Panel(strangers, network.start, network.channels, network.values, network.known_from, network.revisions)
    assert forecaster.climatology_rows(foreign).tolist() == [4, 4, 4, 4]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no checkpoint .*gone\.safetensors"):
        load_checkpoint(tmp_path / "gone.safetensors", "cpu")


def test_tensors_and_words_that_were_damaged_on_disk_are_not_served(checkpoint: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "bad.safetensors", checkpoint.read_bytes()
    words = whole.index(b"limits") + 20
    for place in (words, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(
            ModelError, match=r"bad.safetensors is no readable checkpoint .*: restore .*rollback.*retrain"
        ):
            load_checkpoint(path, "cpu")


def test_a_checkpoint_of_an_earlier_version_has_no_checksum_and_loads(checkpoint: Path, tmp_path: Path) -> None:
    tensors, notes = read_tensors(checkpoint)
    tensors.pop("observed")
    path = tmp_path / "old.safetensors"
    save_file(tensors, path, {"daycast": json.dumps(notes)})
    old = load_checkpoint(path, "cpu")
    assert old.header == read_header(checkpoint)
    assert old.observed is None


def test_a_checkpoint_of_an_earlier_version_serves_the_networks_that_were_scored(
    checkpoint: Path, tmp_path: Path
) -> None:
    tensors, notes = read_tensors(checkpoint)
    path = tmp_path / "old.safetensors"
    fitted = {name: tensor for name, tensor in tensors.items() if not name.startswith("refreshed.network.")}
    assert len(fitted) < len(tensors)
    del notes["departures"]
    save_file(fitted, path, {"daycast": json.dumps(notes)})
    old, new = load_checkpoint(path, "cpu"), load_checkpoint(checkpoint, "cpu")
    weights = old.network.state_dict()
    assert all(torch.equal(weights[name], own) for name, own in new.fitted.network.state_dict().items())
    assert torch.equal(old.weights.path, new.refreshed.path)
    assert old.header.departures == ()


def test_a_header_with_something_missing_is_a_model_error(checkpoint: Path, tmp_path: Path) -> None:
    tensors, notes = read_tensors(checkpoint)
    for broken in (
        "{",
        "[]",
        json.dumps({**notes, "channels": 3}),
        json.dumps({name: told for name, told in notes.items() if name != "limits"}),
    ):
        save_file(tensors, tmp_path / "bad.safetensors", {"daycast": broken})
        for read in (read_header, load_checkpoint):
            with pytest.raises(ModelError, match="is no readable checkpoint"):
                read(tmp_path / "bad.safetensors")


def cut_short(checkpoint: Path, path: Path) -> None:
    path.write_bytes(checkpoint.read_bytes()[:-100])


def words(_: Path, path: Path) -> None:
    path.write_text("this is no checkpoint, it is a letter to whoever reads it")


def empty(_: Path, path: Path) -> None:
    path.touch()


def foreign(_: Path, path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def newer(_: Path, path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"daycast": '{"format": "daycast-99"}'})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_short, "no readable checkpoint"),
        (words, "no readable checkpoint"),
        (empty, "no readable checkpoint"),
        (foreign, "has format None, not 'daycast-3'"),
        (newer, "has format 'daycast-99', not 'daycast-3'"),
    ],
)
@pytest.mark.parametrize("read", [read_header, load_checkpoint])
def test_what_is_no_checkpoint_of_ours_is_a_model_error(
    spoil: Callable[[Path, Path], None], message: str, read: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.safetensors"
    spoil(checkpoint, path)
    with pytest.raises(ModelError, match=message):
        read(path)
