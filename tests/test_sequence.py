"""dataset/sequence.py: finding or making a file, reading it, dividing it, and ids to and fro."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dataset import addition, dates, fetch, sequence

ROOT = Path(__file__).parent.parent
NAMES = ["addition.txt", "date.txt"]
LINES = {"addition.txt": addition.lines, "date.txt": dates.lines}
SMALL = [f"{a}+{b}_{a + b:<2}" for a in range(5, 9) for b in range(3, 7)]  # 16 lines, sums 8 to 14


@pytest.fixture(scope="module")
def published():
    """published(name, lines): the file on this machine that has these lines; else a skip."""
    folders = fetch.folders()  # before `places` hides them

    def published(name, lines):
        for path in (folder / name for folder in folders):
            if path.is_file() and set(lines) <= set(path.read_text().splitlines()):
                return path
        pytest.skip(f"the published {name} is not on this machine")

    return published


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The places of the search, all empty and all ours, and nothing loaded yet."""
    folders = {name: tmp_path / name for name in ("here", "named", "package", "cache")}
    for name in ("here", "named", "package"):
        folders[name].mkdir()
    monkeypatch.chdir(folders["here"])
    monkeypatch.setenv("DLFS2_DATA", str(folders["named"]))
    monkeypatch.setattr(fetch, "PACKAGE_FOLDER", folders["package"])
    monkeypatch.setattr(fetch, "user_cache", lambda: folders["cache"])
    monkeypatch.setattr(sequence, "_last_read", {})
    return folders


@pytest.fixture
def short(monkeypatch):
    """Make 2,000 lines instead of 50,000."""
    for name, lines in LINES.items():
        monkeypatch.setitem(sequence.MADE, name, lambda lines=lines: lines(2000))
        monkeypatch.delitem(sequence.FILES, name)


@pytest.fixture
def save(tmp_path):
    def save(content, name="own.txt"):
        if not isinstance(content, bytes):
            content = "".join(line + "\n" for line in content).encode()
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return save


def rows_of(part, vocabulary):
    """Lines again: question and answer of each row."""
    x, t = part
    return [
        q + a
        for q, a in zip(
            sequence.decode(x, vocabulary[1]), sequence.decode(t, vocabulary[1]), strict=True
        )
    ]


# The two files


@pytest.mark.parametrize(
    ("name", "q", "a", "v"), [("addition.txt", 7, 5, 13), ("date.txt", 29, 11, 59)]
)
@pytest.mark.parametrize("split", ["random", "answer"])
def test_shapes_are_those_of_the_book(name, q, a, v, split):
    (x_train, t_train), (x_test, t_test) = sequence.load_data(name, split=split)
    n = len(x_test)
    assert n == 5000 if split == "random" else 4800 <= n <= 5000
    assert (x_train.shape, t_train.shape) == ((50_000 - n, q), (50_000 - n, a))
    assert (x_test.shape, t_test.shape) == ((n, q), (n, a))
    for ids in (x_train, t_train, x_test, t_test):
        assert ids.dtype == np.int64
        assert ids.flags.c_contiguous
        assert 0 <= ids.min() <= ids.max() < v
    assert len(sequence.get_vocab()[0]) == v


def test_the_ids_of_the_books_addition():
    sequence.load_data()
    char_to_id, id_to_char = sequence.get_vocab()
    assert [id_to_char[i] for i in range(13)] == list("16+75 _920384")
    assert sequence.encode(["71+118"], char_to_id, 7).tolist() == [[3, 0, 2, 0, 0, 11, 5]]
    assert sequence.encode(["_189"], char_to_id, 5).tolist() == [[6, 0, 11, 7, 5]]


def test_the_ids_of_the_books_date():
    sequence.load_data("date.txt")
    char_to_id, id_to_char = sequence.get_vocab()
    order = "septmbr 27,194_-0Aug38/TUESDYPMBR5JN6ailOcoGFynCWdILjHvhVfw"
    assert [id_to_char[i] for i in range(59)] == list(order)
    ids = [14, 11, 12, 9, 8, 15, 16, 8, 15, 16, 9]
    assert sequence.encode(["_1972-02-07"], char_to_id, 11).tolist() == [ids]


def test_the_books_samples_of_addition(published):
    first = "71+118 _189 "
    questions = [
        "77+85",
        "975+164",
        "582+84",
        "8+155",
        "367+55",
        "600+257",
        "761+292",
        "830+597",
        "26+838",
        "143+93",
    ]
    answers = [sum(map(int, question.split("+"))) for question in questions]
    tested = [f"{q:<7}_{a:<4}" for q, a in zip(questions, answers, strict=True)]
    train, test = sequence.load_data(published("addition.txt", [first, *tested]))
    vocabulary = sequence.get_vocab()
    assert train[0].shape == (45_000, 7)
    assert train[0][0].tolist() == [3, 0, 2, 0, 0, 11, 5]
    assert train[1][0].tolist() == [6, 0, 11, 7, 5]
    assert rows_of((test[0][:10], test[1][:10]), vocabulary) == tested


