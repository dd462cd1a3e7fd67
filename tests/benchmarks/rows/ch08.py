"""Chapter 8: the Transformer, its layers alone, its language model, and convolutional seq2seq.

V ids, D numbers a step, F hidden units of a feed-forward layer, N questions of T ids with answers
of L. PyTorch's twins are made of its own modules.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy

from tests.benchmarks.rows import ch07
from tests.benchmarks.rows.steps import Step, our_step, torch_step


def positions(torch: Any, T: int, D: int) -> Any:
    from common.positions import waves

    return torch.as_tensor(waves(T, D).astype("f"))


@dataclass
class Transformer(ch07.Translation):
    """1 + 1 blocks, pre-norm, no dropout; float32, Adam, gradients clipped to 5."""

    model: str = "transformer"
    V: int = 59
    D: int = 64
    H: int = 128
    T: int = 29
    L: int = 11
    heads: int = 4
    layers: int = 1

    def our_model(self) -> Any:
        from ch08.transformer import Transformer

        how: Any = {"num_layers": self.layers, "num_heads": self.heads}
        return Transformer(self.V, self.D, self.H, **how, rng=0)

    def their_model(self) -> Any:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                V, D, L = size.V, size.D, size.L - 1
                how = {"dropout": 0.0, "batch_first": True, "norm_first": True}
                kind = D, size.heads, size.H
                self.embed, self.scale = nn.Embedding(V, D), math.sqrt(D)
                self.encoder = nn.TransformerEncoder(
                    nn.TransformerEncoderLayer(*kind, **how),
                    size.layers,
                    nn.LayerNorm(D),
                    enable_nested_tensor=False,
                )
                self.decoder = nn.TransformerDecoder(
                    nn.TransformerDecoderLayer(*kind, **how), size.layers, nn.LayerNorm(D)
                )
                self.affine = nn.Linear(D, V)
                self.register_buffer("codes", positions(torch, max(size.T, L), D))
                self.register_buffer("later", nn.Transformer.generate_square_subsequent_mask(L))

            def read(self, ids):
                return self.embed(ids) * self.scale + self.codes[: ids.shape[1]]

            def forward(self, xs, ts):
                memory = self.encoder(self.read(xs))
                hs = self.decoder(
                    self.read(ts[:, :-1]), memory, tgt_mask=self.later, tgt_is_causal=True
                )
                scores = self.affine(hs)
                return nn.functional.cross_entropy(scores.flatten(0, 1), ts[:, 1:].flatten())

        return Net(self)


@dataclass
class Conv(Transformer):
    """2 + 2 blocks, kernels of 3 steps, attention in every block of the decoder."""

    model: str = "conv"
    H: int = 64
    layers: int = 2

    def our_model(self) -> Any:
        from ch08.conv_seq2seq import ConvSeq2seq

        return ConvSeq2seq(self.V, self.D, self.H, num_layers=self.layers, rng=0)

    def their_model(self) -> Any:
        import torch
        from torch import nn

        half = math.sqrt(0.5)

        class Block(nn.Module):
            def __init__(self, D, causal):
                super().__init__()
                self.causal = causal
                self.convolution = nn.Conv1d(D, 2 * D, 3, padding=2 if causal else 1)
                if causal:
                    self.query, self.out = nn.Linear(D, D), nn.Linear(D, D)

            def forward(self, x, g=None, keys=None, values=None):
                y = self.convolution(x.transpose(1, 2))[:, :, : x.shape[1]]
                u = nn.functional.glu(y, 1).transpose(1, 2)
                if self.causal:
                    q = half * (self.query(u) + g)
                    c = (q @ keys.transpose(1, 2)).softmax(2) @ values
                    u = half * (u + self.out(c))
                return half * (x + u)

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                V, D, n = size.V, size.D, size.layers
                self.embeds = nn.ModuleList([nn.Embedding(V, D) for _ in range(2)])
                self.places = nn.ModuleList([nn.Embedding(64, D) for _ in range(2)])
                self.encoder = nn.ModuleList([Block(D, False) for _ in range(n)])
                self.decoder = nn.ModuleList([Block(D, True) for _ in range(n)])
                self.affine = nn.Linear(D, V)

            def read(self, ids, k):
                steps = torch.arange(ids.shape[1], device=ids.device)
                return self.embeds[k](ids) + self.places[k](steps)

            def forward(self, xs, ts):
                e = z = self.read(xs, 0)
                for block in self.encoder:
                    z = block(z)
                g = y = self.read(ts[:, :-1], 1)
                for block in self.decoder:
                    y = block(y, g, z, half * (z + e))
                scores = self.affine(y)
                return nn.functional.cross_entropy(scores.flatten(0, 1), ts[:, 1:].flatten())

        return Net(self)


@dataclass
class LanguageModel:
    """TransformerLM: 4 blocks of width 256, tied, dropout 0.3; Adam, gradients clipped to 1."""

    V: int = 10000
    D: int = 256
    F: int = 1024
    N: int = 20
    T: int = 70
    heads: int = 4
    layers: int = 4
    dropout: float = 0.3

    def ours(self) -> Step:
        from ch08.transformer_lm import TransformerLM
        from common.optimizer import Adam

        sizes: Any = {"num_layers": self.layers, "num_heads": self.heads, "context": self.T}
        model = TransformerLM(self.V, self.D, self.F, self.dropout, **sizes, rng=0)
        return our_step(model, Adam(), self.batches(), 1.0)

    def theirs(self) -> Step:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                D, drop = size.D, size.dropout
                self.embed, self.scale = nn.Embedding(size.V, D), math.sqrt(D)
                layer = nn.TransformerEncoderLayer(
                    *(D, size.heads, size.F, drop),
                    activation=lambda x: nn.functional.gelu(x, approximate="tanh"),
                    batch_first=True,
                    norm_first=True,
                )
                self.stack = nn.TransformerEncoder(
                    layer, size.layers, nn.LayerNorm(D), enable_nested_tensor=False
                )
                self.drop, self.affine = nn.Dropout(drop), nn.Linear(D, size.V)
                self.affine.weight = self.embed.weight
                nn.init.normal_(self.embed.weight, std=1 / (4 * self.scale))  # as ours
                self.register_buffer("codes", positions(torch, size.T, D))
                mask = nn.Transformer.generate_square_subsequent_mask(size.T)
                self.register_buffer("later", mask)

            def forward(self, xs, ts):
                x = self.drop(self.embed(xs) * self.scale + self.codes)
                scores = self.affine(self.stack(x, mask=self.later, is_causal=True))
                return nn.functional.cross_entropy(scores.flatten(0, 1), ts.flatten())

        net = Net(self)
        return torch_step(net, torch.optim.Adam(net.parameters()), self.batches(), 1.0)

    def batches(self) -> Any:
        """Twenty pairs of ids (N, T), with the frequencies of words: 1 / rank."""
        p = 1 / numpy.arange(1, self.V + 1)
        shape = (20, 2, self.N, self.T)
        return numpy.random.default_rng(0).choice(self.V, shape, p=p / p.sum())


@dataclass
class Alone:
    """Forward and backward of one layer in float32, gradient of its input included.

    layer  SelfAttention, LayerNorm or TimeConvolution
    """

    layer: str
    N: int = 128
    T: int = 29
    D: int = 64
    heads: int = 4
    k: int = 3

    def ours(self) -> Step:
        from common.convolution import TimeConvolution
        from common.layers import LayerNorm
        from common.multi_head import SelfAttention
        from common.np import np

        D, r = self.D, numpy.random.default_rng(0).standard_normal

        def weights(*shapes: Any) -> Any:
            return [np.asarray((r(shape) / math.sqrt(D)).astype("f")) for shape in shapes]

        if self.layer == "SelfAttention":
            given = weights((D, 3 * D), (3 * D,), (D, D), (D,))
            layer: Any = SelfAttention(*given, num_heads=self.heads)
        elif self.layer == "LayerNorm":
            layer = LayerNorm(*weights((D,), (D,)))
        else:
            layer = TimeConvolution(*weights((self.k, D, 2 * D), (2 * D,)))
        x, dy = map(np.asarray, self.batches()[0])

        def step() -> None:
            layer.forward(x)
            layer.backward(dy)

        return step

    def theirs(self) -> Step:
        import torch
        from torch import nn

        D = self.D
        if self.layer == "SelfAttention":
            attention = nn.MultiheadAttention(D, self.heads, batch_first=True)
            module: Any = attention

            def forward(x: Any) -> Any:
                return attention(x, x, x, need_weights=False)[0]

        elif self.layer == "LayerNorm":
            module = forward = nn.LayerNorm(D)
        else:
            module = convolution = nn.Conv1d(D, 2 * D, self.k, padding=self.k // 2)

            def forward(x: Any) -> Any:
                return convolution(x.transpose(1, 2)).transpose(1, 2)

        there = next(module.parameters()).device
        x, dy = (torch.as_tensor(a, device=there) for a in self.batches()[0])
        x.requires_grad = True

        def step() -> None:
            module.zero_grad()
            x.grad = None
            forward(x).backward(dy)

        return step

    def batches(self) -> Any:
        """The input (N, T, D), and the gradient of the output."""
        r = numpy.random.default_rng(0).standard_normal
        M = 2 * self.D if self.layer == "TimeConvolution" else self.D
        return [[r((self.N, self.T, width)).astype("f") for width in (self.D, M)]]
