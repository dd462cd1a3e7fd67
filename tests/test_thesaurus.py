"""`python -m ch02.thesaurus`: what it prints, figure B-2, and how far vectors agree."""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy
import pytest

from ch02 import thesaurus
from common.words.evaluation import spearman
from common.words.evaluation_files import read_similarities
from common.words.vector_files import load_vectors
from dataset import wordnet
from tests.scripts import assert_not_blank
from tests.wordnet_database import write_database

NET = wordnet.small()


def firsts(words):
    return [NET.synsets(word)[0] for word in words.split()]


def test_it_prints_the_results_of_the_book(capsys):
    thesaurus.main(database="small", plot=False)
    lines = capsys.readouterr().out.splitlines()
    senses = "car.n.01, car.n.02, car.n.03, car.n.04, cable_car.n.01"
    assert lines[0] == "the small network"
    assert f"synsets of car: {senses}" in lines
    assert "lemma names: car, auto, automobile, machine, motorcar" in lines
    path = next(line for line in lines if line.startswith("hypernym path: "))
    assert path.startswith("hypernym path: entity.n.01, physical_entity.n.01, object.n.01, whole")
    assert path.count(".n.") == 11
    table = {line.split()[0]: line.split()[1:] for line in lines if line.count(".n.") == 1}
    assert table["novel.n.01"][0] == "0.05555555555555555"
    assert table["dog.n.01"] == ["0.07692307692307693", "0.400", "0.767"]  # ln(28 / 13)
    assert table["motorcycle.n.01"] == ["0.3333333333333333", "0.917", "2.234"]  # ln(28 / 3)


def test_the_whole_database_gives_the_results_of_the_book(wordnet_database, capsys):
    agreement = thesaurus.main(database=str(wordnet_database.folder), plot=False)
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines if line.count(".n.") == 1}
    assert table["dog.n.01"] == ["0.07692307692307693", "0.400", "1.073"]  # ln(38 / 13)
    assert agreement.answered == agreement.asked == 50
    assert agreement.path_and_people > agreement.path_and_cosine > 0


def test_another_word_is_compared_with_those_that_follow(capsys):
    thesaurus.main(query="Cat dog dog", database="small", plot=False)
    out = capsys.readouterr().out
    assert "definition of cat.n.01: " in out
    # cat, feline, carnivore, canine, dog: four edges
    assert "dog.n.01                 0.2 " in out
    thesaurus.main(query="cat", database="small", plot=False)
    assert "Wu-Palmer" not in capsys.readouterr().out


def test_a_folder_can_be_named(tmp_path, capsys):
    folder = write_database(tmp_path / "nouns")
    thesaurus.main(database=str(folder), plot=False)
    assert capsys.readouterr().out.startswith(f"WordNet 3.0 in {folder}\n")


@pytest.mark.parametrize("query", ["", "  ", "car " * 13])
def test_no_words_or_too_many_are_refused(query):
    with pytest.raises(ValueError, match=r"thesaurus: query has \d+ words; 1 to 12 are needed"):
        thesaurus.main(query=query, database="small")


def test_a_word_that_is_no_noun_is_refused_before_anything_is_printed(capsys):
    with pytest.raises(KeyError, match="'of' is no noun in the small network"):
        thesaurus.main(query="car of", database="small")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("flag", ["vectors", "similarities", "database"])
def test_a_file_that_is_not_there_is_told_before_anything_is_printed_or_drawn(flag, folder, capsys):
    with pytest.raises(FileNotFoundError, match="nothing here"):
        thesaurus.main(**{"database": "small", flag: "nothing here"})
    assert capsys.readouterr().out == ""
    assert list(folder.iterdir()) == []


# --- Agreement with vectors ----------------------------------------------------------------------


def test_two_words_are_as_similar_as_their_closest_senses():
    # machine is car.n.01, motorcycle is beside it; bike is a motorcycle or a bicycle
    assert thesaurus.similarity(NET, "machine", "motorcycle") == 1 / 3
    bicycle = NET.synset("bicycle.n.01")
    assert thesaurus.similarity(NET, "bike", "bicycle") == 1
    assert thesaurus.similarity(NET, "car", "bicycle") == max(
        sense.path_similarity(bicycle) for sense in NET.synsets("car")
    )


