"""The cells hour by hour, written from their formulas: what the fused modules are compared with.

Gates as in the documentation of torch: of a GRU reset, update, candidate; of an LSTM input, forget, candidate, output.
"""

import numpy as np
import torch

from daycast.model.network.cells import State


def weights_of(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step(
    kind: str, given: np.ndarray, recurrent: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The next hidden and cell state. given, recurrent: what the weights make of the input and of h, for all gates."""
    if kind == "rnn":
        return np.tanh(given + recurrent), c
    if kind == "gru":
        (gr, gz, gn), (rr, rz, rn) = (np.split(part, 3, axis=-1) for part in (given, recurrent))
        reset, update = sigmoid(gr + rr), sigmoid(gz + rz)
        return (1 - update) * np.tanh(gn + reset * rn) + update * h, c
    enter, forget, candidate, out = np.split(given + recurrent, 4, axis=-1)
    c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(candidate)
    return sigmoid(out) * np.tanh(c), c


def run(kind: str, module: torch.nn.Module, x: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
    """All outputs (B, hours, D) and the last state, (layers, B, D), two of them for an LSTM."""
    weights, layers, D = weights_of(module), module.num_layers, module.hidden_size
    start = np.zeros((layers, len(x), D)) if state is None else None
    hidden, cell = (start, start) if state is None else _as_arrays(state)
    last = []
    for layer in range(layers):
        h, c, outputs = hidden[layer], cell[layer], []
        for hour in range(x.shape[1]):
            given = x[:, hour] @ weights[f"weight_ih_l{layer}"].T + weights[f"bias_ih_l{layer}"]
            recurrent = h @ weights[f"weight_hh_l{layer}"].T + weights[f"bias_hh_l{layer}"]
            h, c = step(kind, given, recurrent, h, c)
            outputs.append(h)
        x = np.stack(outputs, axis=1)
        last.append((h, c))
    hidden, cell = (torch.from_numpy(np.stack(part)) for part in zip(*last, strict=True))
    return x, (hidden, cell) if kind == "lstm" else hidden


def _as_arrays(state: State) -> tuple[np.ndarray, np.ndarray]:
    hidden, cell = state if isinstance(state, tuple) else (state, torch.zeros_like(state))
    return hidden.detach().numpy(), cell.detach().numpy()
