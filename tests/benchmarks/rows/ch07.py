"""Chapters 7 and 8: seq2seq, plain, Peeky and with attention.

V characters, D character vector, H hidden, N questions of T characters with answers of L.
"""

from dataclasses import dataclass
from typing import Any

import numpy

from tests.benchmarks.rows.steps import Step, our_step, torch_step


@dataclass
class Translation:
    """float32, Adam, gradients clipped to 5.

    model  seq2seq, peeky or attention
    """

    model: str = "seq2seq"
    V: int = 13
    D: int = 16
    H: int = 128
    N: int = 128
    T: int = 7
    L: int = 5

    def our_model(self) -> Any:
        from ch07.peeky_seq2seq import PeekySeq2seq
        from ch07.seq2seq import Seq2seq
        from ch08.attention_seq2seq import AttentionSeq2seq

        models = {"seq2seq": Seq2seq, "peeky": PeekySeq2seq, "attention": AttentionSeq2seq}
        return models[self.model](self.V, self.D, self.H, rng=0)

    def ours(self) -> Step:
        from common.optimizer import Adam

        return our_step(self.our_model(), Adam(), self.batches(), 5.0)

    def theirs(self) -> Step:
        import torch

        net = self.their_model()
        on_gpu = next(net.parameters()).is_cuda
        adam = torch.optim.Adam(net.parameters(), fused=on_gpu or None)
        return torch_step(net, adam, self.batches(), 5.0)

    def their_model(self) -> Any:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                V, D, H, self.kind = size.V, size.D, size.H, size.model
                peeky, wide = self.kind == "peeky", self.kind != "seq2seq"
                self.embed, self.answer_embed = nn.Embedding(V, D), nn.Embedding(V, D)
                self.encoder = nn.LSTM(D, H)
                self.decoder = nn.LSTM(D + H if peeky else D, H)
                self.affine = nn.Linear(2 * H if wide else H, V)

            def forward(self, xs, ts):
                scores, _ = self.decode(ts[:, :-1].t(), *self.encode(xs))
                return nn.functional.cross_entropy(scores.flatten(0, 1), ts[:, 1:].t().flatten())

            def encode(self, xs):
                """(N, T) -> the states (T, N, H), and h with an empty cell, (1, N, H) each."""
                hs, (h, c) = self.encoder(self.embed(xs.t()))
                return hs, (h, torch.zeros_like(c))

            def decode(self, ts, hs_enc, state):
                """(S, N) -> scores (S, N, V) and the next state."""
                inputs = self.answer_embed(ts)
                peek = hs_enc[-1:].expand(len(inputs), -1, -1)
                if self.kind == "peeky":
                    inputs = torch.cat([peek, inputs], 2)
                hs, state = self.decoder(inputs, state)
                if self.kind == "peeky":
                    hs = torch.cat([peek, hs], 2)
                elif self.kind == "attention":
                    enc, dec = hs_enc.transpose(0, 1), hs.transpose(0, 1)
                    context = torch.bmm((dec @ enc.transpose(1, 2)).softmax(2), enc)
                    hs = torch.cat([context.transpose(0, 1), hs], 2)
                return self.affine(hs), state

        return Net(self)

    def batches(self):
        """Twenty pairs of ids, (N, T) and (N, L)."""
        rng = numpy.random.default_rng(0)
        return [
            [rng.integers(self.V, size=(self.N, n)) for n in (self.T, self.L)] for _ in range(20)
        ]


@dataclass
class Writing:
    """One text of so many words, each drawn after those before it. V words, D = H."""

    V: int = 10000
    H: int = 100
    words: int = 100

    def ours(self) -> Step:
        from ch07.rnnlm_gen import RnnlmGen

        model, rng = RnnlmGen(self.V, self.H, self.H, rng=0), numpy.random.default_rng(0)
        return lambda: model.generate(0, sample_size=self.words, rng=rng)

    def theirs(self) -> Step:
        import torch
        from torch import nn

        net = nn.ModuleList(
            [nn.Embedding(self.V, self.H), nn.LSTM(self.H, self.H), nn.Linear(self.H, self.V)]
        )
        embed, lstm, affine = net.to(torch.get_default_device())

        def step() -> None:
            word, state = torch.zeros(1, 1, dtype=torch.long), None
            with torch.no_grad():
                for _ in range(self.words):
                    h, state = lstm(embed(word), state)
                    word = affine(h[0]).softmax(1).multinomial(1)

        return step

    def batches(self):
        """There are none: the first word is the word 0."""
        return []


@dataclass
class Answering(Translation):
    """Greedy answers to `questions` questions, in batches of 125."""

    questions: int = 1000

    def ours(self) -> Step:
        model, xs = self.our_model(), self.asked()

        def step() -> None:
            model.generate_batch(xs, 0, self.L - 1)

        return step

    def theirs(self) -> Step:
        import torch

        net, xs = self.their_model(), torch.as_tensor(self.asked(), device="cpu")
        there = next(net.parameters()).device

        def step() -> None:
            with torch.no_grad():
                for part in xs.split(125):
                    hs_enc, state = net.encode(part.to(there))
                    ids = torch.zeros(1, len(part), dtype=torch.long, device=there)
                    for _ in range(self.L - 1):
                        scores, state = net.decode(ids, hs_enc, state)
                        ids = scores.argmax(2)

        return step

    def asked(self):
        return numpy.random.default_rng(0).integers(self.V, size=(self.questions, self.T))
