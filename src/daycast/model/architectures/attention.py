"""Attention: each lead looks back over all hours of the history, instead of at the encoder's last state alone."""

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Scaled dot products of what the decoder says with what the encoder said, and the two merged.

    The "general" score and the attentional vector of Luong, Pham & Manning (2015), doi:10.18653/v1/D15-1166, scaled as by Vaswani
    et al. (2017), arXiv:1706.03762.
    """

    def __init__(self, hidden: int, width: int) -> None:
        """hidden: of the decoder; width: of the encoder's outputs."""
        super().__init__()
        self.query = nn.Linear(hidden, width, bias=False)
        self.merge = nn.Linear(hidden + width, hidden)

    def forward(self, decoded: Tensor, outputs: Tensor) -> Tensor:
        """From the decoder's outputs (B, hours, D) and the encoder's (B, T, width) to (B, hours, D)."""
        context = nn.functional.scaled_dot_product_attention(self.query(decoded), outputs, outputs)
        return torch.tanh(self.merge(torch.cat([decoded, context], dim=2)))