def test_the_books_samples_of_dates(published):
    lines = [
        f"{question:<29}_{answer}"
        for question, answer in [
            ("2/7/72", "1972-02-07"),
            ("10/15/94", "1994-10-15"),
            ("thursday, november 13, 2008", "2008-11-13"),
            ("Mar 25, 2003", "2003-03-25"),
            ("Tuesday, November 22, 2016", "2016-11-22"),
            ("Saturday, July 18, 1970", "1970-07-18"),
        ]
    ]
    train, test = sequence.load_data(published("date.txt", lines))
    vocabulary = sequence.get_vocab()
    assert train[0].shape == (45_000, 29)
    assert train[1][0].tolist() == [14, 11, 12, 9, 8, 15, 16, 8, 15, 16, 9]
    assert rows_of((train[0][:1], train[1][:1]), vocabulary) == lines[:1]
    assert rows_of((test[0][:5], test[1][:5]), vocabulary) == lines[1:]


# Finding


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_of_the_book_is_made_and_kept_and_read_from_then_on(
    places, name, monkeypatch
):
    first = sequence.load_data(name)
    path = places["cache"] / name
    assert path.read_bytes() == "".join(line + "\n" for line in LINES[name]()).encode()
    assert [path.name for path in places["cache"].iterdir()] == [name]
    monkeypatch.delitem(sequence.MADE, name)
    again = sequence.load_data(name)
    for a, b in zip((*first[0], *first[1]), (*again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:99] + b"7" + c[100:]])
def test_what_was_made_and_is_damaged_is_refused_by_its_digest(places, name, damage):
    sequence.load_data(name)
    path = places["cache"] / name
    path.write_bytes(damage(path.read_bytes()))
    message = rf"{name} is not the generated {name} (.|\n)*delete it to have it made again"
    for load in sequence.load_data, sequence.get_vocab:
        with pytest.raises(fetch.DamagedFileError, match=message):
            load(name)
    path.rename(places["named"] / name)  # where anybody may put a file of this name
    if damage(b"ab") == b"a":
        assert len(sequence.load_data(name)[0][0]) == 45_000


@pytest.mark.parametrize("place", ["here", "named", "package", "cache"])
def test_a_file_is_found_in_each_place(places, place):
    places[place].mkdir(exist_ok=True)
    name = "own.txt" if place == "cache" else "addition.txt"
    (places[place] / name).write_text("\n".join(SMALL))
    assert sequence.load_data(name)[0][0].shape == (15, 3)


def test_the_working_folder_comes_first_then_the_order_of_fetch(places):
    places["cache"].mkdir()
    for n, place in enumerate(["cache", "package", "named", "here"], 10):
        (places[place] / "own.txt").write_text("\n".join(SMALL[:n]))
        (x, _), _ = sequence.load_data("own.txt")
        assert len(x) == n - 1


def test_a_path_is_that_file_alone(places, save):
    path = save(SMALL)
    assert sequence.load_data(path)[0][0].shape == (15, 3)
    assert sequence.load_data(str(path))[0][0].shape == (15, 3)
    for missing in ("folder/addition.txt", "./addition.txt", str(places["here"] / "addition.txt")):
        with pytest.raises(FileNotFoundError, match=r"addition\.txt"):
            sequence.load_data(missing)
    assert not places["cache"].exists()


def test_a_missing_file_of_another_name_is_an_error_that_says_where_it_was_looked_for(places):
    for function in (sequence.load_data, sequence.get_vocab):
        with pytest.raises(FileNotFoundError) as caught:
            function("letters.txt")
        for part in ("letters.txt", *map(str, places.values()), *NAMES):
            assert part in str(caught.value)


@pytest.mark.usefixtures("short")
def test_a_cache_that_cannot_be_written_does_no_harm(places):
    places["cache"].write_text("a file where the folder should be")
    (x, _), _ = sequence.load_data()
    assert x.shape == (1800, 7)
    assert len(sequence.get_vocab("date.txt")[0]) == 59


