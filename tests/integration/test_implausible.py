"""A forecast far outside anything observed is published with a flag, said in log and summary, and stops nothing."""

import pytest
import torch

from daycast.model.checkpoint import load_checkpoint, save_checkpoint
from daycast.report.summary import render_summary
from daycast.steps.forecast import issue_forecasts
from daycast.steps.publish import publish_tables, summarise
from daycast.warehouse.publish.query import query_published

pytestmark = pytest.mark.slow


def test_what_lies_far_outside_anything_observed_is_published_with_a_flag(
    trained, caplog: pytest.LogCaptureFixture
) -> None:
    settings, now = trained.settings, trained.at
    assert not issue_forecasts(settings, now)["implausible"].any()
    assert "implausible" not in caplog.text
    assert "doubtful" not in render_summary(summarise(settings, now, (), None), 100)

    (checkpoint,) = settings.checkpoints.glob("*.safetensors")
    broken = load_checkpoint(checkpoint, "cpu", refreshed=False)
    warmth = broken.header.targets.index("air_temperature_c")
    for weights in (broken.fitted, broken.refreshed):
        if weights is not None and weights.path is not None:
            weights.path.view(weights.path.shape[0], -1, len(broken.header.targets))[..., warmth] += 1e3
    save_checkpoint(broken, checkpoint)
    issued = issue_forecasts(settings, now)
    doubtful = issued.filter("implausible")
    assert set(doubtful["variable"]) == {"air_temperature_c"}
    assert doubtful["value"].abs().min() > 40
    assert f"{len(doubtful)} of {len(issued)} values lie far outside anything observed" in caplog.text
    assert f"doubtful  {len(doubtful)} values far outside anything observed" in render_summary(
        summarise(settings, now, (), None), 100
    )
    publish_tables(settings, now)
    counted = query_published(settings.published, "select count(*) from latest_forecasts where implausible").item()
    assert counted == len(doubtful)


def test_a_checkpoint_of_an_earlier_version_knows_the_newest_week_alone(trained) -> None:
    settings, now = trained.settings, trained.at
    (checkpoint,) = settings.checkpoints.glob("*.safetensors")
    old = load_checkpoint(checkpoint, "cpu", refreshed=False)
    assert isinstance(old.observed, torch.Tensor)
    old.observed = None
    save_checkpoint(old, checkpoint)
    assert not issue_forecasts(settings, now)["implausible"].any()
