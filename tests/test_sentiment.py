"""Documents as mean word vectors, and the sentiment of e-mails."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch04 import document_vectors as documents
from ch04 import sentiment
from ch04.document_vectors import document_vectors, read_documents, split_words
from common.np import np
from common.words.vector_files import save_vectors

ROOT = Path(__file__).parent.parent
LABELS = ["positive", "neutral", "negative"]
WORD_TO_ID = {"good": 0, "bad": 1, "do": 2, "n't": 3, "mr.": 4}
VECS = numpy.array([[1, 0], [-1, 0], [0, 2], [0, 4], [8, 8]], "float32")


def made_up(n=30, seed=0):
    """Vectors in which sentiment is easy to see, and n e-mails of each label."""
    rng = numpy.random.default_rng(seed)
    words = [f"{label}{i}" for label in LABELS for i in range(5)]
    vecs = rng.standard_normal((15, 4)) + 4 * numpy.eye(4)[numpy.repeat([0, 1, 2], 5)]
    texts = [
        " ".join(f"{label}{i}" for i in rng.integers(5, size=4))
        for label in LABELS
        for _ in range(n)
    ]
    return texts, list(numpy.repeat(LABELS, n)), vecs, dict(enumerate(words))


# --- Documents -----------------------------------------------------------------------------------


def test_words_are_written_as_in_penn_treebank():
    text = "Don't call (Mr. Good), it's BAD!  \"Good.\" --- ..."
    words = ["do", "n't", "call", "mr.", "good", "it", "'s", "bad", "good", "---"]
    assert split_words(text, {*WORD_TO_ID, "'s"}) == words
    assert split_words("", WORD_TO_ID) == []


@pytest.mark.usefixtures("backend")
def test_a_document_is_the_mean_of_its_known_words():
    texts = ["good, good bad news", "I don't", "nothing known", ""]
    docs, known = document_vectors(texts, np.asarray(VECS), WORD_TO_ID)
    assert_allclose(docs, [[1 / 3, 0], [0, 3], [0, 0], [0, 0]], rtol=1e-6)
    assert docs.dtype == "float32"
    assert_array_equal(known, [3, 2, 0, 0])


def test_marks_leave_only_words_that_are_unknown_with_them():
    assert split_words("'good' \"mr.\" do.", {"'good'", "mr.", "do", "do."}) == [
        "'good'",
        "mr.",
        "do.",
    ]


def test_the_order_of_words_is_lost():
    docs, _ = document_vectors(["good do bad", "bad do good"], VECS, WORD_TO_ID)
    assert_allclose(docs[0], docs[1])


def test_labelled_documents_are_read_and_bad_lines_refused(tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text("a\tone two\nb\t three \n", encoding="utf-8")
    assert read_documents(path) == (["one two", "three"], ["a", "b"])
    for bad in "b three", "b\t", "\tthree", "b\tthree\tc":
        path.write_text(f"a\tone\n{bad}\na\tx\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"read_documents: .*d\.tsv: line 2: `label<tab>text`"):
            read_documents(path)
    with pytest.raises(FileNotFoundError, match=r"none\.tsv"):
        read_documents(tmp_path / "none.tsv")
    path.write_bytes("\ufeffa\tone\r\n\nb\ttwo\u2028lines\n".encode())
    assert read_documents(path) == (["one", "two\u2028lines"], ["a", "b"])
    path.write_bytes(b"\n \n")
    with pytest.raises(ValueError, match=r"read_documents: .*d\.tsv holds no document"):
        read_documents(path)
    path.write_bytes(b"a\tone\nb\t\xff\n")
    with pytest.raises(ValueError, match=r"read_documents: .*d\.tsv: line 2: .* is not UTF-8"):
        read_documents(path)


def test_cased_vectors_know_names():
    assert split_words("Athens, Good THE.", {"Athens", "good", "the"}) == ["Athens", "good", "the"]


def test_documents_without_blanks_are_cut_into_characters():
    vecs = numpy.array([[1.0, 0], [0, 1]])
    docs, known = document_vectors(["月海月?"], vecs, {"月": 0, "海": 1}, tokens="characters")
    assert_allclose(docs, [[2 / 3, 1 / 3]])
    assert known.tolist() == [3]


def test_the_nearest_document_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_vectors("cbow_params.npz", VECS, dict(enumerate(WORD_TO_ID)))
    Path("d.tsv").write_text("a\tbad do\nb\tgood good do\nc\tunknown\n", encoding="utf-8")
    best = documents.main("good", "cbow_params.npz", "d.tsv", top=2)
    assert best == ["good good do", "unknown"]  # bad do is on the other side
    assert capsys.readouterr().out.startswith("0.707  good good do\n0.000  unknown\n")
    with pytest.raises(ValueError, match="document_vectors: no word of 'xyz' has a vector"):
        documents.main("xyz", "cbow_params.npz", "d.tsv")


# --- E-mails -------------------------------------------------------------------------------------


def test_the_shipped_emails_are_balanced_short_and_lower_case():
    texts, labels = read_documents()
    assert Counter(labels) == dict.fromkeys(LABELS, 40)
    assert len(set(texts)) == 120
    assert all(8 <= len(text.split()) <= 25 for text in texts)
    assert all(text == text.lower() for text in texts)


@pytest.mark.ptb
def test_most_words_of_the_emails_are_in_penn_treebank(ptb_text):
    _, word_to_id, _ = ptb_text("train")
    words = [word for text in read_documents()[0] for word in split_words(text, word_to_id)]
    assert sum(word in word_to_id for word in words) > 0.97 * len(words)


def test_sentiment_is_learned_from_vectors_that_show_it():
    texts, labels, vecs, id_to_word = made_up()
    x, _ = document_vectors(texts, vecs, {word: i for i, word in id_to_word.items()})
    guesses = sentiment.predict_held_out(x, labels)
    assert numpy.mean([a == b for a, b in zip(guesses, labels, strict=True)]) > 0.95


def test_what_is_held_out_is_not_learned():
    rng = numpy.random.default_rng(0)
    x, labels = rng.standard_normal((120, 200)), [LABELS[k] for k in rng.permutation(120) % 3]
    right = [a == b for a, b in zip(sentiment.predict_held_out(x, labels), labels, strict=True)]
    assert numpy.mean(right) < 0.5  # 1 where documents were judged by what they taught


def test_one_seed_gives_one_answer():
    x, labels = numpy.random.default_rng(0).standard_normal((60, 5)), LABELS * 20
    first, again, other = (sentiment.predict_held_out(x, labels, seed=s) for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("labels", [["a"] * 6, ["a"] * 5 + ["b"]])
def test_too_few_documents_of_a_label_are_refused(labels):
    with pytest.raises(ValueError, match="predict_held_out: 5 folds need two labels or more"):
        sentiment.predict_held_out(numpy.zeros((6, 2)), labels)


def test_the_confusion_table_has_a_row_for_what_is_and_a_column_for_what_is_guessed():
    table = sentiment.confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    assert_array_equal(table, [[1, 1], [0, 1]])


def test_the_script_prints_accuracy_baseline_and_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts, labels, vecs, id_to_word = made_up(10)
    save_vectors("cbow_params.npz", vecs, id_to_word)
    lines = [f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)]
    Path("e.tsv").write_text("".join(lines[:25]), encoding="utf-8")
    accuracy = sentiment.main("cbow_params.npz", "e.tsv")
    out = capsys.readouterr().out
    assert accuracy > 0.8
    assert "25 e-mails, 4.0 known words in each on average" in out
    assert f"accuracy  {accuracy:.3f}   (always the commonest label: 0.400)" in out
    rows = [line.split() for line in out.splitlines()[-3:]]
    assert [row[0] for row in rows] == LABELS
    assert [sum(map(int, row[1:])) for row in rows] == [10, 10, 5]
    assert sum(int(row[k + 1]) for k, row in enumerate(rows)) == round(25 * accuracy)


@pytest.mark.parametrize("script", ["sentiment", "document_vectors"])
def test_the_scripts_run_on_the_shipped_files(script, tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"ch04.{script}"],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(run.stdout.splitlines()) >= 5


def test_trained_vectors_tell_sentiment_better_than_the_commonest_label(capsys):
    assert sentiment.main() > 0.55  # 0.67 was measured, 1/3 is the commonest label


def test_words_without_a_vector_are_named(capsys):
    documents.main("the room was dirty", top=1)
    assert capsys.readouterr().out.startswith("not in the vocabulary: dirty\n")
