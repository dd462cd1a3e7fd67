"""dataset/wordnet.py: the small network, the format of the database, and NLTK's numbers."""

import math
import random
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import fetch, wordnet
from dataset.wordnet import Synset
from tests.wordnet_database import HEADER, SMALL, write_database

CAR_PATH = (
    "entity.n.01 physical_entity.n.01 object.n.01 whole.n.02 artifact.n.01 instrumentality.n.03 "
    "container.n.01 wheeled_vehicle.n.01 self-propelled_vehicle.n.01 motor_vehicle.n.01 car.n.01"
)
ROOT = ("entity.n.01", "entity", "", "a root")


@pytest.fixture(params=["small", "its format", "database"])
def net(request, tmp_path):
    """The small network, the same in the format of the database, and the database itself."""
    if request.param == "database":
        return request.getfixturevalue("wordnet_database")
    return wordnet.small() if request.param == "small" else database(tmp_path / "made")


def database(folder, rows=SMALL, **how):
    return wordnet.load(write_database(folder, rows, **how))


def names(synsets):
    return [synset.name() for synset in synsets]


# --- The book's values ---------------------------------------------------------------------------


def test_car_has_five_senses(net):
    expected = ["car.n.01", "car.n.02", "car.n.03", "car.n.04", "cable_car.n.01"]
    assert names(net.synsets("car")) == expected
    assert repr(net.synsets("car")[0]) == "Synset('car.n.01')"


def test_the_first_sense_of_car_has_five_lemmas_and_four_wheels(net):
    car = net.synset("car.n.01")
    assert car.lemma_names() == ["car", "auto", "automobile", "machine", "motorcar"]
    assert "four wheels" in car.definition()
    assert "engine" in car.definition()
    assert '"' not in car.definition()


def test_the_first_path_to_car_has_eleven_nodes(net):
    first, second = net.synset("car.n.01").hypernym_paths()
    assert names(first) == CAR_PATH.split()
    assert names(second)[5:9] == [
        "instrumentality.n.03",
        "conveyance.n.03",
        "vehicle.n.01",
        "wheeled_vehicle.n.01",
    ]


@pytest.mark.parametrize(
    ("other", "path", "edges"),
    [
        ("novel", 0.05555555555555555, 17),
        ("dog", 0.07692307692307693, 12),
        ("motorcycle", 0.3333333333333333, 2),
    ],
)
def test_path_similarities_of_the_book(net, other, path, edges):
    car, other = net.synset("car.n.01"), net.synset(f"{other}.n.01")
    assert car.path_similarity(other) == other.path_similarity(car) == path
    assert car.shortest_path_distance(other) == edges


def test_wu_palmer_and_leacock_chodorow_at_worked_numbers(net):
    car, dog, motorcycle = (net.synset(f"{word}.n.01") for word in ("car", "dog", "motorcycle"))
    # The longest path has 11 nodes down to motor_vehicle, one edge more to each of the two.
    assert car.lowest_common_hypernym(motorcycle).name() == "motor_vehicle.n.01"
    assert car.wup_similarity(motorcycle) == 2 * 11 / (12 + 12)
    # Four nodes down to whole; 7 edges from there to car and 5 to dog.
    assert car.lowest_common_hypernym(dog).name() == "whole.n.02"
    assert car.wup_similarity(dog) == 2 * 4 / (4 + 7 + 4 + 5)
    # d = 2, and the deepest path of all has L edges
    assert car.lch_similarity(motorcycle) == -math.log(3 / (2 * net.deepest))


def test_a_synset_is_most_like_itself(net):
    car = net.synset("car.n.01")
    assert (car.path_similarity(car), car.wup_similarity(car)) == (1, 1)
    assert car.lch_similarity(car) == pytest.approx(math.log(2 * net.deepest))


def test_case_and_blanks_of_a_word_do_not_count(net):
    assert names(net.synsets("Cable  CAR")) == ["cable_car.n.01"]
    assert names(net.synsets("canis familiaris")) == ["dog.n.01"]
    assert "Cable car" in net
    assert "cable" not in wordnet.small()


