"""dataset/ptb.py: with small stand-ins for its files, and with the real ones if they are here."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dataset import fetch, ptb

TEXTS = {
    "train": " a b <unk> \n b c N \n",
    "valid": " c a \n",
    "test": " b \n N N \n",
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with small files, their digests in place of the real ones, and no network."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("DLFS2_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetch, "PACKAGE_FOLDER", tmp_path / "package")
    monkeypatch.setattr(fetch, "user_cache", lambda: tmp_path / "cache")

    def offline(request, timeout):
        raise OSError(f"no network for {request.full_url}")

    monkeypatch.setattr(fetch, "urlopen", offline)
    for split, text in TEXTS.items():
        content = text.encode()
        (tmp_path / "data" / ptb.FILES[split].name).write_bytes(content)
        small_file = ptb.FILES[split]._replace(
            size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        monkeypatch.setitem(ptb.FILES, split, small_file)
    return tmp_path / "data"


@pytest.mark.usefixtures("small")
def test_each_line_becomes_its_words_and_eos_with_ids_by_first_appearance():
    corpus, word_to_id, id_to_word = ptb.load_data("train")
    assert word_to_id == {"a": 0, "b": 1, "<unk>": 2, "<eos>": 3, "c": 4, "N": 5}
    assert id_to_word == {i: word for word, i in word_to_id.items()}
    assert corpus.tolist() == [0, 1, 2, 3, 1, 4, 5, 3]
    assert corpus.dtype == np.int64


@pytest.mark.usefixtures("small")
def test_the_other_parts_use_the_training_ids():
    assert ptb.load_data("valid")[0].tolist() == [4, 0, 3]
    assert ptb.load_data("test")[0].tolist() == [1, 3, 5, 5, 3]
    assert ptb.load_data("test")[1:] == ptb.load_data("train")[1:] == ptb.load_vocab()


@pytest.mark.usefixtures("small")
def test_all_parts_at_once_are_those_that_are_loaded_one_by_one():
    parts = ptb.load_parts()
    for split, text in (("train", parts.train), ("valid", parts.valid), ("test", parts.test)):
        assert_array_equal(text, ptb.load_data(split)[0])
    assert (parts.word_to_id, parts.id_to_word) == ptb.load_vocab()


@pytest.mark.usefixtures("small")
def test_train_is_the_default_and_val_is_another_name_of_valid():
    assert_array_equal(ptb.load_data()[0], ptb.load_data("train")[0])
    assert_array_equal(ptb.load_data("val")[0], ptb.load_data("valid")[0])


@pytest.mark.parametrize("data_type", ["Train", "dev", "", None])
def test_an_unknown_part_is_named_beside_the_known_ones(data_type):
    with pytest.raises(ValueError, match=f"{data_type!r}.*'train', 'valid'.*'val'.*'test'"):
        ptb.load_data(data_type)


@pytest.mark.parametrize("change", [lambda text: text[:-3], lambda text: text.replace("N", "M")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_truncated_or_altered_file_is_refused(small, split, change):
    path = small / ptb.FILES[split].name
    path.write_text(change(TEXTS[split]))
    with pytest.raises(fetch.DamagedFileError, match=path.name):
        ptb.load_data(split)


def test_a_changed_training_file_cannot_hide_behind_a_first_reading(small):
    ptb.load_data("train")
    (small / ptb.FILES["train"].name).write_text("another text\n")
    with pytest.raises(fetch.DamagedFileError):
        ptb.load_data("train")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_without_file_and_network_the_error_names_all_mirrors(small, split):
    name = ptb.FILES[split].name
    (small / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        ptb.load_data(split)
    message = str(caught.value)
    for part in (name, ptb.FILES[split].sha256, "--corpus grammar", "DLFS2_DATA"):
        assert part in message
    for mirror in ptb.MIRRORS:
        assert f"no network for {mirror}{name}" in message


def test_a_word_that_training_lacks_is_named(small, monkeypatch):
    content = b" a xyzzy \n"
    (small / ptb.FILES["test"].name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(ptb.FILES, "test", ptb.FILES["test"]._replace(sha256=digest))
    with pytest.raises(KeyError, match="xyzzy"):
        ptb.load_data("test")


# The real text


@pytest.fixture(scope="module")
def real():
    """Skip where the real files are not on this machine: a test run downloads nothing."""
    for file in ptb.FILES.values():
        if not any((folder / file.name).exists() for folder in fetch.folders()):
            pytest.skip(f"{file.name} is not on this machine; name its folder with DLFS2_DATA")


@pytest.mark.ptb
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(
    ("split", "tokens", "sentences", "distinct"),
    [
        ("train", 929_589, 42_068, 10_000),
        ("valid", 73_760, 3_370, 6_022),
        ("test", 82_430, 3_761, 6_049),
    ],
)
def test_the_real_files_have_the_known_sizes(split, tokens, sentences, distinct):
    corpus, word_to_id, id_to_word = ptb.load_data(split)
    assert corpus.shape == (tokens,)
    assert np.count_nonzero(corpus == word_to_id["<eos>"]) == sentences
    assert len(np.unique(corpus)) == distinct
    assert len(word_to_id) == len(id_to_word) == 10_000


@pytest.mark.ptb
@pytest.mark.usefixtures("real")
def test_the_real_ids_are_the_books():
    corpus, word_to_id, id_to_word = ptb.load_data("train")
    assert_array_equal(corpus[:30], np.arange(30))
    assert [id_to_word[i] for i in range(3)] == ["aer", "banknote", "berlitz"]
    assert [word_to_id[word] for word in ("car", "happy", "lexus")] == [3856, 4428, 7426]
    assert ptb.load_vocab() == (word_to_id, id_to_word)
