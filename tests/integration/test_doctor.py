"""The doctor finds what would keep a forecast from being made, and makes every check whatever the others say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daycast.settings import Settings
from daycast.sources.simulated.source import SimulatedSource
from daycast.steps.doctor import CheckResult, examine

pytestmark = pytest.mark.slow

CHECKS = ["contracts", "device", "disk", "warehouse", "champion", "source simulated"]


def findings(settings: Settings, now) -> dict[str, CheckResult]:
    return {finding.check: finding for finding in examine(settings, now)}


def test_all_is_well_where_it_is(trained) -> None:
    found = findings(trained.settings, trained.at)
    assert list(found) == CHECKS
    assert all(finding.ok for finding in found.values()), found
    assert found["champion"].detail.endswith("its checkpoint is whole")


def test_a_data_folder_that_cannot_be_written_is_found(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below /proc not even root can make a folder; nor is there any room."""
    monkeypatch.setattr("daycast.steps.doctor._LEAST_FREE_GB", 0)
    found = findings(trained.settings.model_copy(update={"data": Path("/proc/daycast")}), trained.at)
    assert not found["disk"].ok
    assert found["disk"].detail.startswith("/proc cannot be ")


def missing(checkpoint: Path) -> None:
    checkpoint.unlink()


def damaged(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[-2] ^= 1
    checkpoint.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "says"), [(missing, "there is no checkpoint"), (damaged, "its checksum is not that of its content")]
)
def test_a_champion_without_a_whole_checkpoint_is_found(trained, spoil: Callable, says: str) -> None:
    (checkpoint,) = trained.settings.checkpoints.glob("*.safetensors")
    spoil(checkpoint)
    found = findings(trained.settings, trained.at)
    assert list(found) == CHECKS
    assert [name for name, finding in found.items() if not finding.ok] == ["champion"]
    assert says in found["champion"].detail
    assert "daycast retrain" in found["champion"].detail


def test_a_checkpoint_without_a_baseline_that_serves_is_found(trained) -> None:
    settings, now = trained.settings, trained.at
    with settings.warehouse.write(now) as con:
        con.execute(
            "insert into fallbacks select model_id, 'air_temperature_c', null, 'lstm', 0.9, 0.01, 50 from champion"
        )
    assert "has no lstm, which serves" in findings(settings, now)["champion"].detail


def test_a_damaged_warehouse_is_a_failed_line_and_the_other_checks_are_made(trained) -> None:
    trained.settings.warehouse_file.write_bytes(b"no database " * 1000)
    found = findings(trained.settings, trained.at)
    assert list(found) == CHECKS
    assert [name for name, finding in found.items() if not finding.ok] == ["warehouse", "champion"]
    assert "is damaged" in found["warehouse"].detail
    assert "restore a backup" in found["warehouse"].detail


def test_what_no_check_expects_is_a_failed_line_too(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(_: object) -> None:
        raise RuntimeError("a wheel came off\nand rolled away")

    monkeypatch.setattr(SimulatedSource, "stations", fall)
    found = findings(trained.settings, trained.at)
    assert str(found["source simulated"]) == "FAIL source simulated: RuntimeError: a wheel came off"