@pytest.mark.usefixtures("short")
def test_a_full_disk_does_no_harm_and_leaves_nothing_behind(places, monkeypatch):
    def full(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(sequence.os, "fsync", full)
    (x, _), _ = sequence.load_data()
    assert x.shape == (1800, 7)
    assert list(places["cache"].iterdir()) == []


PROGRAM = """
import sys
from pathlib import Path
from dataset import fetch, sequence
fetch.PACKAGE_FOLDER = Path(sys.argv[1]) / "package"
fetch.user_cache = lambda: Path(sys.argv[1]) / "cache"
print("ready", flush=True)
input()
(x, t), _ = sequence.load_data()
print(x.shape, t.sum())
"""


def test_processes_may_make_a_file_at_once(places, tmp_path):
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=600)[0].splitlines() for process in processes]
    (x, t), _ = sequence.load_data()
    assert {lines[-1] for lines in answers} == {f"{x.shape} {t.sum()}"}
    made = f"addition.txt was made, once: {places['cache'] / 'addition.txt'}"
    assert {line for lines in answers for line in lines[:-1]} == {made}
    assert [path.name for path in places["cache"].iterdir()] == ["addition.txt"]


# Reading


def read_slowly(text):
    """Characters one after the other, as in the book: ids of each line, question and answer."""
    char_to_id, rows = {}, []
    for line in text.replace("\r\n", "\n").split("\n"):
        question, _, rest = line.partition("_")
        if line:
            row = []
            for part in (question, "_" + rest):
                for char in part:
                    if char not in char_to_id:
                        char_to_id[char] = len(char_to_id)
                row.append([char_to_id[char] for char in part])
            rows.append(row)
    return rows, char_to_id


@st.composite
def texts(draw):
    """A file of any widths, of any characters, with either line end, the last one or not."""
    q, a, n = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(10, 40))
    chars = st.characters(codec="utf-8", exclude_characters="\r\n\t\ufeff")
    question = st.text(chars.filter(lambda char: char != "_"), min_size=q, max_size=q)
    answer = st.text(chars, min_size=a, max_size=a)
    lines = draw(st.lists(st.tuples(question, answer), min_size=n, max_size=n))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(f"{q}_{a}" for q, a in lines) + draw(st.sampled_from(["", end, end * 2]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts(), seed=st.integers(0, 2**32 - 1), mark=st.sampled_from(["", "\ufeff"]))
def test_any_file_gives_the_rows_and_ids_of_the_books_loader(save, text, seed, mark):
    (x_train, t_train), (x_test, t_test) = sequence.load_data(save((mark + text).encode()), seed)
    rows, char_to_id = read_slowly(text)
    np.random.seed(seed)
    order = np.arange(len(rows))
    np.random.shuffle(order)
    questions, answers = ([rows[i][part] for i in order] for part in (0, 1))
    assert np.concatenate([x_train, x_test]).tolist() == questions
    assert np.concatenate([t_train, t_test]).tolist() == answers
    assert len(x_test) == len(t_test) == len(rows) // 10
    assert sequence.get_vocab() == (char_to_id, {i: char for char, i in char_to_id.items()})


def test_only_the_first_mark_divides_a_line(save):
    (x, t), _ = sequence.load_data(save(["a_b_c"] * 10))
    assert (x.shape, t.shape) == ((9, 1), (9, 4))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("12+6 18", r"'12\+6 18' is not a question, '_' and an answer"),
        ("", "'' is not a question"),
        ("_1", "'_1' is not a question"),
        ("1+2_", r"'1\+2_' is not .* an answer"),
        ("12+6_18", "question and answer have 4 and 3 characters, not 3 and 3 as on line 1"),
        ("2+6_8", "question and answer have 3 and 2 characters, not 3 and 3 as on line 1"),
        ("12+6_8", "question and answer have 4 and 2 characters, not 3 and 3 as on line 1"),
        ("2_6+08", "question and answer have 1 and 5 characters, not 3 and 3 as on line 1"),
        (b"1+\xff_9 ", "not UTF-8"),
        ("1+2_3 ".encode("utf-16"), "not UTF-8"),
    ],
)
@pytest.mark.parametrize("number", [2, 12, 17])
def test_a_bad_line_is_named_by_its_number(save, line, complaint, number):
    lines = [line.encode() for line in SMALL]
    lines.insert(number - 1, line if isinstance(line, bytes) else line.encode())
    end = b"x" if number == 17 else b""  # so that a blank line is not the last
    path = save(b"\n".join(lines) + (b"\n" + end + b"+1_2 " if end else b""))
    with pytest.raises(ValueError, match=rf"own\.txt, line {number}: .*{complaint}"):
        sequence.load_data(path)