def test_the_functions_of_the_module_answer_as_in_the_book():
    assert names(wordnet.synsets("car"))[:2] == ["car.n.01", "car.n.02"]
    assert wordnet.synset("dog.n.01") is wordnet.load().synset("dog.n.01")


# --- Properties ----------------------------------------------------------------------------------

synsets = st.sampled_from([name for name, *_ in SMALL]).map(wordnet.small().synset)


@given(synsets, synsets)
def test_distances_are_those_over_a_common_node_of_two_hypernym_paths(a, b):
    ways = [
        len(p) + len(q) - 2 - p.index(s) - q.index(s)
        for p, q in product(a.hypernym_paths(), b.hypernym_paths())
        for s in p
        if s in q
    ]
    assert a.shortest_path_distance(b) == b.shortest_path_distance(a) == min(ways)


@given(synsets, synsets)
def test_similarities_are_between_0_and_that_of_a_synset_with_itself(a, b):
    for similarity in Synset.path_similarity, Synset.wup_similarity, Synset.lch_similarity:
        assert 0 < similarity(a, b) <= similarity(a, a)


@given(synsets)
def test_depths_are_the_lengths_of_hypernym_paths(a):
    lengths = {len(path) - 1 for path in a.hypernym_paths()}
    assert (a.min_depth(), a.max_depth()) == (min(lengths), max(lengths))
    assert a.max_depth() <= wordnet.small().deepest == 14


def test_what_is_handed_out_can_be_changed_without_harm():
    car = wordnet.small().synset("car.n.01")
    for handed in car.lemma_names, car.hypernyms, car.hypernym_paths:
        before = handed()
        handed().clear()
        assert handed() == before != []


def test_the_same_synset_is_the_same_object():
    net = wordnet.small()
    assert net.synset("dog.n.01") is net.synsets("dog")[0]


# --- The small network and the database ----------------------------------------------------------


def test_every_line_of_the_small_network_is_reached_and_leads_to_the_root():
    net = wordnet.small()
    for name, lemmas, hypernyms, gloss in SMALL:
        synset = net.synset(name)
        assert names(synset.hypernyms()) == sorted(hypernyms.split())
        assert synset.lemma_names() == lemmas.split()
        assert lemmas.split()[0].lower() == name.split(".")[0]
        assert synset.definition() == gloss != ""
        assert {path[0].name() for path in synset.hypernym_paths()} == {"entity.n.01"}


def test_the_small_network_is_a_part_of_wordnet_with_definitions_of_its_own(wordnet_database):
    for name, *_ in SMALL:
        ours, theirs = wordnet.small().synset(name), wordnet_database.synset(name)
        assert set(ours.lemma_names()) <= set(theirs.lemma_names())
        assert names(ours.hypernyms()) == names(theirs.hypernyms())
        assert ours.definition() != theirs.definition()


def test_the_database_has_all_nouns(wordnet_database):
    nouns = wordnet_database.nouns()
    assert len(nouns) == len(set(nouns)) == 117_798
    assert nouns == sorted(nouns)
    assert wordnet_database.deepest == 19
    assert all(noun in wordnet_database for noun in (nouns[0], nouns[-1], *nouns[::1000]))


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    net, read = database(tmp_path), []
    taken = type(net)._read
    monkeypatch.setattr(type(net), "_read", lambda net, key: read.append(key) or taken(net, key))
    net.synset("dog.n.01").hypernym_paths()
    assert len(read) == len(set(read)) < len(SMALL) / 3


def test_nouns_are_the_lemmas_of_the_index(tmp_path):
    assert sorted(database(tmp_path).nouns()) == sorted(wordnet.small().nouns())


# --- NLTK ----------------------------------------------------------------------------------------


