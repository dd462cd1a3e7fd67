"""Transformer: attention instead of recurrence, in the encoder and in the decoder.

V ids, D numbers a step, F hidden units of a feed-forward layer, h heads, N questions of T ids,
answers of L.  Source: book 8.5.2; Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy

from ch07.decoding import greedy
from ch07.encoder_decoder import EncoderDecoder
from ch07.seq2seq import Encoded, question_mask
from common.checks import checked_ratio
from common.layers import GELU, LayerNorm, ReLU
from common.multi_head import CrossAttention, SelfAttention
from common.network import Network
from common.np import Array, np
from common.positions import LearnedPositions, Positions
from common.rng import Seed, generator, randn
from common.time_layers import TimeAffine, TimeDropout, TimeEmbedding

__all__ = ["Block", "Stack", "Transformer", "affine", "attention_weights", "embedding"]

ACTIVATIONS: Mapping[str, Any] = {"relu": ReLU, "gelu": GELU}
SMALL = 0.1  # scale of a sublayer's last weights: at first its sum is little more than its input


class Sublayer(Network):
    """y = x + drop(f(norm(x))), or with norm_first=False  y = norm(x + drop(f(x))).

    f     a layer from D numbers to D;  forward(x (N, T, D), *side) hands `side` on to it
    drop  a dropout
    With the norm in front there is a sum of all sublayers from the input to the output, and
    training needs less care (Xiong et al. 2020, https://arxiv.org/abs/2002.04745); the norm behind
    it is that of Vaswani et al. 2017.
    Backward: dx = d + the gradient through f, d that of the sum.
    """

    def __init__(
        self, f: Any, D: int, *, dropout_ratio: float, norm_first: bool, rng: Seed
    ) -> None:
        self.f, self.norm_first = f, norm_first
        self.norm, self.drop = layer_norm(D), TimeDropout(dropout_ratio, rng=rng)
        super().__init__(norm=self.norm, f=f, drop=self.drop)

    def forward(self, x: Array, *side: Array) -> Array:
        y = self.f.forward(self.norm.forward(x) if self.norm_first else x, *side)
        y = x + self.drop.forward(y)
        return y if self.norm_first else self.norm.forward(y)

    def backward(self, dy: Array) -> Array:
        d = dy if self.norm_first else self.norm.backward(dy)
        dx = self.f.backward(self.drop.backward(d))
        return d + (self.norm.backward(dx) if self.norm_first else dx)

    def output_size(self, size: int | None) -> int | None:
        """D, if the input may be of this width."""
        return self.norm.output_size(size)


class Block(Network):
    """Self-attention, for a decoder attention to a memory, and feed-forward: each a `Sublayer`.

    forward(x (N, T, D), mask=None) -> y (N, T, D);  backward(dy) -> dx
    causal      for a decoder: no step looks at later ones, and a call goes on after the last one
    memory      whether it looks at a memory as well, with `cross`, a `CrossAttention`
    activation  of the feed-forward layer, D -> F -> D numbers: relu or gelu
    rng         of the first weights and the dropouts
    Raises ValueError for another activation, and what the attention layers raise.
    """

    def __init__(
        self,
        D: int,
        F: int,
        num_heads: int,
        *,
        causal: bool = False,
        memory: bool = False,
        dropout_ratio: float = 0.0,
        norm_first: bool = True,
        activation: str = "relu",
        rng: Seed = None,
    ) -> None:
        rng = generator(rng)
        if activation not in ACTIVATIONS:
            raise self._refuse(f"activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        self.attention = SelfAttention(
            *attention_weights(D, rng), num_heads=num_heads, causal=causal, stateful=causal
        )
        parts: dict[str, Any] = {"attention": self.attention}
        if memory:
            parts["cross"] = CrossAttention(*attention_weights(D, rng), num_heads=num_heads)
        self.cross: Any = parts.get("cross")
        parts["feed_forward"] = Network(
            [affine(D, F, rng), ACTIVATIONS[activation](), affine(F, D, rng, scale=SMALL)]
        )
        how: dict[str, Any] = {"dropout_ratio": dropout_ratio, "norm_first": norm_first, "rng": rng}
        sublayers = {name: Sublayer(part, D, **how) for name, part in parts.items()}
        super().__init__()
        self.layers = [*sublayers.values()]
        self.hold(**sublayers)

    def forward(self, x: Array, mask: Array = None) -> Array:
        first, *others = self.layers
        x = first.forward(x, *([] if mask is None else [mask]))
        for sublayer in others:
            x = sublayer.forward(x)
        return x


class Stack(Network):
    """ids (N, T) -> embedding * sqrt(D) + positions, dropout, blocks, norm -> (N, T, D).

    W  the embedding (V, D), as `embedding` makes it
    num_layers     blocks, made of the keywords that `Block` takes
    max_length     None for sinusoidal positions, else how many are learned
    sparse         whether the gradient of W is row-sparse, see `Embedding`
    There is no norm at the end if each block ends with one (norm_first=False).
    Raises ValueError for num_layers below 1, and as `Block` does.
    """

    def __init__(
        self,
        W: Array,
        F: int,
        num_heads: int,
        *,
        num_layers: int,
        max_length: int | None = None,
        sparse: bool = False,
        rng: Seed = None,
        **how: Any,
    ) -> None:
        rng, D = generator(rng), W.shape[1]
        if num_layers < 1:
            raise self._refuse(f"num_layers must be at least 1, not {num_layers}")
        causal = how.get("causal", False)
        scale: dict[str, Any] = {"scale": math.sqrt(D), "stateful": causal}
        self.embed = TimeEmbedding(W, sparse=sparse)
        self.positions = (
            Positions(**scale)
            if max_length is None
            else LearnedPositions(randn(rng, max_length, D) / math.sqrt(D), **scale)
        )
        self.drop = TimeDropout(how.get("dropout_ratio", 0.0), rng=rng)
        self.blocks = [Block(D, F, num_heads, rng=rng, **how) for _ in range(num_layers)]
        end = {"norm": layer_norm(D)} if how.get("norm_first", True) else {}
        self.end = [*end.values()]
        parts: dict[str, Any] = {f"block{k}": block for k, block in enumerate(self.blocks)} | end
        super().__init__(embed=self.embed, positions=self.positions, drop=self.drop, **parts)

    def forward(self, ids: Array, mask: Array = None) -> Array:
        x = self.positions.forward(self.embed.forward(ids), mask)
        x = self.drop.forward(x)
        for block in self.blocks:
            x = block.forward(x, mask)
        for norm in self.end:
            x = norm.forward(x)
        return x

    def backward(self, dy: Array) -> None:
        row: list[Any] = [self.drop, *self.blocks, *self.end]
        for layer in reversed(row):
            dy = layer.backward(dy)
        self.embed.backward(self.positions.backward(dy))


class TransformerEncoder(Network):
    """Reads questions:  ids (N, T) -> `Stack` -> Encoded(hs (N, T, D), mask (N, T)).

    forward(xs) -> Encoded, without h; backward(the gradient in the same form) fills `grads`
    pad_id  the id of padding. What a question begins or ends with of it is not read
    Raises ValueError for ids that are not in 0..V-1, a question of nothing but padding.
    """

    def __init__(self, stack: Stack, pad_id: int | None = None) -> None:
        self.stack, self.pad_id = stack, pad_id
        super().__init__(stack=stack)

    def forward(self, xs: Array) -> Encoded:
        mask = None if self.pad_id is None else question_mask(xs, self.pad_id)
        return Encoded(None, hs=self.stack.forward(xs, mask), mask=mask)

    def backward(self, dencoded: Encoded) -> None:
        self.stack.backward(dencoded.hs)


class TransformerDecoder(Network):
    """Writes answers:  ids (N, S) -> causal `Stack` with a memory -> affine -> scores (N, S, V).

    start(encoded), then scores(ids) as often as wanted: keys and values of earlier ids are kept
    forward(ids, encoded) is both;  backward(dscores) -> the gradient of `encoded`
    Errors as for `TransformerEncoder`.
    """

    def __init__(self, stack: Stack, out: TimeAffine) -> None:
        self.stack, self.affine = stack, out
        self.vocab_size = out.output_size(None)
        super().__init__(stack=stack, affine=out)

    def forward(self, ids: Array, encoded: Encoded) -> Array:
        self.start(encoded)
        return self.scores(ids)

    def start(self, encoded: Encoded) -> None:
        """Begin the answers to N questions, given their Encoded(hs (N, T, D), mask (N, T))."""
        self.reset_state()
        for block in self.stack.blocks:
            block.cross.set_memory(encoded.hs, encoded.mask)

    def scores(self, ids: Array) -> Array:
        """ids (N, S) that go on with the answers -> scores (N, S, V) of the id after each."""
        return self.affine.forward(self.stack.forward(ids))

    @property
    def head_maps(self) -> list[Array]:
        """For each block, the weights of its h heads in the last `scores`: each is (N, S, T)."""
        return [block.cross.attention_weights for block in self.stack.blocks]

    def backward(self, dscores: Array) -> Encoded:
        self.stack.backward(self.affine.backward(dscores))
        return Encoded(None, hs=sum(block.cross.dmemory for block in self.stack.blocks))

    def generate(
        self, encoded: Encoded, start_id: int, sample_size: int, *, stop_id: int | None = None
    ) -> list[int]:
        """The answer to one question, hs (1, T, D); arguments and errors as for `Decoder`."""
        self.start(encoded)
        (answer,) = greedy(self, 1, start_id, sample_size, stop_id)
        return [int(k) for k in answer]


class Transformer(EncoderDecoder):
    """question (N, T) -> `TransformerEncoder` -> `TransformerDecoder` -> answer (N, L).

    vocab_size     V of questions and answers, which share one embedding
    wordvec_size   D, the width of everything between embedding and scores
    hidden_size    F, of the feed-forward layers
    num_layers     blocks of the encoder, and of the decoder
    num_heads      h, which divides D
    dropout_ratio  of the embedding and of each sublayer
    norm_first     whether norms stand before the sublayers, or behind the residual sums
    activation     of the feed-forward layers: relu or gelu
    max_length     None: sinusoidal positions; else this many positions are learned
    label_smoothing  of the loss, see `SoftmaxWithLoss`
    pad_id         as for `Seq2seq`: neither read nor looked at around a question, nor counted
    rng            seed or Generator of the first weights and dropouts; None follows NumPy's seed
    Raises ValueError for sizes below 1, a D that the heads do not divide, ratios outside
    0 <= ratio < 1, and as `EncoderDecoder` does; and for a sequence longer than max_length.
    """

    fixed: ClassVar[tuple[str, ...]] = ("num_heads", "norm_first", "activation", "pad_id")

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int = 64,
        hidden_size: int = 128,
        *,
        num_layers: int = 1,
        num_heads: int = 4,
        dropout_ratio: float = 0.0,
        norm_first: bool = True,
        activation: str = "relu",
        max_length: int | None = None,
        label_smoothing: float = 0.0,
        pad_id: int | None = None,
        rng: Seed = None,
    ) -> None:
        V, D, F, rng = vocab_size, wordvec_size, hidden_size, generator(rng)
        how: dict[str, Any] = {
            "num_layers": num_layers,
            "dropout_ratio": dropout_ratio,
            "norm_first": norm_first,
            "activation": activation,
            "max_length": max_length,
        }
        W = embedding(V, D, rng)
        encoder = Stack(W, F, num_heads, rng=rng, **how)
        decoder = Stack(W, F, num_heads, causal=True, memory=True, rng=rng, **how)
        super().__init__(
            TransformerEncoder(encoder, pad_id),
            TransformerDecoder(decoder, affine(D, V, rng)),
            pad_id,
        )
        self.softmax.label_smoothing = checked_ratio(
            "Transformer: label_smoothing", label_smoothing
        )
        self.settings = {
            **{"vocab_size": V, "wordvec_size": D, "hidden_size": F, "num_heads": num_heads},
            **how,
            **{"label_smoothing": label_smoothing, "pad_id": pad_id},
        }


def embedding(V: int, D: int, rng: numpy.random.Generator) -> Array:
    """First word vectors (V, D), each of a length of about 1/4.

    Times sqrt(D) they are a third as large as sinusoidal codes. With vectors that drown the codes,
    training begins more slowly (measured in ch08/README.md).
    """
    return randn(rng, V, D) / (4 * math.sqrt(D))


def layer_norm(D: int) -> LayerNorm:
    """A new LayerNorm of width D: gamma 1, beta 0."""
    return LayerNorm(np.ones(D, dtype="f"), np.zeros(D, dtype="f"))


def affine(D: int, M: int, rng: numpy.random.Generator, *, scale: float = 1.0) -> TimeAffine:
    """A new TimeAffine from D to M numbers, W of standard deviation scale / sqrt(D)."""
    return TimeAffine(randn(rng, D, M) * (scale / math.sqrt(D)), np.zeros(M, dtype="f"))


def attention_weights(D: int, rng: numpy.random.Generator) -> list[Array]:
    """First weights of an attention layer: W (D, 3D), b (3D,), Wo (D, D), bo (D,)."""
    inside, out = affine(D, 3 * D, rng), affine(D, D, rng, scale=SMALL)
    return [*inside.params, *out.params]