@pytest.mark.parametrize("line", ["_12", "12+_", "12", "_"])
def test_a_first_line_without_question_or_answer_is_refused(save, line):
    with pytest.raises(ValueError, match=f"line 1: '{re.escape(line)}' is not a question"):
        sequence.load_data(save([line] * 20))


def test_a_long_line_is_not_repeated_in_full(save):
    with pytest.raises(ValueError, match="line 1") as caught:
        sequence.load_data(save(["x" * 100_000]))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n", "\ufeff".encode()])
def test_an_empty_file_is_refused(save, content):
    with pytest.raises(ValueError, match=r"own\.txt is empty"):
        sequence.load_data(save(content))


@pytest.mark.parametrize("n", [1, 9])
def test_a_file_without_a_line_to_test_with_is_refused(save, n):
    with pytest.raises(ValueError, match=rf"own\.txt has {n} lines; 10 are the fewest"):
        sequence.load_data(save(SMALL[:n]))


def test_ten_lines_are_enough(save):
    train, test = sequence.load_data(save(SMALL[:10]))
    assert (len(train[0]), len(test[0])) == (9, 1)


# The vocabulary


def test_before_any_file_there_is_no_vocabulary():
    with pytest.raises(ValueError, match=r"get_vocab: no file was loaded.* load_data"):
        sequence.get_vocab()


@pytest.mark.usefixtures("short")
def test_two_files_keep_their_vocabularies(save):
    """Without a name it is the vocabulary of the file that was loaded last."""
    own = save(SMALL)
    expected = {name: sequence.get_vocab(name) for name in (*NAMES, own)}
    for name in (*NAMES, own, *reversed(NAMES)):
        sequence.load_data(name)
        assert sequence.get_vocab() == expected[name]
    assert len({str(vocabulary) for vocabulary in expected.values()}) == 3


@pytest.mark.usefixtures("short")
def test_asking_for_a_vocabulary_loads_nothing(save):
    sequence.load_data("date.txt")
    expected = sequence.get_vocab("date.txt")
    sequence.get_vocab("addition.txt")
    with pytest.raises(ValueError, match="empty"):
        sequence.load_data(save(b""))
    assert sequence.get_vocab() == expected


def test_a_vocabulary_is_the_callers_own(save):
    sequence.load_data(save(SMALL))
    char_to_id, id_to_char = sequence.get_vocab()
    expected = dict(char_to_id), dict(id_to_char)
    char_to_id["?"], id_to_char[0] = 99, "?"
    assert sequence.get_vocab() == expected


# Dividing


@pytest.mark.parametrize("split", ["random", "answer"])
def test_each_line_is_on_one_side_once(save, split):
    train, test = sequence.load_data(save(SMALL), split=split)
    vocabulary = sequence.get_vocab()
    assert sorted(rows_of(train, vocabulary) + rows_of(test, vocabulary)) == sorted(SMALL)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1984])
def test_split_by_answer_no_test_answer_is_known_from_training(name, seed):
    def answers(part):
        return set(map(tuple, part[1].tolist()))

    train, test = sequence.load_data(name, seed, split="answer")
    assert answers(train) & answers(test) == set()
    assert 180 <= len(test[0]) <= 200
    train, test = sequence.load_data(name, seed)
    assert answers(train) & answers(test) != set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answers=st.lists(st.sampled_from("abcdefgh"), min_size=10, max_size=60),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_strict_test_set_is_as_large_as_whole_answers_allow(save, answers, seed):
    path = save([f"{i:02}_{answer}" for i, answer in enumerate(answers)])
    if len(set(answers)) == 1:
        with pytest.raises(ValueError, match=r"own\.txt has one answer only"):
            sequence.load_data(path, seed, split="answer")
        return
    train, test = sequence.load_data(path, seed, split="answer")
    known, held_out = (set(part[1][:, 1].tolist()) for part in (train, test))
    assert known
    assert held_out
    assert not known & held_out
    assert len(known) + len(held_out) == len(set(answers))
    assert len(test[0]) <= len(answers) // 10 or len(held_out) == 1


@pytest.mark.usefixtures("short")
def test_both_sides_of_the_strict_split_are_shuffled():
    order = {line: i for i, line in enumerate(addition.lines(2000))}
    for part in sequence.load_data(split="answer"):
        places = [order[row] for row in rows_of(part, sequence.get_vocab())]
        assert abs(np.corrcoef(places, np.arange(len(places)))[0, 1]) < 0.4


@pytest.mark.parametrize("split", ["random", "answer"])
def test_a_seed_is_one_division(save, split):
    path = save(SMALL)

    def test_of(seed):
        return sequence.load_data(path, seed, split=split)[1][0].tolist()

    assert test_of(3) == test_of(3)
    assert len({str(test_of(seed)) for seed in range(20)}) > 1


