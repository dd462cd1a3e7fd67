"""What is timed, by name. A row is an object with two methods, one for each side:

    ours()      builds our model -> a function that takes one training step
    theirs()    the same in PyTorch, or in what the attribute `library` names

Both do the same work on the same batches. Each imports what it needs inside, because the two run
in processes of their own, and neither should load the other's library.
"""

from tests.benchmarks.rows import ch01, ch04, ch05, ch06, ch07, ch08, ch08_memory

ROWS = {
    "TwoLayerNet": ch01.Spiral(),
    "CBOW": ch04.WordVectors(),
    "CBOW-words": ch04.Throughput(),
    "CBOW-N500-words": ch04.Throughput(N=500),
    "skipgram-words": ch04.Throughput(model="skipgram"),
    "SimpleRnnlm": ch05.LanguageModel(),
    "Rnnlm": ch06.LanguageModel(),
    "BetterRnnlm": ch06.BetterLanguageModel(),
    "Seq2seq": ch07.Translation(),
    "PeekySeq2seq": ch07.Translation("peeky"),
    "AttentionSeq2seq": ch07.Translation("attention", V=59, H=256, T=29, L=11),
    "Rnnlm-writes": ch07.Writing(),
    "Seq2seq-answers": ch07.Answering(),
    "AttentionSeq2seq-answers": ch07.Answering("attention", V=59, H=256, T=29, L=11),
    "Transformer": ch08.Transformer(),
    "Transformer-additions": ch08.Transformer(V=13, D=128, H=256, T=7, L=5, layers=2),
    "ConvSeq2seq": ch08.Conv(),
    "TransformerLM": ch08.LanguageModel(),
    "SelfAttention": ch08.Alone("SelfAttention"),
    "LayerNorm": ch08.Alone("LayerNorm"),
    "TimeConvolution": ch08.Alone("TimeConvolution"),
    "NTM": ch08_memory.Copying(),
    "DNC": ch08_memory.Copying("DNC", H=64, R=16, W=16, N=16),
    **{
        f"Time{cell}-{T}": ch05.Recurrent(cell, T)
        for cell in ("RNN", "LSTM", "GRU")
        for T in (10, 100, 1000)
    },
}
