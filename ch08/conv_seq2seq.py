"""Convolutional seq2seq: kernels over time in place of recurrence, and attention in every block.

V ids, D numbers a step, k steps under a kernel, N questions of T ids, answers of L, S at a time.
Source: book 8.5.2; Gehring et al. 2017, https://arxiv.org/abs/1705.03122.
"""

import math
from typing import Any, ClassVar, NamedTuple

import numpy

from ch07.decoding import greedy
from ch07.encoder_decoder import EncoderDecoder
from ch07.seq2seq import question_mask
from ch08.transformer import affine
from common.attention import TimeAttention
from common.convolution import GatedLinearUnit, TimeConvolution
from common.network import Network
from common.np import Array, np, to_cpu
from common.positions import LearnedPositions, Positions
from common.rng import Seed, generator, randn
from common.time_layers import TimeAffine, TimeDropout, TimeEmbedding

__all__ = ["ConvSeq2seq"]

HALF = math.sqrt(0.5)  # a sum of two independent numbers, times this, has their variance


class ConvEncoded(NamedTuple):
    """What the encoder hands over; or its gradient.

    keys (N, T, D)    z, what the last block gave: where to look
    values (N, T, D)  (z + e) / sqrt(2), e the embeddings: what is found there
    mask (N, T)       on the host, False at padding; or None
    """

    keys: Array
    values: Array
    mask: Array = None


class ConvBlock(Network):
    """y = (x + GLU(convolution(drop(x)))) / sqrt(2).   x (N, T, D) -> y (N, T, D)

    causal  for a decoder. It goes on after the last call, and looks at the encoder's states: with
            u the output of the GLU, the query (u @ Wq + bq + g) / sqrt(2), g the embedding of the
            step, picks c among the values, and u becomes (u + c @ Wc + bc) / sqrt(2)
    forward(x, mask=None) of an encoder; forward(x, None, g, encoded) of a decoder
    backward(dy) -> dx; of a decoder dg, dkeys and dvalues are the other gradients
    """

    def __init__(
        self, D: int, k: int, *, causal: bool, dropout_ratio: float, rng: numpy.random.Generator
    ) -> None:
        self.drop = TimeDropout(dropout_ratio, rng=rng)
        W = randn(rng, k, D, 2 * D) * math.sqrt(4 * (1 - dropout_ratio) / (k * D))
        b = np.zeros(2 * D, dtype="f")
        self.convolution = TimeConvolution(W, b, causal=causal, stateful=causal)
        self.glu, self.causal = GatedLinearUnit(), causal
        parts: dict[str, Any] = {
            "drop": self.drop,
            "convolution": self.convolution,
            "glu": self.glu,
        }
        if causal:
            self.query, self.attention = affine(D, D, rng), TimeAttention()
            self.out = affine(D, D, rng)
            parts |= {"query": self.query, "attention": self.attention, "out": self.out}
        super().__init__(**parts)

    def forward(self, x: Array, mask: Array = None, g: Array = None, encoded: Any = None) -> Array:
        u = self.glu.forward(self.convolution.forward(self.drop.forward(x), mask))
        if self.causal:
            keys, values, mask = encoded
            q = HALF * (self.query.forward(u) + g)
            c = self.attention.forward(keys, q, mask, values=values)
            u = HALF * (u + self.out.forward(c))
        return HALF * (x + u)

    def backward(self, dy: Array) -> Array:
        dx = du = HALF * dy
        if self.causal:
            du = HALF * du
            self.dkeys, dq = self.attention.backward(self.out.backward(du))
            self.dvalues, self.dg = self.attention.dvalues, HALF * dq
            du = du + self.query.backward(self.dg)
        return dx + self.drop.backward(self.convolution.backward(self.glu.backward(du)))


class ConvStack(Network):
    """ids (N, T) -> embedding + positions, dropout -> e (N, T, D) -> blocks -> z (N, T, D).

    forward(ids, mask=None, encoded=None) -> e, z;  backward(de, dz)
    max_length  positions that are learned; None for sinusoidal ones
    """

    def __init__(
        self,
        V: int,
        D: int,
        k: int,
        *,
        num_layers: int,
        max_length: int | None,
        causal: bool,
        dropout_ratio: float,
        rng: numpy.random.Generator,
    ) -> None:
        if num_layers < 1:
            raise self._refuse(f"num_layers must be at least 1, not {num_layers}")
        self.embed = TimeEmbedding(randn(rng, V, D) / 10)
        self.positions = (
            Positions(stateful=causal)
            if max_length is None
            else LearnedPositions(randn(rng, max_length, D) / 10, stateful=causal)
        )
        self.drop = TimeDropout(dropout_ratio, rng=rng)
        self.blocks = [
            ConvBlock(D, k, causal=causal, dropout_ratio=dropout_ratio, rng=rng)
            for _ in range(num_layers)
        ]
        named: dict[str, Any] = {f"block{j}": block for j, block in enumerate(self.blocks)}
        super().__init__(embed=self.embed, positions=self.positions, drop=self.drop, **named)

    def forward(self, ids: Array, mask: Array = None, encoded: Any = None) -> tuple[Array, Array]:
        e = z = self.drop.forward(self.positions.forward(self.embed.forward(ids), mask))
        for block in self.blocks:
            z = block.forward(z, mask, e, encoded)
        return e, z

    def backward(self, de: Array, dz: Array) -> None:
        for block in reversed(self.blocks):
            dz = block.backward(dz)
            if block.causal:
                de = block.dg if de is None else de + block.dg
        de = dz if de is None else de + dz
        self.embed.backward(self.positions.backward(self.drop.backward(de)))


