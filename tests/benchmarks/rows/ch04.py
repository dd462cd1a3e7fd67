"""Chapter 4: CBOW with negative sampling.  V words, H numbers each, W neighbours on either side."""

from dataclasses import dataclass

import numpy

from tests.benchmarks.rows.steps import Step, our_step, torch_step


@dataclass
class WordVectors:
    """CBOW by Adam: row-sparse gradients here, sparse embeddings and SparseAdam in PyTorch."""

    V: int = 10000
    H: int = 100
    W: int = 5
    N: int = 100
    k: int = 5

    def ours(self) -> Step:
        from ch04.cbow import CBOW
        from common.optimizer import Adam

        model = CBOW(self.V, self.H, self.W, self.corpus(), sample_size=self.k, rng=0)
        return our_step(model, Adam(), self.batches())

    def theirs(self) -> Step:
        import torch
        from torch import nn

        weight = torch.as_tensor(numpy.bincount(self.corpus(), minlength=self.V) ** 0.75)

        class Net(nn.Module):
            def __init__(self, V, H, k):
                super().__init__()
                self.in_layer = nn.EmbeddingBag(V, H, mode="mean", sparse=True)
                self.out_layer = nn.Embedding(V, H, sparse=True)
                self.k = k

            def forward(self, contexts, target):
                h = self.in_layer(contexts)
                # With replacement and the target not excluded, which is less work than ours.
                negatives = torch.multinomial(weight, len(target) * self.k, replacement=True)
                ids = torch.cat([target[:, None], negatives.reshape(-1, self.k)], dim=1)
                scores = (self.out_layer(ids) @ h[:, :, None])[:, :, 0]
                right = torch.zeros_like(scores)
                right[:, 0] = 1
                loss = nn.functional.binary_cross_entropy_with_logits(
                    scores, right, reduction="sum"
                )
                return loss / len(target)

        net = Net(self.V, self.H, self.k)
        return torch_step(net, torch.optim.SparseAdam(net.parameters()), self.batches())

    def corpus(self):
        """A million words with the frequencies of words: 1 / rank."""
        p = 1 / numpy.arange(1, self.V + 1)
        return numpy.random.default_rng(0).choice(self.V, 1_000_000, p=p / p.sum())

    def batches(self):
        """A hundred pairs of contexts (N, 2 W) and targets (N,), from all over the text."""
        from common.words.text import create_contexts_target

        contexts, target = create_contexts_target(self.corpus()[: 200 * self.N], self.W)
        order = numpy.random.default_rng(0).permutation(len(target))[: 100 * self.N]
        return [(contexts[chosen], target[chosen]) for chosen in order.reshape(100, self.N)]


@dataclass
class Throughput(WordVectors):
    """A step of 50,000 words of training by the Trainer's loop, against gensim's; use one thread.

    The same vectors, windows, negatives and corpus. gensim learns word by word with SGD, we learn
    by batches of N with Adam.
    """

    model: str = "cbow"
    library: str = "gensim"
    words: int = 50_000
    threads: int = 1

    def ours(self) -> Step:
        from ch04.train import MODELS
        from common.optimizer import Adam
        from common.trainer import Trainer
        from common.words.text import create_contexts_target

        corpus = self.corpus()
        net = MODELS[self.model](self.V, self.H, self.W, corpus, sample_size=self.k, rng=0)
        trainer = Trainer(net, Adam())
        contexts, target = create_contexts_target(corpus[: self.words + 2 * self.W], self.W)
        return lambda: trainer.fit(contexts, target, 1, self.N, eval_interval=None)

    def theirs(self) -> Step:
        from gensim.models import Word2Vec

        words = self.corpus().astype(str).tolist()
        model = Word2Vec(
            vector_size=self.H,
            window=self.W,
            negative=self.k,
            sg=int(self.model == "skipgram"),
            min_count=1,
            sample=0,
            shrink_windows=False,
            workers=1,
        )
        sentences = [words[k : k + 1000] for k in range(0, len(words), 1000)]
        model.build_vocab(sentences)
        part = sentences[: self.words // 1000]
        return lambda: model.train(part, total_examples=len(part), epochs=1)
