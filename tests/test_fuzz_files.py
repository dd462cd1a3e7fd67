"""Every kind of file that the library reads, damaged: refused by name, or read; nothing changes.

A row of FORMATS is a kind of file: how it is written, how it is read, and whether it is sealed by a
digest. What is read of a sealed file is what was written. Any other file may tell something else
after it was damaged, but then something that can be used.
"""

import gzip
import hashlib
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest

from ch04.document_vectors import read_documents
from ch06.rnnlm import Rnnlm
from ch07.comparison import curves_in
from common.base_model import load_model
from common.optimizer import Adam
from common.storage.checkpoint import digest, kept
from common.storage.weights import trained_on
from common.trainer import RnnlmTrainer
from common.words.evaluation_files import read_questions, read_similarities
from common.words.vector_files import load_vectors, read_word2vec, save_vectors, write_word2vec
from dataset import fetch, ptb, sequence, text_file, wordnet
from tests.fuzz import in_a_child, limit, mutated, times
from tests.wordnet_database import SMALL, write_database

pytest.importorskip("resource", reason="limits are POSIX's")

WORDS = ["the", "cat", "sat", "on", "a", "mat", "日本"]
IDS = {word: i for i, word in enumerate(WORDS)}
VECTORS = numpy.random.default_rng(0).standard_normal((len(WORDS), 3)).astype("f2")
TEXT = numpy.random.default_rng(0).integers(len(WORDS), size=61)


def model(seed=0):
    return Rnnlm(len(WORDS), 4, 3, rng=seed)


# --- Weights and checkpoints ---------------------------------------------------------------------


def write_weights(path):
    model().save_params(path, vocab=IDS)


def write_old_weights(path):
    path.write_bytes(pickle.dumps([p.astype("f2") for p in model().params], 2))


def load_weights(path):
    """What a model has after loading; one that refuses stays as it was."""
    loaded = model(seed=1)
    before = digest(loaded.params)
    try:
        loaded.load_params(path, vocab=IDS)
    except Exception:
        assert digest(loaded.params) == before, "the model is half loaded"
        raise
    assert all(numpy.isfinite(p).all() for p in loaded.params)
    return digest(loaded.params)


def build_model(path):
    return digest(load_model(path).params)


class Begin(Exception):
    """Raised where training would begin, with everything in place."""


def trainer(begin=False):
    made = RnnlmTrainer(model(), Adam(0.01))
    if begin:
        learn, steps = made._learn, iter(range(4))
        made._learn = lambda most: learn(most) if next(steps, None) is not None else stop()
    else:
        made._train_epoch = stop
    return made


def stop(*_):
    raise Begin


def fit(made, path, **how):
    options = {"checkpoint": path, "verbose": False, "checkpoint_interval": 1, **how}
    made.fit(TEXT[:-1], TEXT[1:], 2, 2, 5, 0.25, 3, **options)


def write_checkpoint(path):
    with pytest.raises(Begin):
        fit(trainer(begin=True), path)


def resume(path):
    """What a run has when it goes on; one that is refused stays as it was."""
    made = trainer()
    state = lambda: digest(made.model.params, kept(made.optimizer), made.progress)  # noqa: E731
    before = state()
    try:
        fit(made, path, resume=True)
    except Begin:
        return state()
    except Exception:
        assert state() == before, "the run is half resumed"
        raise


# --- Words ---------------------------------------------------------------------------------------

NAMES = dict(enumerate(WORDS))


def write_pickled_vectors(path):
    content = {"word_vecs": VECTORS, "word_to_id": IDS, "id_to_word": NAMES}
    path.write_bytes(pickle.dumps(content, 4))


def vectors(found):
    """Vectors that fit their words and are finite."""
    vecs, word_to_id, id_to_word = found
    assert vecs.dtype == "float32"
    assert vecs.shape == (len(id_to_word), vecs.shape[1])
    assert numpy.isfinite(vecs).all()
    assert word_to_id == {word: i for i, word in id_to_word.items()}
    return digest(vecs, id_to_word)


