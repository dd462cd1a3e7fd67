"""Analogies, similarity and pictures of word vectors; the scripts that show them."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot as plt
import numpy
import pytest
from numpy.testing import assert_allclose

from ch04 import document_vectors, evaluate, sentiment, show_vectors
from ch04.document_vectors import read_documents
from common.np import np
from common.words import evaluation
from common.words.evaluation import (
    Accuracy,
    Correlation,
    analogy_accuracy,
    similarity_correlation,
    spearman,
    total,
    unit,
)
from common.words.evaluation_files import read_questions, read_similarities
from common.words.similarity import analogy, cos_similarity
from common.words.vector_files import save_vectors, write_word2vec

ROOT = Path(__file__).parent.parent
CH04 = ROOT / "ch04"
WORDS = ["man", "woman", "king", "queen", "car", "cars", "bank", "banks", "<unk>"]
WORD_TO_ID = {word: i for i, word in enumerate(WORDS)}
ID_TO_WORD = dict(enumerate(WORDS))
# man, woman = 1, 1 + 2nd number; king, queen likewise; cars and banks have the 3rd number more
PLANE = numpy.array(
    [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 1, 0, 1],
        [3, 0, 0, -1],
        [3, 0, 1, -1],
        [-2, -1, 0, 0],
        [-2, -1, 1, 0],
        [0, 0, 0, 0],
    ],
    "float32",
)


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- Analogies -----------------------------------------------------------------------------------


def test_questions_are_read_by_category(tmp_path):
    text = (
        "\ufeff: family\nMan woman  king queen\n\n: gram-plural\r\ncar cars\tbank banks\r\n: none\n"
    )
    path = written(tmp_path / "q.txt", text)
    family, plural = ("man", "woman", "king", "queen"), ("car", "cars", "bank", "banks")
    small = read_questions(path, lower=True)
    assert small == {"family": [family], "gram-plural": [plural], "none": []}
    assert read_questions(str(path))["family"] == [("Man", *family[1:])]


BAD_QUESTIONS = {
    "three words": (": a\nb c d e\nb c d\n", "line 3: a question is four words, not 3: 'b c d'"),
    "five words": (": a\nb c d e f\n", "line 2: a question is four words, not 5"),
    "no category": ("\nb c d e\n", "line 2: a question came before the first category"),
    "a category twice": (": a\n: b\n: a\n", "line 3: the category 'a' is there twice"),
    "no name": (":\n", "line 1: the category '' has no name"),
    "not UTF-8": (b": a\nb c d \xe9\n", "line 2: .* is not UTF-8"),
}
EMPTY = ["", "\n \n", "# a comment\n", "word1,word2,score\n", ": a category\n"]


@pytest.mark.parametrize("case", BAD_QUESTIONS)
def test_bad_questions_are_refused_by_line(case, tmp_path):
    text, problem = BAD_QUESTIONS[case]
    with pytest.raises(ValueError, match=rf"^read_questions: .*q\.txt: {problem}"):
        read_questions(written(tmp_path / "q.txt", text))


@pytest.mark.parametrize("text", EMPTY)
def test_a_file_without_anything_to_ask_is_refused_by_name(text, tmp_path):
    file = written(tmp_path / "q.txt", text)
    for read in (read_questions, read_similarities)[text.startswith((":", "#", "w")) :]:
        with pytest.raises(ValueError, match=r"^read_(questions|similarities): .*q\.txt"):
            read(file)


@pytest.mark.parametrize("read", [read_questions, read_similarities, read_documents])
@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"<!DOCTYPE html>\n", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        ("a b".encode("utf-16"), "UTF-16"),
    ],
)
def test_files_of_other_kinds_are_told_by_name(read, start, kind, tmp_path):
    (tmp_path / "q.txt").write_bytes(start)
    problem = rf"^{read.__name__}: .*q\.txt: not a readable text file \(it seems to be {kind}"
    with pytest.raises(ValueError, match=problem):
        read(tmp_path / "q.txt")


@pytest.mark.parametrize("read", [read_questions, read_similarities])
def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        read(tmp_path / "none.txt")


@pytest.mark.usefixtures("backend")
def test_accuracy_is_counted_by_category_with_its_coverage():
    questions = {
        "family": [("man", "woman", "king", "queen"), ("man", "woman", "king", "car")],
        "plural": [("car", "cars", "bank", "banks"), ("car", "cars", "dog", "dogs")],
        "unknown": [("dog", "dogs", "cat", "cats")],
        "none": [],
    }
    scores = analogy_accuracy(questions, np.asarray(PLANE), WORD_TO_ID)
    assert scores == {
        "family": (1, 2, 2),
        "plural": (1, 1, 2),
        "unknown": (0, 0, 1),
        "none": (0, 0, 0),
    }
    assert (scores["family"].accuracy, scores["plural"].coverage) == (0.5, 0.5)
    assert math.isnan(scores["unknown"].accuracy)
    assert scores["unknown"].coverage == 0
    assert math.isnan(scores["none"].coverage)
    assert total(scores.values()) == Accuracy(2, 3, 5)
    assert total([]) == (0, 0, 0)


def test_the_dot_product_favours_long_vectors_and_the_cosine_does_not():
    vecs = PLANE.copy()
    vecs[4] = 9, 9, 0, 9  # in no way like queen, but long
    questions = {"family": [("man", "woman", "king", "queen")]}
    assert analogy_accuracy(questions, vecs, WORD_TO_ID)["family"].correct == 0
    assert analogy_accuracy(questions, vecs, WORD_TO_ID, cosine=True)["family"].correct == 1


def random_case(V=60, D=8, Q=300, seed=0):
    """Random vectors, and questions of which a part has the right answer by either measure."""
    rng = numpy.random.default_rng(seed)
    vecs = rng.standard_normal((V, D)).astype("float32") * rng.uniform(0.5, 2, (V, 1))
    word_to_id = {f"w{i}": i for i in range(V)}
    questions = []
    for _ in range(Q):
        a, b, c = rng.choice(V, 3, replace=False)
        x = unit(vecs) if rng.random() < 0.5 else vecs
        order = numpy.argsort(-(x @ (x[b] - x[a] + x[c])))
        d = next(i for i in order if i not in (a, b, c))
        questions.append(tuple(f"w{i}" for i in (a, b, c, d)))
    return {"all": questions}, vecs.astype("float32"), word_to_id


@pytest.mark.parametrize("cosine", [False, True])
def test_all_questions_at_once_agree_with_the_analogy_function(cosine, monkeypatch, capsys):
    questions, vecs, word_to_id = random_case()
    monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", 7 * len(vecs))  # 300 = 42 * 7 + 6
    id_to_word = dict(enumerate(word_to_id))
    one_by_one = [
        analogy(a, b, c, word_to_id, id_to_word, vecs, top=1, cosine=cosine)[0][0] == d
        for a, b, c, d in questions["all"]
    ]
    score = analogy_accuracy(questions, vecs, word_to_id, cosine=cosine)["all"]
    assert 0 < sum(one_by_one) < 300
    assert score == (sum(one_by_one), 300, 300)


def test_gensim_counts_the_same_correct_answers(tmp_path):
    reason = "gensim is not installed: pip install '.[bench]'"
    models = pytest.importorskip("gensim.models", reason=reason)
    questions, vecs, word_to_id = random_case()
    write_word2vec(tmp_path / "a.txt", vecs, dict(enumerate(word_to_id)))
    lines = "".join(" ".join(question) + "\n" for question in questions["all"])
    path = written(tmp_path / "q.txt", f": all\n{lines}")
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "a.txt"))
    accuracy, _ = theirs.evaluate_word_analogies(str(path))
    score = analogy_accuracy(read_questions(path), vecs, word_to_id, cosine=True)["all"]
    assert score.accuracy == accuracy


def test_half_precision_is_raised_before_it_is_used():
    questions, vecs, word_to_id = random_case()
    half = vecs.astype("float16")
    raised = analogy_accuracy(questions, half.astype("float32"), word_to_id)
    assert analogy_accuracy(questions, half, word_to_id) == raised


@pytest.mark.parametrize("vecs", [PLANE[:-1], PLANE[0]])
def test_vectors_that_do_not_fit_the_vocabulary_are_refused(vecs):
    with pytest.raises(ValueError, match=r"analogy_accuracy: vectors \(.*\) do not fit 9 words"):
        analogy_accuracy({}, vecs, WORD_TO_ID)
    with pytest.raises(ValueError, match=r"similarity_correlation: vectors .* do not fit 9 words"):
        similarity_correlation([], vecs, WORD_TO_ID)


def test_vectors_that_are_not_finite_are_refused():
    vecs = numpy.where(PLANE == 3, numpy.nan, PLANE)
    with pytest.raises(ValueError, match="analogy_accuracy: the vectors hold NaN or infinity"):
        analogy_accuracy({}, vecs, WORD_TO_ID)


# --- Similarity ----------------------------------------------------------------------------------

PAIRS = [("cat", "animal", 8.0), ("cat", "car", 2.0)]  # the example of book 4.4.2


@pytest.mark.parametrize(
    "text",
    [
        "# Word 1\tWord 2\tHuman (mean)\nCat\tanimal\t8\n\n# so\ncat\tcar\t2.00\n",
        "cat\tanimal\t8\r\ncat\tcar\t2\r\n",
        "cat,animal,8\ncat, car, 2",
        "word1,word2,score\ncat,animal,8\ncat,car,2\n",
        "Word 1,Word 2,Human (mean)\ncat,animal,8\ncat,car,2\n",
        "word1\tword2\tPOS\tSimLex999\tSD\ncat\tanimal\tN\t8\t1\ncat\tcar\tN\t2\t1\n",
        "word1,word2,pos,similarity\ncat,animal,N,8.0\ncat,car,N,2.0\n",
        "cat animal 8.000000\ncat  car 2.000000\n",  # MEN
        "cat\tanimal\tV\t8\tSYNONYMS\ncat\tcar\tV\t2\tNONE\n",  # SimVerb
        "cat;animal;8,0\ncat;car;2,0\n",
        "Word 1;Word_2;Score\ncat;animal;8\ncat;car;2\n",
        "\ufeffword1 word2 score\ncat animal 8\ncat car 2\n",
    ],
)
def test_all_kinds_of_similarity_file_are_read(text, tmp_path):
    assert read_similarities(written(tmp_path / "s", text), lower=True) == PAIRS


def test_the_case_of_words_can_be_kept(tmp_path):
    path = written(tmp_path / "s", "Tokyo\tJapan\t8\n")
    assert read_similarities(path, lower=True) == [("tokyo", "japan", 8)]
    assert read_similarities(path) == [("Tokyo", "Japan", 8)]


BAD_SIMILARITIES = {
    "two columns": ("a\tb\t1\na\tb\n", "line 2: 2 columns came, 3 are needed"),
    "a number with an underscore": ("a b 1_0\n", "line 1: a score is a finite number, not '1_0'"),
    "a column less": ("word1,word2,pos,score\na,b,N\n", "line 2: 3 columns came, 4 are needed"),
    "no score column": ("word1,word2,pos,rank\na,b,N,1\n", "line 1: no column is called score"),
    "no number": ("a,b,1\na,b,x\n", "line 2: a score is a finite number, not 'x'"),
    "names too late": ("a,b,1\nword1,word2,score\n", "line 2: a score is a finite number"),
    "other names": ("first,second,score\na,b,1\n", "line 1: a score is a finite number"),
    "an underscore": ("a,b,1_0\n", "line 1: a score is a finite number, not '1_0'"),
    "NaN": ("a,b,nan\n", "line 1: a score is a finite number, not 'nan'"),
    "no word": ("a,,1\n", "line 1: a word is missing"),
    "not UTF-8": (b"a\t\xff\t1\n", "line 1: .* is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_SIMILARITIES)
def test_bad_similarities_are_refused_by_line(case, tmp_path):
    text, problem = BAD_SIMILARITIES[case]
    with pytest.raises(ValueError, match=rf"^read_similarities: .*s\.tsv: {problem}"):
        read_similarities(written(tmp_path / "s.tsv", text))


def test_spearman_compares_ranks():
    assert spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [5, 4, -9]) == pytest.approx(-1)
    # ranks 1 2.5 2.5 4 and 1 2 3 4, each less 2.5: (2.25 + 0 + 0 + 2.25) / sqrt(4.5 * 5)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(22.5))


@pytest.mark.parametrize("seed", range(5))
def test_spearman_agrees_with_scipy(seed):
    from scipy.stats import spearmanr

    rng = numpy.random.default_rng(seed)
    x, y = rng.integers(10, size=50), rng.standard_normal(50)  # x is full of ties
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(x.tolist(), x + y) == pytest.approx(spearmanr(x, x + y).statistic, abs=1e-12)


def test_spearman_of_what_has_no_order_is_nan():
    for x, y in ([], []), ([1], [2]), ([1, 1], [1, 2]), ([1, 2], [3, 3]), ([1, 2], [3, math.nan]):
        assert math.isnan(spearman(x, y))
    with pytest.raises(ValueError, match="spearman: lists of one length are needed"):
        spearman([1], [1, 2])


@pytest.mark.usefixtures("backend")
def test_correlation_is_that_of_the_cosines_on_known_pairs():
    pairs = [
        ("man", "woman", 8.0),
        ("man", "king", 3.0),
        ("man", "dog", 9.0),
        ("car", "cars", 9.0),
        ("man", "bank", 0.0),
        ("king", "<unk>", 2.0),
    ]
    known = [pair for pair in pairs if "dog" not in pair]
    cosines = [
        float(cos_similarity(*(np.asarray(PLANE[WORD_TO_ID[w]]) for w in pair[:2])))
        for pair in known
    ]
    rho, answered, asked = result = similarity_correlation(pairs, np.asarray(PLANE), WORD_TO_ID)
    assert rho == pytest.approx(spearman([pair[2] for pair in known], cosines))
    assert (answered, asked) == (5, 6)
    assert result.coverage == 5 / 6


def test_without_a_known_pair_there_is_no_correlation():
    rho, answered, asked = similarity_correlation(PAIRS, PLANE, WORD_TO_ID)
    assert math.isnan(rho)
    assert (answered, asked) == (0, 2)
    assert math.isnan(Correlation(0.5, 0, 0).coverage)


def test_a_zero_row_has_no_unit_and_stays_zero():
    assert_allclose(unit(numpy.array([[3.0, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])


# --- Files as they come --------------------------------------------------------------------------

CASED = ["Athens", "Greece", "Baghdad", "Iraq", "USA"]
CASED_IDS = {word: i for i, word in enumerate(CASED)}
SQUARE = numpy.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [-9, 0, 0]], "float32")


@pytest.mark.parametrize("lower", [True, False])
def test_cased_vectors_answer_questions_in_any_case(lower, tmp_path):
    path = written(tmp_path / "q", ": capital\nAthens Greece BAGHDAD iraq\n")
    score = analogy_accuracy(read_questions(path, lower=lower), SQUARE, CASED_IDS)
    assert score["capital"] == (1, 1, 1)
    pairs = [("athens", "usa", 1.0), ("Athens", "GREECE", 9.0), ("athens", "here", 3.0)]
    assert similarity_correlation(pairs, SQUARE, CASED_IDS)[1:] == (2, 3)


def test_a_word_as_it_is_written_goes_before_its_other_cases():
    assert evaluation.spelling("US", {"us": 0, "US": 1}) == "US"
    assert evaluation.spelling("us", {"Us": 0, "US": 1}) == "Us"
    assert evaluation.spelling("us", {"them": 0}) is None


def test_pairs_of_words_are_asked_about_each_other(tmp_path):
    folder = tmp_path / "BATS" / "1_Inflection"
    folder.mkdir(parents=True)
    written(folder / "I01 [plural].txt", "car\tcars\nbank\tbanks\n")
    written(folder / "L02 [parts].txt", "man woman\nking nothing/queen\n")
    questions = read_questions(tmp_path / "BATS")
    assert questions == {
        "I01 [plural]": [("car", "cars", "bank", "banks"), ("bank", "banks", "car", "cars")],
        "L02 [parts]": [
            ("man", "woman", "king", "nothing/queen"),
            ("king", "nothing", "man", "woman"),
        ],
    }
    assert read_questions(folder / "L02 [parts].txt").keys() == {"L02 [parts]"}
    scores = analogy_accuracy(questions, PLANE, WORD_TO_ID, cosine=True)
    assert scores["I01 [plural]"].answered == 2
    assert scores["L02 [parts]"] == (1, 1, 2)  # queen is right, whatever nothing is
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"read_questions: .*the folder has no \.txt files"):
        read_questions(tmp_path / "empty")
    written(folder / "mixed.txt", "a b\na b c\n")
    with pytest.raises(ValueError, match=r"mixed\.txt: line 2: a question came before the first"):
        read_questions(folder)


def test_a_large_file_of_two_columns_is_refused_before_all_are_asked_about_all(tmp_path):
    written(tmp_path / "q.txt", "".join(f"a{k} b{k}\n" for k in range(100_000)))
    with pytest.raises(ValueError, match=r"q\.txt: 100000 pairs are too many .* 1000 are the most"):
        read_questions(tmp_path / "q.txt")


def test_any_of_several_right_answers_is_right():
    questions = {"any": [("man", "woman", "king", "dog/queen"), ("man", "woman", "king", "a/b")]}
    assert analogy_accuracy(questions, PLANE, WORD_TO_ID)["any"] == (1, 1, 2)
    slash = {**WORD_TO_ID, "and/or": len(WORDS)}  # a word with a stroke of its own
    vecs = numpy.vstack([PLANE, [0, 1, 0, 2]]).astype("float32")
    asked = {"any": [("man", "woman", "king", "and/or")]}
    assert analogy_accuracy(asked, vecs, slash)["any"].answered == 1


def test_what_is_missing_is_counted_by_the_rows_that_need_it():
    rows = [
        ("man", "woman", "cat", "dog/queen"),
        ("cat", "cats", "Man", "cat"),
        ("cat", "car", 1.0),
    ]
    assert evaluation.missing_words(rows, WORD_TO_ID) == {"cat": 3, "cats": 1}


# --- The files beside the scripts ----------------------------------------------------------------


def test_the_shipped_files_have_the_promised_sizes():
    questions = read_questions(CH04 / "questions.txt")
    assert {name: len(q) for name, q in questions.items()} == dict.fromkeys(
        (
            "family",
            "capital-country",
            "gram-opposite",
            "gram-comparative",
            "gram-past-tense",
            "gram-plural",
        ),
        20,
    )
    for asked in questions.values():
        assert len(set(asked)) == len(asked)
        assert all(len(set(question)) == 4 for question in asked)
    for name in "similarities.tsv", "similarities.csv":
        pairs = read_similarities(CH04 / name)
        assert 40 <= len(pairs) <= 60
        assert all(0 <= score <= 10 for *_, score in pairs)
        assert len({frozenset(words) for *words, _ in pairs}) == len(pairs)


@pytest.mark.ptb
def test_the_shipped_files_use_words_of_penn_treebank_only(ptb_text):
    _, word_to_id, _ = ptb_text("train")
    words = {
        w for asked in read_questions(CH04 / "questions.txt").values() for q in asked for w in q
    }
    for name in "similarities.tsv", "similarities.csv":
        words |= {word for *pair, _ in read_similarities(CH04 / name) for word in pair}
    assert words <= set(word_to_id)


# --- evaluate.py ---------------------------------------------------------------------------------

QUESTIONS = (
    ": family\nman woman king queen\n: gram-plural\ncar cars bank banks\ncar cars dog dogs\n"
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_vectors("cbow_params.npz", PLANE, ID_TO_WORD)
    write_word2vec("vectors.bin", PLANE, ID_TO_WORD, binary=True)
    written(tmp_path / "q.txt", QUESTIONS)
    written(
        tmp_path / "s.csv", "word1,word2,score\nman,woman,8\ncar,king,2\nman,king,5\ncat,car,2\n"
    )
    return {"vectors": "cbow_params.npz", "questions": "q.txt", "similarities": "s.csv"}


def test_evaluate_prints_a_table_and_the_correlation(files, capsys):
    scores, agreement = evaluate.main(**files)
    assert scores == {"family": (1, 1, 1), "gram-plural": (1, 1, 2)}
    assert agreement == (pytest.approx(1), 3, 4)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:6] == [
        ["analogies", "accuracy", "correct", "answered", "asked", "coverage"],
        ["family", "100.0", "%", "1", "1", "1", "100.0", "%"],
        ["gram-plural", "100.0", "%", "1", "1", "2", "50.0", "%"],
        ["semantics", "100.0", "%", "1", "1", "1", "100.0", "%"],
        ["syntax", "100.0", "%", "1", "1", "2", "50.0", "%"],
        ["total", "100.0", "%", "2", "2", "3", "66.7", "%"],
    ]
    assert [" ".join(line) for line in lines[6:]] == [
        "left out, as these words have no vector: dog (1), dogs (1)",
        "",
        "similarity: Spearman's rho 1.000 on 3 of 4 pairs",
        "left out, as these words have no vector: cat (1)",
    ]


def test_evaluate_reads_other_formats_and_copes_with_no_known_word(files, capsys):
    assert evaluate.main(**files | {"vectors": "vectors.bin"}, cosine=True)[0]["family"] == (
        1,
        1,
        1,
    )
    save_vectors("few.npz", PLANE[:1], {0: "man"})
    scores, agreement = evaluate.main(**files | {"vectors": "few.npz"})
    assert scores["family"] == (0, 0, 1)
    assert math.isnan(agreement.rho)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert ["family", "-", "0", "0", "1", "0.0", "%"] in map(str.split, printed.splitlines())
    assert "Spearman's rho - on 0 of 4 pairs" in printed


@pytest.mark.parametrize("script", [document_vectors, sentiment])
def test_scripts_about_documents_read_the_first_vectors_only(script, tmp_path, capsys):
    words = {"good": [1, 0], "bad": [0, 1], "broken": ["no", "number"]}
    lines = [" ".join([word, *map(str, vec)]) for word, vec in words.items()]
    written(tmp_path / "v.txt", "\n".join(lines))
    written(tmp_path / "mails.tsv", "yes\tgood\nno\tbad\n" * 5)
    files = {"vectors": str(tmp_path / "v.txt")}
    if script is sentiment:
        assert script.main(**files, emails=str(tmp_path / "mails.tsv"), limit=2) == 1
    else:
        how = files | {"documents": str(tmp_path / "mails.tsv"), "top": 1}
        assert script.main("bad", **how, limit=2) == ["bad"]
    with pytest.raises(ValueError, match=r"v\.txt: line 3"):
        script.main(**files)


def test_evaluate_refuses_a_file_before_it_prints_a_table(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"s\.tsv: line 1: a score is a finite number"):
        evaluate.main(similarities=written(tmp_path / "s.tsv", "a,b,1_0"))
    assert capsys.readouterr().out == ""


def test_evaluate_runs_on_the_shipped_files_as_a_module():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ch04.evaluate"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "capital-country" in run.stdout
    assert "on 50 of 50 pairs" in run.stdout


# --- show_vectors.py -----------------------------------------------------------------------------


def test_pca_finds_the_directions_in_which_points_spread():
    from sklearn.decomposition import PCA

    x = numpy.random.default_rng(0).standard_normal((20, 5)) * [1, 9, 2, 5, 1] + 7
    ours, theirs = show_vectors.pca(x), PCA(2).fit_transform(x)
    assert_allclose(abs(ours), abs(theirs), atol=1e-9)
    assert (ours.max(axis=0) >= -ours.min(axis=0)).all()
    assert_allclose(abs(show_vectors.pca(-x)), abs(ours))
    with pytest.raises(ValueError, match=r"pca: points of shape \(1, 5\) do not have 2 dir"):
        show_vectors.pca(x[:1])


def test_a_parallelogram_stays_one_in_two_dimensions():
    man, woman, king, queen = show_vectors.pca(PLANE[:4])
    assert_allclose(woman - man, queen - king, atol=1e-6)


def test_tsne_keeps_neighbours_together_and_needs_four_points():
    rng = numpy.random.default_rng(0)
    x = numpy.vstack([rng.standard_normal((10, 5)) - 20, rng.standard_normal((10, 5)) + 20])
    y = show_vectors.tsne(x)
    assert y.shape == (20, 2)
    near = [numpy.linalg.norm(y - p, axis=1).argsort()[1:4] for p in y]
    assert all((numpy.sort(n) < 10).all() == (i < 10) for i, n in enumerate(near))
    with pytest.raises(ValueError, match="tsne: a map needs 4 points or more, not 3"):
        show_vectors.tsne(x[:3])


def test_labels_do_not_cover_dots_or_each_other():
    from matplotlib.text import Text

    points = numpy.random.default_rng(0).standard_normal((40, 2))
    _, axes = plt.subplots(figsize=(8, 6))
    axes.scatter(points[:, 0], points[:, 1], s=12)
    show_vectors.label(points, [f"label{i}" for i in range(40)], axes)
    axes.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    dots = axes.transData.transform(points)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any(box.contains(*dot) for box in boxes for dot in dots)
    plt.close()


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_show_vectors_draws_what_it_knows(method, files, tmp_path, capsys):
    show_vectors.main("cbow_params.npz", words="man woman dog king car bank", method=method)
    out = capsys.readouterr().out
    assert "not in the vocabulary: dog" in out
    for name in f"word_vectors_{method}.png", "fig_4_20_analogy.png":
        assert f"figure saved: {name}" in out
        assert matplotlib.image.imread(tmp_path / name)[..., :3].std() > 0.05
    assert not plt.get_fignums()


def test_show_vectors_without_the_four_words_draws_one_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_vectors("a.npz", PLANE[2:], dict(enumerate(WORDS[2:])))
    show_vectors.main("a.npz", words="king queen car")
    assert [path.name for path in tmp_path.glob("*.png")] == ["word_vectors_pca.png"]


def test_show_vectors_names_its_methods():
    with pytest.raises(ValueError, match="show_vectors: the method is pca or tsne, not 'umap'"):
        show_vectors.main(method="umap")
