"""A text of the reader's own, from the file to vectors, a language model, pictures and new text.

Everything goes through the `main` of the scripts, as README commands do.
"""

import json
import re
from pathlib import Path

import numpy
import pytest

from ch02 import count_method_big, show_ptb
from ch04 import eval as vectors_eval
from ch04 import show_vectors
from ch04 import train as train_vectors
from ch05 import train as train_simple
from ch05 import train_custom_loop
from ch06 import eval as model_eval
from ch06 import train_better_rnnlm, train_rnnlm
from ch07 import generate_better_text, generate_text
from common.base_model import load_model
from common.words.vector_files import load_vectors, read_counts
from dataset import text_file
from tests.scripts import ROOT, assert_not_blank, run

# Subjects, verbs and objects of three languages, and how they make a sentence.
ENGLISH = (
    "{s} {v} {o}.",
    ["The cat", "A dog", "My sister", "The old king"],
    ["sees", "likes", "doesn't hear", "calls"],
    ["the moon", "Paris", "a well-known song", "him, and us"],
)
CHINESE = (
    "{s}{v}{o}。",
    ["我", "你", "老师", "小猫"],
    ["喜欢", "看见", "不要"],
    ["月亮", "苹果", "大海", "音乐"],
)
JAPANESE = (
    "{s}は{o}を{v}。",
    ["私", "先生", "猫", "父"],
    ["見る", "好む", "聞く"],
    ["月", "りんご", "海", "音楽"],
)
TEXTS = {
    "english": (ENGLISH, "lower", "cat king"),
    "chinese": (CHINESE, "characters", "月 海"),
    "japanese": (JAPANESE, "characters", "月 猫"),
}


def sentences(form, subjects, verbs, objects, n=300, seed=0):
    rng = numpy.random.default_rng(seed)
    for _ in range(n):
        s, v, o = (words[rng.integers(len(words))] for words in (subjects, verbs, objects))
        yield form.format(s=s, v=v, o=o)


@pytest.fixture(params=TEXTS)
def own(request, folder):
    """A file of one language, the way to cut it, and two words of it."""
    language, tokens, query = TEXTS[request.param]
    path = Path(f"{request.param}.txt")
    path.write_text("\n".join(sentences(*language)) + "\n", encoding="utf-8")
    return str(path), tokens, query


@pytest.mark.filterwarnings(
    "ignore:Glyph .* missing"
)  # where no font for the language is installed
def test_word_vectors_of_an_own_text(own, folder, capsys):
    path, tokens, query = own
    train_vectors.main(
        corpus=path, tokens=tokens, hidden_size=8, window_size=2, max_epoch=1, vectors="own.npz"
    )
    out = capsys.readouterr().out
    text, word_to_id, _ = text_file.load_text(path, tokens=tokens)
    assert f"vocabulary: {len(word_to_id)}\n" in out
    assert f"text: {len(text):,} tokens, 0.0 % of the words unknown" in out
    assert "figure saved: own.png" in out

    assert load_vectors("own.npz")[1] == word_to_id  # of all 300 lines
    assert read_counts("own.npz").tolist() == numpy.bincount(text).tolist()
    vectors_eval.main("own.npz", query=query, analogy=f"{query} {query[0:3].split()[0]}")
    out = capsys.readouterr().out
    for word in query.split():
        assert f"[query] {word}\n" in out
    assert "[analogy]" in out
    vectors_eval.main("own.npz")  # asks for frequent words instead of those of the book
    out = capsys.readouterr().out
    assert out.count("[query]") == 4
    assert "is not found" not in out
    assert "ask with --analogy" in out
    show_vectors.main("own.npz")
    assert_not_blank("word_vectors_pca.png")

    count_method_big.main(path, tokens=tokens, wordvec_size=5, query=query)
    out = capsys.readouterr().out
    assert f"text: {len(text):,} tokens" in out
    for word in query.split():
        assert f"[query] {word}\n" in out


SMALL = {"wordvec_size": 16, "hidden_size": 16, "batch_size": 4, "time_size": 5}


