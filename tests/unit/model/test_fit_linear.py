"""One pass over the windows serves both linear models."""

from collections.abc import Callable

import numpy as np
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.linear.fit import fit_linear, fit_nested
from daycast.model.linear.ridge import path_features, ridge_features
from daycast.model.windows import Windows

TRAIN = Block(0, 960)


def test_features_nested_in_others_are_fitted_as_by_themselves(
    make_plain_network: Callable[[np.ndarray], Panel],
) -> None:
    values = np.random.default_rng(3).normal(size=(2, 1440, 1)).cumsum(axis=1) * 0.1
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    windows = Windows(make_plain_network(values), scale, torch.device("cpu"))
    both = fit_nested(windows, TRAIN, 1, path_features, ridge_features, seed=1)
    for fit, features in zip(both, (path_features, ridge_features), strict=True):
        alone = fit_linear(windows, TRAIN, 1, features, seed=1)
        assert fit.path.penalties == alone.path.penalties
        for own, other in ((fit.path.weights, alone.path.weights), (fit.refreshed, alone.refreshed)):
            torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(fit.held_out[0][1], alone.held_out[0][1], atol=1e-3, rtol=0)