def similarities(path):
    pairs = read_similarities(path)
    assert pairs
    assert all(a and b and numpy.isfinite(score) for a, b, score in pairs)
    return pairs


# --- Data ----------------------------------------------------------------------------------------


def corpus(path):
    text = text_file.load_parts(path)
    for part in text.train, text.valid, text.test:
        assert 0 <= part.min() <= part.max() < len(text.word_to_id)
    return digest(text.train, text.valid, text.test, text.id_to_word)


def questions_and_answers(path):
    data = sequence.load(path)
    for part in data.x_train, data.t_train, data.x_test, data.t_test:
        assert 0 <= part.min() <= part.max() < len(data.char_to_id)
    return digest(data.x_train, data.t_train, data.id_to_char)


def treebank(path):
    """The file in place of Penn Treebank's; its digest is that of what was written."""
    part = fetch.DataFile(path.name, *PUBLISHED, urls=("http://none.invalid",))
    os.environ["DLFS2_DATA"] = str(path.parent)
    ptb.FILES["train"] = part
    return digest(ptb.load_data()[0])


NOUNS = SMALL[:13]  # from entity to car


def write_nouns(file):
    """One of the two files of WordNet's database."""
    return lambda path: path.write_bytes((write_database(Path("whole"), NOUNS) / file).read_bytes())


def read_nouns(file):
    """What the database answers with this file in it."""

    def read(path):
        folder = write_database(Path(f"{path}, in a database"), NOUNS)
        (folder / file).write_bytes(path.read_bytes())
        wordnet._database.cache_clear()
        net = wordnet.load(folder)
        senses = [s for noun in net.nouns() if noun in net for s in net.synsets(noun)]
        paths = [[s.name() for path in s.hypernym_paths() for s in path] for s in senses]
        similar = [senses[0].wup_similarity(s) + senses[0].lch_similarity(s) for s in senses]
        assert numpy.isfinite(similar).all()
        return paths, similar

    return read


LINES = "".join(f"the cat sat on mat {k % 5}\n" for k in range(12)).encode()
PUBLISHED = len(LINES), hashlib.sha256(LINES).hexdigest()


class Format(NamedTuple):
    """A kind of file: what it holds, or how it is written; how it is read; whether it is sealed."""

    write: bytes | Callable[[Path], None]
    read: Callable[[Path], Any]
    sealed: bool = False


QUESTIONS = b": family\nman woman king queen\n\n: gram-plural\ncar cars child children\n"
GLOVE = b"".join(b"word%d 0.5 -1 2e-3\n" % k for k in range(9))
GZIPPED = gzip.compress(GLOVE, mtime=0)
TABS = b"# Word 1\tWord 2\tScore\ncat\tmat\t7.5\nthe\ton\t1\n"
COMMAS = "word1,word2,pos,score\ncat,mat,N,7.5\n日本,on,N,1e0\n".encode()
DOCUMENTS = "positive\tthe cat sat\nnegative\t日本 on a mat\n".encode()
SUMS = "".join(f"{k}+{k} _{2 * k:<3}\n" for k in range(10, 30)).encode()
RUNS = {"runs": [{"settings": {"label": "seq2seq", "seed": 0}, "accuracies": [0.1, 0.5]}]}