@pytest.mark.parametrize("split", ["random", "answer"])
def test_with_a_seed_the_global_generator_is_left_alone(save, split):
    before = np.random.get_state()[1:3]
    sequence.load_data(save(SMALL), split=split)
    after = np.random.get_state()[1:3]
    assert_array_equal(after[0], before[0])
    assert after[1] == before[1]


@pytest.mark.parametrize("split", ["random", "answer"])
def test_without_a_seed_the_global_generator_shuffles(save, split):
    path = save(SMALL)
    np.random.seed(5)
    parts = sequence.load_data(path, None, split=split)
    for part, expected in zip(parts, sequence.load_data(path, 5, split=split), strict=True):
        assert_array_equal(part[0], expected[0])
        assert_array_equal(part[1], expected[1])


@pytest.mark.parametrize("split", ["date", "Random", None])
def test_an_unknown_split_is_named_beside_the_known_ones(split):
    with pytest.raises(ValueError, match=f"split is {split!r}.* 'random' or 'answer'"):
        sequence.load_data(split=split)


# Ids to and fro

VOCABULARY = {char: i for i, char in enumerate("16+75 _920384")}
CHARACTERS = dict(enumerate(VOCABULARY))


def test_questions_are_padded_on_the_right_then_turned_round():
    ids = sequence.encode(["57+5", "628+521"], VOCABULARY, 7)
    assert sequence.decode(ids, CHARACTERS) == ["57+5   ", "628+521"]
    ids = sequence.encode(["57+5", "628+521"], VOCABULARY, 7, reverse=True)
    assert sequence.decode(ids, CHARACTERS) == ["   5+75", "125+826"]
    assert ids.dtype == np.int64
    assert ids.flags.c_contiguous


@given(
    questions=st.lists(st.text("16+75_920384", max_size=7)),
    room=st.integers(0, 3),
    reverse=st.booleans(),
)
def test_encoding_and_decoding_are_inverse(questions, room, reverse):
    length = max(map(len, questions), default=0) + room
    ids = sequence.encode(questions, VOCABULARY, length, reverse=reverse)
    assert ids.shape == (len(questions), length)
    if reverse:
        ids = ids[:, ::-1]
    assert [text.rstrip() for text in sequence.decode(ids, CHARACTERS)] == questions
    assert [sequence.decode(row, CHARACTERS) for row in ids] == sequence.decode(ids, CHARACTERS)


@given(ids=st.lists(st.integers(0, 12), max_size=9))
def test_decoding_and_encoding_are_inverse(ids):
    text = sequence.decode(ids, CHARACTERS)
    assert isinstance(text, str)
    assert sequence.encode(iter([text]), VOCABULARY, len(ids)).tolist() == [ids]


def test_the_loaded_rows_are_what_encoding_gives():
    (x, t), _ = sequence.load_data("date.txt")
    char_to_id, id_to_char = sequence.get_vocab()
    questions = [text.rstrip() for text in sequence.decode(x[:100], id_to_char)]
    assert_array_equal(sequence.encode(questions, char_to_id, 29), x[:100])
    assert_array_equal(sequence.encode(sequence.decode(t, id_to_char), char_to_id, 11), t)


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        ("1234+567", r"'1234\+567' has 8 characters; 7 are the most"),
        ("1-6", "'1-6' needs '-', which has no id"),
        ("Ä", "'Ä' needs 'Ä'"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_question_that_cannot_be_encoded_is_named(question, complaint, reverse):
    with pytest.raises(ValueError, match=f"encode: {complaint}"):
        sequence.encode(["1+6", question], VOCABULARY, 7, reverse=reverse)


def test_padding_needs_a_blank_in_the_vocabulary():
    assert sequence.encode(["ab"], {"a": 0, "b": 1}, 2).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="encode: 'a' needs ' '"):
        sequence.encode(["a"], {"a": 0, "b": 1}, 2)


def test_a_single_string_is_not_a_list_of_questions():
    with pytest.raises(TypeError, match=r"encode: questions is the string '1\+6'"):
        sequence.encode("1+6", VOCABULARY, 7)


@pytest.mark.parametrize("bad", [-1, 13])
def test_an_id_without_a_character_is_named(bad):
    with pytest.raises(ValueError, match=f"decode: no character has the id {bad}"):
        sequence.decode([[0, 1], [2, bad]], CHARACTERS)


@pytest.mark.parametrize("shape", [(), (2, 3, 4)])
def test_ids_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"decode: ids have shape \(.*\(T,\) or \(N, T\)"):
        sequence.decode(np.zeros(shape, int), CHARACTERS)
