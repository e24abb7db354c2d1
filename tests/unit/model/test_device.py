"""bfloat16 where a GPU has it, and only where rounding does no harm."""

from dataclasses import replace

import pytest
import torch

from daycast.errors import ConfigError
from daycast.model import device as module
from daycast.model.device import choose_precision, cpu_has_bfloat16
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member
from unit.model.training_data import TINY, train_alone


@pytest.mark.parametrize(
    ("name", "device", "has_it", "chosen"),
    [
        ("auto", "cpu", True, torch.float32),
        ("auto", "cuda", True, torch.bfloat16),
        ("auto", "cuda", False, torch.float32),
        ("float32", "cuda", True, torch.float32),
        ("bfloat16", "cpu", True, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_on_a_gpu_that_has_it_and_float32_elsewhere(
    name: str, device: str, has_it: bool, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_it)
    monkeypatch.setattr(module, "cpu_has_bfloat16", lambda: has_it)
    assert choose_precision(name, torch.device(device)) == chosen


def test_a_processor_without_bfloat16_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(ConfigError, match=r"precision.*float32"):
        choose_precision("bfloat16", torch.device("cpu"))


EVERYTHING = {"bidirectional": True, "attention": True, "layer_norm": True, "decoder": "autoregressive"}


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this processor has no LSTM in bfloat16")
@pytest.mark.parametrize(("cell", "options"), [("gru", {}), ("lstm", {}), ("lstm", EVERYTHING)])
def test_in_bfloat16_training_comes_to_nearly_the_same_with_weights_in_float32(
    cell: str, options: dict, training_data: TrainingData
) -> None:
    config = replace(TINY, input_dropout=0.0, learning_rate=3e-2, steps_per_epoch=12, epochs=1, **options)
    exact, rounded, before = (
        train_alone(Member(cell, 1), training_data, replace(config, **change))
        for change in ({}, {"precision": "bfloat16"}, {"epochs": 0})
    )
    assert exact.loss < 0.95 * before.loss
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)
    assert rounded.loss != exact.loss
    assert {weights.dtype for weights in rounded.net.state_dict().values()} == {torch.float32}