@pytest.fixture
def nltk_reader(wordnet_database, tmp_path, monkeypatch):
    """NLTK's reader of the same nouns, copied into a folder beside files that it wants as well."""
    nltk = pytest.importorskip("nltk", reason="NLTK is not installed: pip install '.[bench]'")
    from nltk.corpus.reader import wordnet as reader

    place = tmp_path / "corpora" / "wordnet"
    place.mkdir(parents=True)
    for file in reader.WordNetCorpusReader._FILES:
        (place / file).touch()
    (place / "data.adj").write_text(HEADER)  # where it looks for the version
    (place / "lexnames").write_text("".join(f"{k:02}\tname\t1\n" for k in range(45)))
    for file in wordnet.FILES:
        shutil.copy(wordnet_database.folder / file, place)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.warns(UserWarning, match="multilingual"):
        return reader.WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)


@pytest.mark.slow
def test_a_thousand_pairs_of_nouns_are_as_similar_as_nltk_says(wordnet_database, nltk_reader):
    rng, nouns = random.Random(0), wordnet_database.nouns()
    for _ in range(1000):
        a, b = (rng.choice(wordnet_database.synsets(rng.choice(nouns))) for _ in range(2))
        x, y = nltk_reader.synset(a.name()), nltk_reader.synset(b.name())
        assert a.path_similarity(b) == x.path_similarity(y), (a, b)
        assert a.wup_similarity(b) == pytest.approx(x.wup_similarity(y), rel=1e-15), (a, b)
        assert a.lch_similarity(b) == pytest.approx(x.lch_similarity(y), rel=1e-15), (a, b)
        assert a.lemma_names() == x.lemma_names()
        assert sorted(map(names, a.hypernym_paths())) == sorted(map(names, x.hypernym_paths()))


# --- Where the database is looked for ------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without the database."""
    monkeypatch.delenv("DLFS2_DATA", raising=False)
    monkeypatch.setattr(fetch, "PACKAGE_FOLDER", tmp_path / "package")
    monkeypatch.setattr(fetch, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(wordnet, "PLACES", (tmp_path / "usual",))
    return tmp_path


def test_without_a_database_the_small_network_answers(nowhere):
    assert wordnet.find() is None
    assert wordnet.load() is wordnet.small()
    assert repr(wordnet.load()) == "the small network"


@pytest.mark.parametrize("place", ["usual", "cache/wordnet", "cache", "package/wordnet"])
def test_the_database_is_found_in_the_usual_places(place, nowhere):
    write_database(nowhere / place)
    assert wordnet.find() == nowhere / place
    assert repr(wordnet.load()) == f"WordNet 3.0 in {nowhere / place}"
    assert names(wordnet.synsets("car"))[4] == "cable_car.n.01"


@pytest.mark.parametrize("place", ["data", "data/wordnet"])
def test_dlfs2_data_comes_first(place, nowhere, monkeypatch):
    write_database(nowhere / "usual")
    write_database(nowhere / place)
    monkeypatch.setenv("DLFS2_DATA", str(nowhere / "data"))
    assert wordnet.find() == nowhere / place


def test_a_home_folder_is_understood(nowhere, monkeypatch):
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("USERPROFILE", str(nowhere))
    monkeypatch.setattr(wordnet, "PLACES", (Path("~/nltk_data/corpora/wordnet"),))
    write_database(nowhere / "nltk_data/corpora/wordnet")
    assert wordnet.find() == nowhere / "nltk_data/corpora/wordnet"
    assert wordnet.load("~/nltk_data/corpora/wordnet").synset("dog.n.01")


# --- Bad input -----------------------------------------------------------------------------------


def test_a_word_without_a_synset_is_named(net):
    with pytest.raises(KeyError, match=re.escape(f"synsets: 'qwrtz' is no noun in {net}")):
        net.synsets("qwrtz")
    assert "qwrtz" not in net
    for word in "", " ", "of", "\udcff", "car\n", "zzzzzz":
        assert (word in net) == (word == "car\n")


def test_the_small_network_says_how_to_get_the_whole(net):
    hinted = wordnet.small()
    with pytest.raises(KeyError, match="apt install wordnet-base"):
        hinted.synsets("quark")


@pytest.mark.parametrize("name", ["car", "car.n.99", "car.v.01", "car.n.1", "auto.n.01", "", ".n."])
def test_a_name_without_a_synset_is_named(name, tmp_path):
    for net in wordnet.small(), database(tmp_path):
        with pytest.raises(KeyError, match=re.escape(f"synset: {name!r} is not in")):
            net.synset(name)


def test_two_synsets_without_a_common_ancestor_are_named(tmp_path):
    net = database(tmp_path, [ROOT, ("idea.n.01", "idea", "", "another root")])
    entity, idea = net.synset("entity.n.01"), net.synset("idea.n.01")
    for compared in entity.path_similarity, entity.wup_similarity, entity.lch_similarity:
        with pytest.raises(
            ValueError, match=r"entity\.n\.01 of .* and idea\.n\.01 of .* no common"
        ):
            compared(idea)


def test_synsets_of_two_networks_are_not_compared(tmp_path):
    a, b = wordnet.small().synset("car.n.01"), database(tmp_path).synset("car.n.01")
    with pytest.raises(ValueError, match=r"of the small network and car\.n\.01 of WordNet 3\.0 in"):
        a.path_similarity(b)


@pytest.mark.parametrize("file", wordnet.FILES)
def test_a_missing_file_is_named(file, nowhere):
    folder = write_database(nowhere / "usual")
    (folder / file).unlink()
    for named in None, folder:
        with pytest.raises(FileNotFoundError, match=re.escape(f"{folder / file} is missing")):
            wordnet.load(named)
    with pytest.raises(FileNotFoundError, match=r"index\.noun is missing; the database is the"):
        wordnet.load(nowhere / "no such folder")


@pytest.mark.parametrize("file", wordnet.FILES)
@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (HEADER.replace("3.0", "3.1"), r"is of WordNet 3\.1; WordNet 3\.0 is needed"),
        (HEADER.replace("3.0", "2.1"), r"is of WordNet 2\.1; WordNet 3\.0 is needed"),
        ("", r"is not WordNet's; WordNet 3\.0 is needed"),
    ],
)
def test_another_version_is_refused(file, header, problem, tmp_path):
    folder = write_database(tmp_path)
    content = (folder / file).read_text()
    (folder / file).write_text(header + content.removeprefix(HEADER))
    with pytest.raises(ValueError, match=re.escape(str(folder / file)) + " " + problem):
        wordnet.load(folder)