def test_a_language_model_of_an_own_text(own, folder, capsys):
    path, tokens, _ = own
    found = train_rnnlm.main(corpus=path, tokens=tokens, **SMALL, max_epoch=3)
    out = capsys.readouterr().out
    parts = text_file.load_parts(path, tokens=tokens)
    assert f"vocabulary: {len(parts.word_to_id)}\n" in out
    assert f"test: {len(parts.test):,} tokens, 0.0 % of the words unknown" in out
    assert "figure saved: Rnnlm.png" in out
    assert found < 0.5 * len(parts.word_to_id)  # better than chance

    assert model_eval.main() == found  # the weights know their text and how it was cut
    line = Path(path).read_text(encoding="utf-8").split("\n")[0]
    assert model_eval.main(sentence=line) < len(parts.word_to_id)
    (written,) = generate_text.main(seed=0, sample_size=200)
    assert "<eos>" not in written
    for text in written.split("\n")[1:-1]:
        assert not text.endswith("..")
        if tokens == "characters":
            assert " " not in text
            assert set(text) <= set(Path(path).read_text(encoding="utf-8"))
        else:
            assert re.search(r"\w", text)
            assert not re.search(r" [.,]", text)
    start = "the old" if tokens == "lower" else line[:3]
    assert generate_text.main(start=start, seed=0)[0].startswith(start)


def test_a_words_own_function_is_named_and_asked_for(folder, capsys):
    def halves(line):
        return [line[k : k + 2] for k in range(0, len(line), 2)]

    Path("own.txt").write_text("\n".join(sentences(*CHINESE)), encoding="utf-8")
    found = train_rnnlm.main(corpus="own.txt", tokens=halves, **SMALL, max_epoch=1, plot=False)
    assert load_model("Rnnlm.npz").trained_on == {"corpus": "own.txt", "tokens": "own"}
    with pytest.raises(ValueError, match=r"Rnnlm.npz was trained on a text cut by a function of"):
        model_eval.main()
    assert model_eval.main(tokens=halves) == found
    assert " " not in generate_text.main(seed=0)[0].replace("\n", "")


def test_both_texts_of_the_better_model_begin_where_its_own_text_allows(folder):
    Path("own.txt").write_text("\n".join(sentences(*JAPANESE)), encoding="utf-8")
    how = SMALL | {"corpus": "own.txt", "tokens": "characters", "max_epoch": 1, "plot": False}
    train_better_rnnlm.main(**how)
    first, second = generate_better_text.main(seed=0, sample_size=50)
    assert first
    assert second
    assert "<unk>" not in first + second


def test_letters_of_penn_treebank_marks_may_come_in_other_texts(folder):
    """N and $ are words that the book leaves out of texts; in another text they are letters."""
    Path("own.txt").write_text("NN$\n" * 100)
    how = SMALL | {"corpus": "own.txt", "tokens": "characters", "max_epoch": 1, "plot": False}
    train_rnnlm.main(**how)
    assert "N" in generate_text.main(seed=0)[0]


# --- Short texts ---------------------------------------------------------------------------------


def test_thirty_lines_are_enough_for_a_language_model(folder, capsys):
    Path("own.txt").write_text("\n".join(sentences(*ENGLISH, n=30)), encoding="utf-8")
    found = train_rnnlm.main(corpus="own.txt", **SMALL, max_epoch=2)
    assert found == model_eval.main() < 1e4
    assert json.loads(Path("Rnnlm.json").read_text())["test"] == found


def test_a_text_in_one_line_is_enough_too(folder):
    Path("own.txt").write_text(" ".join(sentences(*ENGLISH)), encoding="utf-8")
    assert train_rnnlm.main(corpus="own.txt", **SMALL, max_epoch=1, plot=False) < 100
    net = load_model("Rnnlm.npz")
    assert "<eos>" not in net.vocab  # it ends the test text alone
    first = next(word for word, k in net.vocab.items() if k == 0)
    assert generate_text.main(seed=0)[0].startswith(first)
    assert model_eval.main(sentence="The cat sees Paris.") < 1e4
    train_vectors.main(corpus="own.txt", hidden_size=4, max_epoch=1, plot=False)


