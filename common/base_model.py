"""Models: networks with a loss, whose weights go into files and come back.

model.save_params("w.npz"); model.load_params("w.npz")
model = load_model("w.npz")       a new model of the class and the sizes in the file
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from common.cores.turns import Turn
from common.network import Network, attributes, is_array
from common.np import Array
from common.storage import weights
from common.storage.files import expanded

__all__ = ["BaseModel", "Chain", "load_model"]

CHAPTERS = {  # the classes whose files `load_model` knows before they are imported
    "TwoLayerNet": "ch01.two_layer_net",
    "SimpleCBOW": "ch03.simple_cbow",
    "SimpleSkipGram": "ch03.simple_skip_gram",
    "GloVe": "ch03.glove",
    "CBOW": "ch04.cbow",
    "SkipGram": "ch04.skip_gram",
    "SimpleRnnlm": "ch05.simple_rnnlm",
    "NPLM": "ch05.nplm",
    "Rnnlm": "ch06.rnnlm",
    "GruRnnlm": "ch06.gru_rnnlm",
    "ReluRnnlm": "ch06.relu_rnnlm",
    "BetterRnnlm": "ch06.better_rnnlm",
    "AwdLstm": "ch06.awd_lstm",
    "Seq2seq": "ch07.seq2seq",
    "PeekySeq2seq": "ch07.peeky_seq2seq",
    "AttentionSeq2seq": "ch08.attention_seq2seq",
    "BiAttentionSeq2seq": "ch08.bi_attention_seq2seq",
    "FeedingSeq2seq": "ch08.input_feeding",
    "ConvSeq2seq": "ch08.conv_seq2seq",
    "Transformer": "ch08.transformer",
    "TransformerLM": "ch08.transformer_lm",
    "BitLSTM": "ch08.memory_model",
    "NTM": "ch08.ntm",
    "DNC": "ch08.dnc",
}


class BaseModel(Network):
    """A model: a network whose forward is a loss, and the methods that every model answers to.

    settings    what builds the model again, as keywords of its class; a weight file keeps them
    fixed       the names of those settings with which the same weights mean another model
    vocab       word or character: id, which a weight file keeps; None if the model has none
    trained_on  how its text was read, which a weight file keeps: {"corpus": "grammar"}, or "data"
                for questions and answers, and other keywords of the reader; {} if not known
    weights_of  the class in whose name this one writes weight files, if it is not itself: that of a
                model to which it adds no weights. Files of all classes it inherits from are read
    divisible   whether copies may share the work (`DataParallel`), as of a batch of `Trainer`: the
                loss is a mean over samples (`loss_terms`) that have nothing to do with each other,
                nor with the batch before, `backward` takes a factor dout, and weights are used as
                they stand in `params`. All its layers must be divisible, too
    Source: book 6.4, 7.3.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    vocab: Mapping[str, int] | None = None
    trained_on: Mapping[str, Any] = MappingProxyType({})
    weights_of: ClassVar[str | None] = None
    divisible: bool = False

    def forward(self, *args: Any) -> Array:
        """The loss, a scalar in nats, of one batch; a model says of which arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *args: Any) -> Any:
        """Fill `grads` with the gradients of the last forward's loss, times dout where given."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @cached_property
    def turn(self) -> Turn:
        """Held by the thread that uses the model, where the model keeps what it has read."""
        mine: Turn = attributes(self).setdefault("turn", Turn())  # one, whichever thread is first
        return mine

    def loss_terms(self, t: Array) -> int:
        """How many terms the mean loss has, given labels t (N, ...): N, unless a model says else.

        Where it is divisible, parts of a batch are put together again by this.
        """
        return len(t)

    def save_params(
        self,
        file_name: str | Path | None = None,
        *,
        dtype: DTypeLike = "float32",
        vocab: Mapping[str, int] | None = None,
    ) -> None:
        """Write all parameters to `file_name` (default: <class name>.npz in the current folder).

        dtype  float32, or float16 for half the size and three digits, or float64
        vocab  the ids of words or characters, kept in the file; default: those of the model
        The file appears whole or not at all: it is written under another name and renamed.
        Raises ValueError for another dtype, or weights that are not finite in it, and OSError if
        the file cannot be written.
        """
        file = expanded(file_name or f"{self.weights_class()}.npz")
        weights.save(self, file, dtype=dtype, vocab=self.vocab if vocab is None else vocab)

    def load_params(
        self, file_name: str | Path | None = None, *, vocab: Mapping[str, int] | None = None
    ) -> None:
        """Copy the parameters of `file_name` into this model's arrays, in place.

        Reads what `save_params` wrote and the book's pickled lists; which of the two a file is, its
        content tells. A name that does not exist is tried with `.npz` and `.pkl` exchanged.
        Class, names, shapes and dtypes are compared first, so a model is never half loaded.
        vocab  ids that the model will be used with, compared with those in the file, if it has any
        Raises FileNotFoundError, or ValueError if the file is damaged, of another model, or for
        another vocabulary.
        """
        path = expanded(file_name or f"{self.weights_class()}.npz")
        try:
            weights.fill(self, *weights.read(path), vocab)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}.load_params: {path}: {error}") from error

    def weights_class(self) -> str:
        """The class in whose name weight files are written."""
        return self.weights_of or type(self).__name__


