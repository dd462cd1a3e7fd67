"""One small model of each class of the chapters, with a batch: for tests of what all models do."""

import numpy

from ch01.two_layer_net import TwoLayerNet
from ch03.glove import GloVe
from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from ch04.cbow import CBOW
from ch04.skip_gram import SkipGram
from ch05.nplm import NPLM
from ch05.simple_rnnlm import SimpleRnnlm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.relu_rnnlm import ReluRnnlm
from ch06.rnnlm import Rnnlm
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.rnnlm_gen import BetterRnnlmGen, RnnlmGen
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common.np import np
from common.words.text import convert_one_hot

V = 7
CORPUS = numpy.arange(40) * 3 % V


def ids(*shape):
    return numpy.random.default_rng(1).integers(0, V, shape)


def points():
    return np.asarray(numpy.random.default_rng(1).standard_normal((6, 4))), ids(6) % 3


def one_hot():
    return convert_one_hot(ids(6, 2), V), convert_one_hot(ids(6), V)


def sized(cls, *sizes):
    return lambda: cls(V, *sizes, rng=1)


MODELS = {  # name: what makes the model, and what makes the arguments of its forward
    "TwoLayerNet": (lambda: TwoLayerNet(4, 5, 3, rng=1), points),
    "SimpleCBOW": (sized(SimpleCBOW, 5), one_hot),
    "SimpleSkipGram": (sized(SimpleSkipGram, 5), one_hot),
    "GloVe": (sized(GloVe, 5), lambda: (ids(6, 2), 1 + ids(6) / 2)),
    "CBOW": (sized(CBOW, 5, 2, CORPUS), lambda: (ids(6, 4), ids(6))),
    "SkipGram": (sized(SkipGram, 5, 2, CORPUS), lambda: (ids(6, 4), ids(6))),
    **{
        cls.__name__: (sized(cls, 4, 4), lambda: (ids(2, 3), ids(2, 3)[:, ::-1]))
        for cls in (
            *(SimpleRnnlm, NPLM, ReluRnnlm, Rnnlm, GruRnnlm, BetterRnnlm),
            *(RnnlmGen, BetterRnnlmGen),
        )
    },
    **{
        cls.__name__: (sized(cls, 4, 6), lambda: (ids(3, 5), ids(3, 4)))
        for cls in (Seq2seq, PeekySeq2seq, AttentionSeq2seq, BiAttentionSeq2seq)
    },
}
