"""Chapter 6: language models.  V words, D word vector, H hidden, N sequences of T steps."""

from dataclasses import dataclass
from typing import Any

from tests.benchmarks.rows import ch05


@dataclass
class LanguageModel(ch05.LanguageModel):
    """Rnnlm: gradients clipped.

    A sparse embedding gradient gains PyTorch nothing, and its clip_grad_norm_ refuses one.
    """

    V: int = 10000
    N: int = 20
    T: int = 35
    lr: float = 20.0
    max_grad: float | None = 0.25
    cell: str = "LSTM"
    foreach: bool = True

    def our_model(self) -> Any:
        from ch06.rnnlm import Rnnlm

        return Rnnlm(self.V, self.D, self.H, rng=0)


@dataclass
class BetterLanguageModel(LanguageModel):
    """BetterRnnlm: two LSTMs, dropout, tied weights."""

    D: int = 650
    H: int = 650
    layers: int = 2
    dropout: float = 0.5
    tied: bool = True

    def our_model(self) -> Any:
        from ch06.better_rnnlm import BetterRnnlm

        return BetterRnnlm(self.V, self.D, self.H, self.dropout, num_layers=self.layers, rng=0)