class Chain(BaseModel):
    """A model made of layers in a row, with a loss layer at the end.  Source: book 1.4.2, 6.4.

    layers      each one's output is the next one's input
    loss_layer  compares the scores of the last one with the labels
    """

    def __init__(self, layers: list[Any], loss_layer: Any) -> None:
        self.loss_layer = loss_layer
        super().__init__(layers, loss_layer=loss_layer)

    def predict(self, x: Array) -> Array:
        """The scores (N, ..., C) that the last layer gives for the inputs x (N, ...)."""
        return Network.forward(self, x)

    def forward(self, x: Array, t: Array) -> Array:
        """The loss, a scalar, of the scores for x (N, ...), given the labels t (N, ...)."""
        return self.loss_layer.forward(self.predict(x), t)

    def backward(self, dout: float = 1) -> Array:
        """Fill `grads` for the last forward -> the gradient of its x (N, ...); None for ids."""
        return Network.backward(self, self.loss_layer.backward(dout))


def load_model(
    file_name: str | Path,
    model_class: type[BaseModel] | None = None,
    *,
    vocab: Mapping[str, int] | None = None,
    **settings: Any,
) -> Any:
    """A new model with the weights of a file, of the class and the settings that the file tells.

    model_class  another class to build: one that inherits from that in the file. Needed for the
                 book's pickles, which tell nothing
    vocab        ids that the model will be used with, compared with those in the file, if any
    settings     keywords of the class, instead of those in the file, or beside them
    The model's `vocab` is that of the file, else the one given.
    Raises FileNotFoundError; ValueError if the file is damaged, if its class is not known here, and
    if settings or arrays do not fit the class.
    """
    path = expanded(file_name)
    try:
        header, content = weights.read(path)
        model_class = model_class or known_class(header.get("class"))
        weights.check_class(model_class, header)
        told = {} if header or vocab is None else {"vocab_size": len(vocab)}
        arrays = content.values() if header else content
        largest = sum(a.size for a in arrays if is_array(a))
        model = built(model_class, header.get("settings", told) | settings, largest)
        weights.fill(model, header, content, vocab)
        size = model.settings.get("vocab_size")
        if vocab is not None and size not in (None, len(vocab)):
            raise ValueError(f"is for a vocabulary of {size}, not of {len(vocab)}")
    except ValueError as error:
        raise ValueError(f"load_model: {path}: {error}") from error
    words = header.get("vocab")
    model.vocab = vocab if words is None else {word: k for k, word in enumerate(words)}
    model.trained_on = header.get("trained_on", {})
    return model


def known_class(name: Any) -> type[BaseModel]:
    """The model class of this name: one of the chapters', or one that has been imported.

    A file never decides what is imported: the chapters' modules are listed above.
    Raises ValueError for another name, with those that are known.
    """
    if name in CHAPTERS:
        import_module(CHAPTERS[name])
    found = [
        cls
        for cls in subclasses(BaseModel)
        if cls.__name__ == name and cls.__module__ == CHAPTERS.get(name, cls.__module__)
    ]
    if not found:
        told = f"is of the class {name}, which is not known here" if name else "tells no class"
        ours = {cls.__name__ for cls in subclasses(BaseModel) if "common." not in cls.__module__}
        raise ValueError(
            f"the file {told}; give model_class, or import the module of the class first. Known: "
            + ", ".join(sorted(CHAPTERS.keys() | ours))
        )
    return found[-1]


def built(model_class: type[BaseModel], settings: Mapping[str, Any], largest: int) -> BaseModel:
    """model_class(**settings), with ValueError for whatever settings may be wrong.

    largest  how many numbers the file holds: no size is larger, or memory might run out
    """
    name = model_class.__name__
    try:
        if any(isinstance(size, int) and size > largest for size in settings.values()):
            raise ValueError(f"the file holds {largest} numbers in all")
        return model_class(**settings)
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise ValueError(f"{name} cannot be built of {settings}: {error}") from error


def subclasses(cls: type[BaseModel]) -> list[type[BaseModel]]:
    """All classes that inherit from this one, at any depth."""
    direct = cls.__subclasses__()
    return direct + [deeper for each in direct for deeper in subclasses(each)]