FORMATS = {
    "weights": Format(write_weights, load_weights, sealed=True),
    "weights, model built of them": Format(write_weights, build_model, sealed=True),
    "weights, their text": Format(write_weights, trained_on, sealed=True),
    "weights, the book's pickle": Format(write_old_weights, load_weights),
    "checkpoint": Format(write_checkpoint, resume, sealed=True),
    "vectors": Format(
        lambda path: save_vectors(path, VECTORS, NAMES),
        lambda path: vectors(load_vectors(path)),
        sealed=True,
    ),
    "vectors, the book's pickle": Format(
        write_pickled_vectors, lambda path: vectors(load_vectors(path))
    ),
    "vectors, word2vec's text": Format(
        lambda path: write_word2vec(path, VECTORS, NAMES), lambda path: vectors(load_vectors(path))
    ),
    "vectors, word2vec's binary": Format(
        lambda path: write_word2vec(path, VECTORS, NAMES, binary=True),
        lambda path: vectors(read_word2vec(path, binary=True)),
    ),
    "vectors, GloVe": Format(GLOVE, lambda path: vectors(load_vectors(path))),
    "vectors, gzip": Format(GZIPPED, lambda path: vectors(load_vectors(path))),
    "analogy questions": Format(QUESTIONS, read_questions),
    "similarities, tabs": Format(TABS, similarities),
    "similarities, commas": Format(COMMAS, similarities),
    "documents": Format(DOCUMENTS, read_documents),
    "text": Format(LINES, corpus),
    "Penn Treebank": Format(LINES, treebank, sealed=True),
    "WordNet, index": Format(write_nouns("index.noun"), read_nouns("index.noun")),
    "WordNet, data": Format(write_nouns("data.noun"), read_nouns("data.noun")),
    "questions and answers": Format(SUMS, questions_and_answers),
    "comparison": Format(json.dumps(RUNS).encode(), curves_in),
}
ARCHIVES = [name for name, form in FORMATS.items() if form.sealed and name != "Penn Treebank"]


@pytest.mark.slow
@pytest.mark.parametrize("members", [False, True], ids=["bytes", "members of archives"])
def test_damaged_files_are_refused_by_name_or_read(members, tmp_path):
    in_a_child(f"tests.test_fuzz_files:damage_all(members={members})", tmp_path)


def damage_all(members):
    limit()
    for name in ARCHIVES if members else FORMATS:
        damage(name, members)


def damage(name, members):
    """Damage a file of this format in the current folder again and again, and read it."""
    form, path, rng = FORMATS[name], Path("a file"), random.Random(name)
    path.unlink(missing_ok=True)
    if callable(form.write):
        form.write(path)
    else:
        path.write_bytes(form.write)
    honest, expected = path.read_bytes(), form.read(path)
    refused = 0
    for _ in times(150 if members else 300):
        damaged = altered_members(honest, rng) if members else mutated(honest, rng)
        path.write_bytes(damaged)
        try:
            found = form.read(path)
        except (ValueError, fetch.DamagedFileError) as error:
            refused += 1
            if str(path) not in str(error):
                raise AssertionError(f"{name}: no file in {error!r}, {damaged!r}") from error
        except Exception as error:
            raise AssertionError(f"{name}: {error!r}, {damaged!r}") from error
        else:
            assert found == expected or members or not form.sealed, (name, damaged)
    assert refused, name


def altered_members(content, rng):
    """An archive in which a member is mutated, and the checksums are right.

    The digest is left out, as version 0.1.0 did; half the time the JSON header is what is altered.
    """
    path = Path("archive")
    path.write_bytes(content)
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    if (name := "header.json.npy") in contents:
        start = contents[name].index(b"{", 60)
        header = json.loads(contents[name][start:])
        header.pop("digest", None)
        if rng.random() < 0.5:
            header = altered(header, rng)
        text = json.dumps(header).encode()
        with path.open("wb") as file:
            numpy.save(file, numpy.frombuffer(text, "u1"))
        contents[name] = path.read_bytes()
    if rng.random() < 0.5:
        name = rng.choice(list(contents))
        contents[name] = mutated(contents[name], rng)
    with zipfile.ZipFile(path, "w") as file:
        for name, member in contents.items():
            file.writestr(name, member)
    return path.read_bytes()


STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 7, 2**31, 2**70, 0.5, -1e300, float("nan"), float("inf")),
    *("", "x", "\ud800", "x" * 999, [], {}, [[]], [1, "a"], {"a": [1]}, [None] * 5),
    *({"array": "run.weights.0"}, {"pairs": [[1, 2]]}, {"tuple": [1]}, {"scalar": ["f4", 1]}),
]


def altered(value, rng):
    """A JSON value of which one part, at any depth, is another, is missing, or is there twice."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.1:
        return rng.choice(STRANGE)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    changed = value.copy()
    if rng.random() < 0.1:
        del changed[key]
    elif rng.random() < 0.1 and isinstance(value, dict):
        changed["another"] = changed[key]
    else:
        changed[key] = altered(value[key], rng)
    return changed
