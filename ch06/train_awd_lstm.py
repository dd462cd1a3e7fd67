"""Train AwdLstm: three LSTM layers, regularised in every place, and averaged SGD.

python -m ch06.train_awd_lstm                   on Penn Treebank: a GPU is advised
python -m ch06.train_awd_lstm --resume          go on after Ctrl-C, or after the power failed
python -m ch06.train_awd_lstm --dropconnect 0 --max-epoch 10 --weights no_dropconnect.npz

Source: book 6.5.5; Merity et al. 2018, https://arxiv.org/abs/1708.02182.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ch06.awd_lstm import AwdLstm, varying_length
from ch06.language_model_run import Settings, train_and_test
from common.checks import is_number
from common.cli import run, then
from common.gradients import remove_duplicate
from common.optimizer import AveragedSGD
from common.trainer import RnnlmTrainer

SETTINGS = Settings(
    max_epoch=60,
    batch_size=20,
    wordvec_size=400,
    hidden_size=650,
    time_size=70,
    lr=30.0,
    eval_interval=100,
)
PATIENCE = 5  # epochs
JUDGED_AFTER = 10  # epochs


def main(
    *,
    num_layers: int = 3,
    tied: bool = True,
    embedding_dropout: float = 0.1,
    input_dropout: float = 0.3,
    hidden_dropout: float = 0.2,
    output_dropout: float = 0.3,
    variational: bool = True,
    dropconnect: float = 0.4,
    alpha: float = 2.0,
    beta: float = 1.0,
    weight_decay: float = 1.2e-6,
    varying: bool = True,
    averaging: bool = True,
    average_from: int = 30,
    stop_above: float = 100.0,
    **settings: Any,
) -> float:
    """Train AwdLstm, keep its best weights, return their test perplexity (book 6.5.5).

    num_layers         layers of LSTMs, one on top of the other (book 6.5.1)
    tied               whether the affine layer has the embedding matrix as its weights (book 6.5.3)
    embedding_dropout  probability that a word is switched off, in all places of a block
    input_dropout      probability that an element of the word vectors is switched off (book 6.5.2)
    hidden_dropout     probability that an element between LSTM layers is switched off
    output_dropout     probability that an element of the last LSTM layer's output is switched off
    variational        whether a block has one dropout mask for all its steps
    dropconnect        probability that a weight from state to state is switched off
    alpha              factor of the penalty on large outputs
    beta               factor of the penalty on outputs that change fast
    weight_decay       factor of the weights that is added to their gradients (L2 regularisation)
    varying            whether blocks vary in length around time_size, and the step size with them
    averaging          whether the mean of the weights is taken (averaged SGD) once the validation
                       perplexity is above its best of more than 5 epochs ago, or from average_from
                       on; the mean is then what is evaluated and saved
    average_from       number of epochs after which the mean begins at the latest
    stop_above         perplexity that validation must be below after 10 epochs, else the run ends
    wordvec_size       embedding (book 6.4): numbers in a word vector
    hidden_size        LSTM layers (book 6.5.4): numbers in the state of each but the last, which
                       has wordvec_size if the weights are tied
    time_size          steps, one word each, that gradients flow back through, on average (truncated
                       BPTT, book 5.2)
    lr                 step size (book 1.3.6): learning rate of SGD, for a block of time_size steps

    The other flags are the `Settings` of language_model_run.py.
    """
    if average_from < 1:
        raise ValueError(f"train: average_from is at least 1 epoch, not {average_from}")
    if not (is_number(stop_above) and stop_above > 0):
        raise ValueError(f"train: stop_above is a perplexity above 0, not {stop_above}")
    how = replace(SETTINGS, **settings)
    text = how.load()
    model = AwdLstm(
        len(text.word_to_id),
        how.wordvec_size,
        how.hidden_size,
        num_layers=num_layers,
        tied=tied,
        embedding_dropout=embedding_dropout,
        input_dropout=input_dropout,
        hidden_dropout=hidden_dropout,
        output_dropout=output_dropout,
        variational=variational,
        dropconnect=dropconnect,
        alpha=alpha,
        beta=beta,
        rng=how.seed,
    )
    T = how.time_size
    length = varying_length(T, how.seed) if varying else lambda step: T
    optimizer = AveragedSGD(lambda step: how.lr * length(step) / T, weight_decay)
    params, _ = remove_duplicate(model.params, model.grads)

    def measured() -> AbstractContextManager[None]:
        return optimizer.averaged(params) if optimizer.count else nullcontext()

    def after_valid(trainer: RnnlmTrainer, perplexity: float) -> dict[str, Any]:
        earlier = [row["valid"] for row in trainer.epochs[:-1]]
        epoch, averaged = len(earlier) + 1, optimizer.count
        if averaging and (epoch >= average_from or stagnates(perplexity, earlier)):
            optimizer.start_averaging()
        if epoch == JUDGED_AFTER and not min(*earlier, perplexity) < stop_above:
            print(f"stopped: validation is not below {stop_above:g} after {epoch} epochs")
            trainer.stop()
        return {"averaged": averaged}

    then("ch06.eval", model="awd", weights=how.weights, cache=True)
    return train_and_test(
        model,
        text,
        how,
        optimizer=optimizer,
        measured=measured,
        after_valid=after_valid,
        lengths=length,
    )


def stagnates(perplexity: float, earlier: list[float]) -> bool:
    """Whether a perplexity is above the best of all epochs but the last 5, which may vary."""
    return len(earlier) > PATIENCE and perplexity > min(earlier[:-PATIENCE])


if __name__ == "__main__":
    run(main)
