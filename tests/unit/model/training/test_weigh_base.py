"""The base network gets the weight that validates best, for each target by itself."""

from types import SimpleNamespace

import pytest
import torch

from daycast.features.splits import Block
from daycast.model import fit
from daycast.model.config import QUANTILES
from daycast.model.training.ensemble import weigh_base
from daycast.model.windows import Batch

B, T, H = 6, 168, 24


def test_each_target_has_the_weight_that_brings_the_mean_nearest_to_the_truth() -> None:
    """The networks are off by 1 and the base network by the other way: by nothing, 1, 3, and nothing where it is not known."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(B, H, 4, generator=generator)
    steps = torch.tensor(QUANTILES) - 0.5
    empty = torch.zeros(B, T, 4)
    batch = Batch(empty, empty.bool(), empty, empty[:, :72], torch.zeros(B, T + H, 5), truth)
    own = truth[..., None] + 1 + 0.1 * steps
    other = truth[..., None] - torch.tensor([0.0, 1.0, 3.0, 0.0])[:, None] + 0.1 * steps
    known = torch.tensor([True, True, True, False]).expand(B, 4)
    weights = weigh_base(lambda *_: own, lambda _: (other, known), [(batch, torch.zeros(B, H, 4))])  # type: ignore[arg-type]
    assert weights == (1.0, 0.5, 0.25, 0.0)


@pytest.mark.parametrize(("days", "expected"), [(365, (0.65, 0.15, 0.0)), (364, (1.0, 0.0, 0.0))])
def test_after_a_year_of_training_the_weights_lean_on_what_is_usual_for_what_is_known(
    monkeypatch: pytest.MonkeyPatch, days: int, expected: tuple[float, ...]
) -> None:
    monkeypatch.setattr(fit, "weigh_base", lambda *_: (1.0, 0.0, 0.0))
    names = ("air_temperature_c", "dew_point_c", "soil_moisture")
    own = SimpleNamespace(
        base=torch.nn.Identity(),
        device=torch.device("cpu"),
        targets=[SimpleNamespace(name=name) for name in names],
        split=SimpleNamespace(train=Block(0, 24 * days)),
    )
    assert fit._Fit._weigh_base(own, None, []) == pytest.approx(expected)  # type: ignore[arg-type]