def test_a_text_that_cannot_be_evaluated_is_refused_before_training(folder):
    Path("own.txt").write_text("one two three four five six seven eight nine ten")
    how = SMALL | {"batch_size": 1, "time_size": 2, "max_epoch": 1}
    with pytest.raises(ValueError, match=r"the validation part of own\.txt has 1 words"):
        train_rnnlm.main(corpus="own.txt", **how)
    assert [path.name for path in folder.iterdir()] == ["own.txt"]


# --- All of the text where nothing is tested -----------------------------------------------------


@pytest.mark.parametrize("script", [train_simple, train_custom_loop])
def test_chapter_5_keeps_no_part_for_a_test(script, folder, capsys):
    Path("own.txt").write_text("a b c\n" * 9 + "only here now\n")  # 40 tokens, 7 words
    script.main(
        corpus="own.txt", batch_size=2, max_epoch=1, wordvec_size=4, hidden_size=4, plot=False
    )
    out = capsys.readouterr().out
    assert "vocabulary: 7\ntext: 40 tokens, 0.0 % of the words unknown\n" in out
    assert "corpus size: 40, vocabulary size: 7" in out


@pytest.mark.parametrize("script", ["ch05.train", "ch05.train_custom_loop"])
def test_chapter_5_warns_of_a_text_without_blanks_and_hands_on_how_it_is_cut(script, folder):
    Path("own.txt").write_text("\n".join(sentences(*JAPANESE)), encoding="utf-8")
    flags = ["--corpus=own.txt", "--max-epoch=1", "--wordvec-size=4", "--hidden-size=4"]
    done = run("-m", script, *flags, "--min-count=2", cwd=folder, installed=ROOT)
    assert "warning: most lines are a single token." in done.stdout
    cut = ["--tokens=characters", "--overwrite"][: 2 if script == "ch05.train" else 1]
    done = run("-m", script, *flags, *cut, cwd=folder, installed=ROOT)
    assert "warning" not in done.stdout
    following = "ch06.train_rnnlm" if script == "ch05.train" else "ch05.train"
    told = f"next: python -m {following} --corpus own.txt --tokens characters"
    assert done.stderr.splitlines()[-1] == told


def test_the_first_lines_are_shown_as_they_were_written(folder, capsys):
    lines = list(sentences(*CHINESE, n=20))
    Path("own.txt").write_text("\n".join(lines), encoding="utf-8")
    show_ptb.main("own.txt", tokens="characters", query="我 car")
    out = capsys.readouterr().out.splitlines()
    assert out[-6:] == lines[:6]
    assert "word_to_id['car']: not found" in out
    assert any(re.fullmatch(r"word_to_id\['我'\]: \d+", line) for line in out)
    show_ptb.main("own.txt", tokens="characters")  # asks for frequent words of the text
    out = capsys.readouterr().out
    assert len(re.findall(r"word_to_id\['\w'\]: \d+\n", out)) == 3
    assert "not found" not in out


# --- Weights know their text ---------------------------------------------------------------------


def test_another_text_is_refused_with_the_flag_that_is_missing(folder):
    train_rnnlm.main(corpus="grammar", corpus_size=400, **SMALL, max_epoch=1, plot=False)
    Path("own.txt").write_text("\n".join(sentences(*ENGLISH)), encoding="utf-8")
    told = "these weights are of corpus grammar: add `--corpus grammar`"
    with pytest.raises(ValueError, match=told):
        model_eval.main(corpus="own.txt")
    with pytest.raises(ValueError, match=told):
        generate_text.main(corpus="own.txt")
    assert model_eval.main() == model_eval.main(corpus="grammar")


def test_rare_words_stay_unknown_when_the_weights_come_back(folder, capsys):
    lines = [*sentences(*ENGLISH)]
    lines[10:20] = [f"A stranger{k} sees us." for k in range(10)]
    Path("own.txt").write_text("\n".join(lines), encoding="utf-8")
    how = SMALL | {"corpus": "own.txt", "tokens": "lower", "min_count": 2, "plot": False}
    found = train_rnnlm.main(**how, max_epoch=1)
    assert "train: 0.0" not in capsys.readouterr().out
    assert model_eval.main() == found
    assert load_model("Rnnlm.npz").trained_on == {
        "corpus": "own.txt",
        "tokens": "lower",
        "min_count": 2,
    }
