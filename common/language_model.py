"""What language models share: layers in a row, some of which keep a state from call to call."""

from typing import Any

from common.base_model import Chain
from common.network import with_state
from common.np import Array

__all__ = ["DroppingLanguageModel", "LanguageModel"]


class LanguageModel(Chain):
    """Predicts each next word:  ids (N, T) -> the layers -> scores (N, T, V).

    forward(xs, ts) -> mean loss, in nats per word, of predicting ts (N, T) from xs (N, T); its exp
    is the perplexity.
    The recurrent layers keep their state from call to call, so consecutive blocks of a text are one
    long sequence; `reset_state()` starts a new text.
    The text is that of one thread: RuntimeError for another thread that would go on with it.
    Source: book 5.4, 5.5.
    """

    def __init__(self, layers: list[Any], loss_layer: Any) -> None:
        super().__init__(layers, loss_layer)
        self.recurrent_layers = with_state(self)

    @property
    def vocab_size(self) -> int:
        """V, how many scores the last layer gives."""
        size = self.output_size(None)
        if size is None:
            raise self._refuse("the last layer does not tell its output_size")
        return size

    def reset_state(self) -> None:
        """Forget what all layers keep: this thread begins a new text."""
        with self.turn.lock:
            super().reset_state()
            self.turn.begin_text()

    def predict(self, x: Array) -> Array:
        """The scores (N, T, V) of each next word, for ids x (N, T)."""
        with self.turn.lock:
            self.turn.continue_text(type(self).__name__)
            return super().predict(x)

    def forward(self, xs: Array, ts: Array, **options: Any) -> Array:
        """Mean loss; ids or labels that are refused leave the state where it was.

        options  go to `predict`
        """
        with self.turn.lock:
            before = [layer.state for layer in self.recurrent_layers]
            try:
                return self.loss_layer.forward(self.predict(xs, **options), ts)
            except Exception:
                for layer, state in zip(self.recurrent_layers, before, strict=True):
                    layer.set_state(**state)
                raise


class DroppingLanguageModel(LanguageModel):
    """A language model with dropout, which the book switches by the argument train_flg.

    predict(xs (N, T)) -> scores (N, T, V), without dropout;  forward(xs, ts) -> loss, under dropout
    Source: book 6.5.4.
    """

    def predict(self, xs: Array, train_flg: bool = False) -> Array:
        """Scores (N, T, V) for ids (N, T); with train_flg, under dropout."""
        self.train(train_flg)
        return super().predict(xs)

    def forward(self, xs: Array, ts: Array, train_flg: bool = True) -> Array:
        """Mean loss, under dropout unless train_flg is False; errors as for `LanguageModel`."""
        return super().forward(xs, ts, train_flg=train_flg)