@pytest.mark.parametrize("file", wordnet.FILES)
def test_a_file_that_is_cut_off_is_refused(file, tmp_path):
    folder = write_database(tmp_path)
    (folder / file).write_bytes((folder / file).read_bytes()[:-10])
    with pytest.raises(ValueError, match=re.escape(f"{folder / file} is cut off: its last line")):
        wordnet.load(folder)


def damaged(folder, file, old, new):
    """A database in which one text of the same length was replaced in a file."""
    write_database(folder)
    content = (folder / file).read_text()
    assert content.count(old) >= 1
    assert len(old) == len(new)
    (folder / file).write_text(content.replace(old, new, 1))
    return wordnet.load(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 03 n 05 car 0", " 03 n 04 car 0"),  # the number of lemmas
        (" 03 n 05 car 0", " 03 v 05 car 0"),  # a verb
        ("motorcar 0 002 @", "motorcar 0 003 @"),  # the number of pointers
        ("motorcar 0 002 @", "motorcar 0 0x2 @"),
        (" | a road vehicle for a few", "   a road vehicle for a few"),  # no gloss
        (" 03 n 05 car 0", "\n03 n 05 car 0"),  # a line that is cut
    ],
)
def test_a_damaged_synset_is_refused_with_its_place(old, new, tmp_path):
    net = damaged(tmp_path, "data.noun", old, new)
    problem = re.escape(str(tmp_path / "data.noun")) + r" is damaged at byte \d+"
    for _ in range(2):  # nothing of it is remembered
        with pytest.raises(ValueError, match=problem):
            net.synset("car.n.01")
    assert names(net.synsets("novel")) == ["novel.n.01"]


