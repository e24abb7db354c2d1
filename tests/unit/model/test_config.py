"""The configuration as the headers of checkpoints have it: also those of earlier versions."""

from daycast.model.config import ModelConfig


def test_a_configuration_from_before_neighbour_attention_has_none() -> None:
    assert not ModelConfig.from_json({"cell": "gru"}).neighbour_attention
    assert ModelConfig.from_json({"cell": "gru", "neighbour_attention": True}).neighbour_attention


def test_old_names_are_read_as_the_new_ones_and_lists_as_tuples() -> None:
    assert ModelConfig.from_json({"hidden": 8, "targets": ["air_temperature_c"]}) == ModelConfig(
        hidden_size=8, targets=("air_temperature_c",), neighbour_attention=False
    )