class ConvEncoder(Network):
    """ids (N, T) -> `ConvStack` -> z -> ConvEncoded(keys = z, values = (z + e) / sqrt(2), mask).

    pad_id  the id of padding. What a question begins or ends with of it is not read
    backward(the gradient in the same form) fills `grads`
    """

    def __init__(self, stack: ConvStack, pad_id: int | None = None) -> None:
        self.stack, self.pad_id = stack, pad_id
        super().__init__(stack=stack)

    def forward(self, xs: Array) -> ConvEncoded:
        mask = None if self.pad_id is None else question_mask(xs, self.pad_id)
        e, z = self.stack.forward(xs, mask)
        return ConvEncoded(z, HALF * (z + e), mask)

    def backward(self, dencoded: ConvEncoded) -> None:
        dkeys, dvalues, _ = dencoded
        de = HALF * dvalues
        self.stack.backward(de, dkeys + de)


class ConvDecoder(Network):
    """ids (N, S) -> causal `ConvStack` -> affine -> scores (N, S, V) of the id after each.

    start(encoded), then scores(ids) as often as wanted: of earlier ids, each block keeps the k - 1
    steps that its kernel reaches back to
    forward(ids, encoded) is both;  backward(dscores) -> the gradient of `encoded`
    """

    def __init__(self, stack: ConvStack, out: TimeAffine) -> None:
        self.stack, self.affine = stack, out
        self.vocab_size = out.output_size(None)
        super().__init__(stack=stack, affine=out)
        self.set_state()

    @property
    def state(self) -> dict[str, Array]:
        """Of the encoder: keys and values (N, T, D), mask (N, T)."""
        return dict(zip(("keys", "values", "mask"), self.encoded, strict=True))

    def set_state(self, keys: Array = None, values: Array = None, mask: Array = None) -> None:
        """Go on with other rows of keys and values (N, T, D), and of the mask (N, T)."""
        self.encoded = ConvEncoded(keys, values, None if mask is None else to_cpu(mask))

    def forward(self, ids: Array, encoded: ConvEncoded) -> Array:
        self.start(encoded)
        return self.scores(ids)

    def start(self, encoded: ConvEncoded) -> None:
        """Begin the answers to N questions: keys and values (N, T, D), mask (N, T)."""
        self.reset_state()
        self.set_state(*encoded)

    def scores(self, ids: Array) -> Array:
        """ids (N, S) that go on with the answers -> scores (N, S, V) of the id after each."""
        _, z = self.stack.forward(ids, None, self.encoded)
        return self.affine.forward(z)

    @property
    def head_maps(self) -> list[Array]:
        """What the last `scores` looked at: for each block the weights (N, 1, S, T)."""
        return [np.stack(b.attention.attention_weights, 1)[:, None] for b in self.stack.blocks]

    def backward(self, dscores: Array) -> ConvEncoded:
        self.stack.backward(None, self.affine.backward(dscores))
        blocks = self.stack.blocks
        return ConvEncoded(sum(b.dkeys for b in blocks), sum(b.dvalues for b in blocks))

    def generate(
        self, encoded: Any, start_id: int, sample_size: int, *, stop_id: int | None = None
    ) -> list[int]:
        """The answer to one question, keys (1, T, D); arguments and errors as for `Decoder`."""
        self.start(encoded)
        (answer,) = greedy(self, 1, start_id, sample_size, stop_id)
        return [int(k) for k in answer]


class ConvSeq2seq(EncoderDecoder):
    """question (N, T) -> `ConvEncoder` -> `ConvDecoder` -> answer (N, L).

    vocab_size     V of questions and answers
    wordvec_size   D, the width of everything between embedding and scores
    hidden_size    D as well, because blocks add what they make to what they get
    kernel_size    k, the steps under a kernel; odd, since the encoder's kernels have a middle
    num_layers     blocks of the encoder, and of the decoder
    dropout_ratio  of the embeddings, and of each block's input
    max_length     positions that are learned, as in the paper; None for sinusoidal ones
    pad_id         as for `Seq2seq`
    rng            seed or Generator of the first weights and dropouts; None follows NumPy's seed
    Raises ValueError for two widths, sizes below 1, an even k, a ratio outside 0 <= ratio < 1, a
    sequence longer than max_length, and as `EncoderDecoder` does.
    """

    fixed: ClassVar[tuple[str, ...]] = ("pad_id",)

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int = 64,
        hidden_size: int = 64,
        *,
        kernel_size: int = 3,
        num_layers: int = 2,
        dropout_ratio: float = 0.0,
        max_length: int | None = 64,
        pad_id: int | None = None,
        rng: Seed = None,
    ) -> None:
        V, D, rng = vocab_size, wordvec_size, generator(rng)
        if hidden_size != D:
            raise self._refuse(f"wordvec_size {D} and hidden_size {hidden_size} must be equal")
        how: dict[str, Any] = {
            "num_layers": num_layers,
            "dropout_ratio": dropout_ratio,
            "max_length": max_length,
        }
        reader, writer = (
            ConvStack(V, D, kernel_size, causal=causal, rng=rng, **how) for causal in (False, True)
        )
        decoder = ConvDecoder(writer, affine(D, V, rng))
        super().__init__(ConvEncoder(reader, pad_id), decoder, pad_id)
        self.settings = {
            **{"vocab_size": V, "wordvec_size": D, "hidden_size": D, "kernel_size": kernel_size},
            **how,
            "pad_id": pad_id,
        }