def test_rankings_are_compared_over_the_pairs_that_all_three_know():
    pairs = [("dog", "Cat", 9), ("dog", "car", 1), ("dog", "horse", 7), ("dog", "of", 3)]
    pairs += [("dog", "novel", 5)]  # which has no vector
    ids = {"dog": 0, "cat": 1, "car": 2, "horse": 3, "of": 4}
    vecs = numpy.array([[1.0, 0], [1, 1], [-1, 0.5], [0, 2], [1, 0]])
    found = thesaurus.compare(NET, pairs, vecs, ids)
    assert (found.answered, found.asked) == (3, 5)
    path, cosine, people = [1 / 5, 1 / 13, 1 / 8], [0.5**0.5, -1 / 1.25**0.5, 0], [9, 1, 7]
    assert [NET.synset("dog.n.01").path_similarity(s) for s in firsts("cat car horse")] == path
    expected = spearman(path, cosine), spearman(path, people), spearman(cosine, people)
    assert found[:3] == pytest.approx(expected)
    assert found[:3] == pytest.approx((1, 1, 1))


def test_without_a_known_pair_there_is_no_correlation(capsys, tmp_path):
    found = thesaurus.compare(NET, [("of", "the", 1)], numpy.eye(2), {"of": 0, "the": 1})
    assert all(map(math.isnan, found[:3]))
    assert found[3:] == (0, 1)
    (tmp_path / "pairs.tsv").write_text("of\tthe\t1\n")
    thesaurus.main(database="small", similarities=str(tmp_path / "pairs.tsv"), plot=False)
    assert capsys.readouterr().out.endswith(
        "Spearman's rho, 0 of 1 pairs of words\n"
        "path and cosine          -\npath and people          -\ncosine and people        -\n"
    )


def test_shipped_vectors_and_pairs_are_compared_on_nine_pairs():
    agreement = thesaurus.main(database="small", plot=False)
    assert (agreement.answered, agreement.asked) == (9, 50)
    vecs, ids, _ = load_vectors(thesaurus.CH04 / "vectors" / "cbow.npz")
    pairs = read_similarities(thesaurus.CH04 / "similarities.tsv")
    assert agreement == thesaurus.compare(NET, pairs, vecs, ids)
    assert 0 < agreement.path_and_cosine < 1


# --- Figure B-2 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["car novel dog motorcycle", "car", "cat man bus entity"])
def test_hypernyms_stand_above_and_no_two_synsets_in_one_place(words):
    at = thesaurus.places(firsts(words))
    for synset in firsts(words):
        for path in synset.hypernym_paths():
            for above, below in pairwise(path):
                assert at[above][1] < at[below][1]
    assert len(set(at.values())) == len(at)
    for node, (x, _) in at.items():
        if ways := [at[s][0] for s in at if s.hypernyms()[:1] == [node]]:
            assert min(ways) <= x <= max(ways)


def test_figure_b_2_shows_every_synset_and_every_hypernym(monkeypatch):
    drawn = {}
    monkeypatch.setattr(thesaurus, "show", lambda name: drawn.update({name: plt.gca()}))
    synsets = firsts("car novel dog motorcycle")
    thesaurus.plot_hypernyms(synsets)
    axes = drawn["fig_b_2_hypernyms.png"]
    labels = {text.get_text(): text for text in axes.texts}
    nodes = {s for synset in synsets for path in synset.hypernym_paths() for s in path}
    assert set(labels) == {node.name() for node in nodes}
    bold = {name for name, text in labels.items() if text.get_weight() == "bold"}
    assert bold == {synset.name() for synset in synsets}
    place = {text.get_position(): name for name, text in labels.items()}
    edges = [
        tuple(place[point] for point in zip(*line.get_data(), strict=True)) for line in axes.lines
    ]
    assert set(edges) == {(above.name(), s.name()) for s in nodes for above in s.hypernyms()}
    colours = {line.get_color() for line in axes.lines if line.get_linestyle() == "-"}
    assert len(colours) == len(synsets)
    low, high = axes.get_ylim()
    assert low > high  # the root is on top
    plt.close("all")


def test_the_figure_is_saved_where_nothing_can_be_shown(folder, capsys):
    thesaurus.main(database="small")
    assert [path.name for path in folder.iterdir()] == ["fig_b_2_hypernyms.png"]
    assert_not_blank(folder / "fig_b_2_hypernyms.png")
    assert "figure saved: fig_b_2_hypernyms.png\n" in capsys.readouterr().out