def test_a_damaged_index_is_refused_with_its_place(tmp_path):
    net = damaged(tmp_path, "index.noun", "car n 5 2 @ ~ 5 0", "car n 6 2 @ ~ 5 0")
    problem = re.escape(str(tmp_path / "index.noun")) + r" is damaged at byte \d+"
    with pytest.raises(ValueError, match=problem):
        net.synsets("car")


def test_a_synset_that_the_index_does_not_have_is_refused(tmp_path):
    net = damaged(tmp_path, "index.noun", "\nmotor_vehicle n", "\nmotor_vehicla n")
    with pytest.raises(ValueError, match=r"index\.noun lacks a sense of motor_vehicle"):
        net.synset("car.n.01").hypernyms()


def test_an_offset_that_leads_nowhere_is_refused(tmp_path):
    rows = [ROOT, ("idea.n.01", "idea", "nothing.n.01", "above it is nothing")]
    net = database(tmp_path, rows)
    with pytest.raises(ValueError, match=r"data\.noun is damaged at byte 99999999"):
        net.synset("idea.n.01").hypernym_paths()


def test_lines_that_have_moved_are_refused_when_all_are_read(tmp_path):
    net = damaged(
        tmp_path, "data.noun", " | a road vehicle for a few", "\n| a road vehicle for a few"
    )
    car = net.synset("motorcycle.n.01")
    with pytest.raises(ValueError, match=r"data\.noun is damaged at byte \d+"):
        car.lch_similarity(car)


def test_hypernyms_in_a_cycle_are_refused(tmp_path):
    rows = [
        ROOT,
        ("egg.n.01", "egg", "hen.n.01 entity.n.01", "laid by a hen"),
        ("hen.n.01", "hen", "egg.n.01", "hatched from an egg"),
    ]
    net = database(tmp_path, rows)
    egg, hen = net.synset("egg.n.01"), net.synset("hen.n.01")
    assert egg.path_similarity(hen) == 0.5
    compare = lambda: egg.wup_similarity(hen)  # noqa: E731
    for asked in egg.hypernym_paths, egg.max_depth, egg.min_depth, compare, lambda: net.deepest:
        with pytest.raises(ValueError, match="hypernyms form a cycle, or a path of more than 100"):
            asked()


def test_a_network_that_is_all_roots_or_all_cycle_has_no_depth_to_compare_with(tmp_path):
    rows = [
        ("egg.n.01", "egg", "hen.n.01", "from a hen"),
        ("hen.n.01", "hen", "egg.n.01", "of one"),
    ]
    for k, net in enumerate([[ROOT], rows]):
        synset = database(tmp_path / str(k), net).synset(net[0][0])
        with pytest.raises(ValueError, match="no synset is below a root"):
            synset.lch_similarity(synset)


@pytest.mark.parametrize("edges", [100, 101])
def test_a_path_may_have_100_edges(edges, tmp_path):
    rows = [ROOT, *((f"a{k}.n.01", f"a{k}", f"a{k - 1}.n.01", "a step") for k in range(1, edges))]
    rows[1] = ("a1.n.01", "a1", "entity.n.01", "a step")
    rows += [("z.n.01", "z", rows[-1][0], "the last")]
    net = database(tmp_path, rows)
    if edges == 100:
        assert net.synset("z.n.01").max_depth() == net.deepest == 100
        assert len(net.synset("z.n.01").hypernym_paths()[0]) == 101
    else:
        with pytest.raises(ValueError, match="more than 100 edges"):
            net.synset("z.n.01").hypernym_paths()


def test_more_paths_than_can_be_listed_are_refused(tmp_path):
    rows = [ROOT]
    for k in range(40):  # 2^40 paths
        above = rows[-1][0] if k == 0 else f"left{k - 1}.n.01 right{k - 1}.n.01"
        rows += [(f"{side}{k}.n.01", f"{side}{k}", above, "a step") for side in ("left", "right")]
    net = database(tmp_path, rows)
    left = net.synset("left39.n.01")
    assert left.max_depth() == left.min_depth() == net.deepest == 40
    with pytest.raises(ValueError, match=r"left\d+\.n\.01 has over 1000 hypernym paths"):
        left.hypernym_paths()
