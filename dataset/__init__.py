"""The book's data sets as NumPy arrays on the host.

    spiral      three arms of points in the plane                    (chapter 1)
    ptb         Penn Treebank, found on this machine or downloaded   (chapters 2 to 6)
    text_file   any text file, in the form of ptb
    grammar     made-up English whose best possible perplexity is known, in the form of ptb
    sequence    questions and answers as character ids               (chapters 7 and 8)
    addition    makes the questions of chapter 7: sums of two numbers
    copying     makes batches of bits to copy, to repeat, to recall and to sort
    dates       makes the questions of chapter 8: dates as people write them
    fetch       finds or downloads a file and checks its digest

Loading data never touches NumPy's global random state, unless `sequence` is asked to shuffle by it.
"""

DATASET = "dlfs2"  # which the chapters ask for: other packages have the name `dataset` too
