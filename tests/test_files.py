"""Files appear whole, with their mode, behind links; damaged archives are refused."""

import errno
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy
import pytest
from numpy.testing import assert_array_equal

from common.storage.files import (
    is_npz,
    part_of,
    read_npz,
    read_npz_header,
    remove_leftovers,
    write_npz,
    write_together,
    write_whole,
)

posix = pytest.mark.skipif(os.name == "nt", reason="modes, FIFOs and signals are POSIX's")


def says(text):
    return lambda file: file.write(text.encode())


def flipped(content):
    """The file with each of its bits flipped in turn."""
    for k in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[k // 8] ^= 1 << k % 8
        yield bytes(damaged)


# --- Whole files ---------------------------------------------------------------------------------


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target = tmp_path / "there" / "target"
    target.parent.mkdir()
    for before in True, False:  # the target may be missing
        if before:
            target.write_text("old")
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        write_whole(tmp_path / "link", says("new"))
        assert (tmp_path / "link").is_symlink()
        assert target.read_text() == "new"
        target.unlink()
        assert not list(target.parent.iterdir())


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_the_mode_of_an_older_file_stays(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    write_whole(path, says("new"))
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new"


@posix
def test_what_is_no_regular_file_is_refused_before_anything_is_written(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(os.devnull)
    device = Path(os.devnull).stat()
    for path in tmp_path / "fifo", tmp_path / "folder", tmp_path / "link", Path(os.devnull):
        with pytest.raises(OSError, match=f"not a regular file: '{path}'"):
            write_whole(path, pytest.fail)
    assert Path(os.devnull).stat() == device
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "." + "b" * 254])
def test_the_longest_names_can_be_saved_to(tmp_path, name):
    for text in "old", "new":
        write_whole(tmp_path / name, says(text))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "new")]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), PermissionError(errno.EACCES, "denied", "x")]
)
def test_an_error_names_the_file_and_keeps_its_class(tmp_path, error):
    def fail(file):
        file.write(b"half")
        raise error

    (tmp_path / "a").write_text("old")
    with pytest.raises(type(error), match=rf"{error.strerror}: '{tmp_path}/a'") as raised:
        write_whole(tmp_path / "a", fail)
    assert raised.value.errno == error.errno
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_an_error_without_a_number_names_the_file_too(tmp_path):
    def fail(file):
        raise io.UnsupportedOperation("encoder error")

    with pytest.raises(io.UnsupportedOperation, match=rf"{tmp_path}/a: encoder error"):
        write_whole(tmp_path / "a", fail)


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"'{tmp_path}/none/a'"):
        write_whole(tmp_path / "none" / "a", says("new"))


@posix
def test_a_disk_without_room_is_told_with_the_file(tmp_path):
    code = (
        "import resource, sys, numpy; from pathlib import Path\n"
        "from common.storage.files import write_npz\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try: write_npz(Path(sys.argv[1]), {}, {'a': numpy.ones(1000)})\n"
        "except OSError as error: print(error)"
    )
    args = [sys.executable, "-c", code, tmp_path / "a"]
    run = subprocess.run(args, capture_output=True, text=True, check=True)
    assert run.stdout == f"[Errno 27] File too large: '{tmp_path}/a'\n"
    assert run.stderr == ""
    assert not list(tmp_path.iterdir())


def test_files_of_one_save_appear_together(tmp_path):
    def fail(file):
        raise OSError(errno.ENOSPC, "No space left")

    a, b = tmp_path / "a", tmp_path / "b"
    write_together({a: says("1"), b: says("1")})
    with pytest.raises(OSError, match=f"No space left: '{b}'"):
        write_together({a: says("2"), b: fail})
    assert [path.read_text() for path in (a, b)] == ["1", "1"]
    write_together({a: says("2"), b: says("2")})
    assert [path.read_text() for path in (a, b)] == ["2", "2"]
    assert len(list(tmp_path.iterdir())) == 2


def test_threads_may_save_to_one_name_at_once(tmp_path):
    errors, start = [], threading.Barrier(8)

    def save(k):
        start.wait()
        try:
            for _ in range(20):
                write_whole(tmp_path / "a", says(str(k) * 10_000))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert re.fullmatch(r"(\d)\1{9999}", (tmp_path / "a").read_text())


# A process that stops in the middle of a save, and waits there
STUCK = (
    "import sys, time; from pathlib import Path; from common.storage.files import write_whole\n"
    "write_whole(Path(sys.argv[1]), lambda file: (print(flush=True), time.sleep(600)))"
)


@posix
@pytest.mark.parametrize("clean", [remove_leftovers, lambda path: write_whole(path, says("new"))])
def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path, clean):
    path = tmp_path / "a"
    args = [sys.executable, "-c", STUCK, path]
    with subprocess.Popen(args, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (part,) = tmp_path.iterdir()
        write_whole(tmp_path / "another", says("new"))
        clean(path)
        assert part.exists()  # its process is alive
        process.send_signal(signal.SIGKILL)
    write_whole(tmp_path / "another", says("new"))
    assert part.exists()  # it is not of that name
    clean(path)
    assert not part.exists()
    assert {p.name for p in tmp_path.iterdir()} <= {"a", "another"}


def test_a_part_that_has_our_own_number_is_of_an_earlier_process(tmp_path):
    part, target = part_of(tmp_path / "a")
    part.write_text("half")
    write_whole(tmp_path / "a", says("new"))
    assert [path.name for path in tmp_path.iterdir()] == [target.name] == ["a"]


# --- Arrays with a header ------------------------------------------------------------------------

HEADER = {"class": "Tiny", "list": [1, 2.5, None], "words": ["é"]}
ARRAYS = {"W": numpy.array([[1.5, -2], [0.25, 3]], "f"), "b": numpy.arange(3, dtype="f")}


def write(path, header=HEADER, arrays=ARRAYS):
    write_npz(path, header, arrays)
    return path.read_bytes()


def assert_content(found, header=HEADER, arrays=ARRAYS):
    assert found[0] == header
    assert list(found[1]) == list(arrays)
    for name, a in arrays.items():
        assert found[1][name].dtype == numpy.asarray(a).dtype
        assert_array_equal(found[1][name], a)


def test_arrays_of_any_kind_come_back(tmp_path):
    arrays = {
        "scalar": numpy.float32(2),
        "empty": numpy.zeros((0, 3)),
        "fortran": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "swapped": numpy.arange(3, dtype=">i4"),
        "every other": numpy.arange(10)[::2],
        "texts": numpy.array(["a", "日本"]),
        "bool": numpy.array([True, False]),
        "complex": numpy.array([1j]),
        "file": numpy.ones(1),  # which was a keyword of numpy.savez
        "a/b.npy": numpy.ones(2),
    }
    write(tmp_path / "a", {}, arrays)
    header, found = read_npz(tmp_path / "a", "file")
    assert_content((header, found), {}, arrays)
    assert found["fortran"].flags.f_contiguous
    for a in found.values():
        assert a.flags.writeable


def test_a_file_is_the_same_for_the_same_content_and_numpy_reads_it(tmp_path):
    assert write(tmp_path / "a") == write(tmp_path / "b")
    with numpy.load(tmp_path / "a", allow_pickle=False) as file:
        assert file.files == ["W", "b", "header.json"]
        assert_array_equal(file["W"], ARRAYS["W"])
        header = json.loads(file["header.json"].tobytes())
    assert len(header.pop("digest")) == 64
    assert header == HEADER


def test_what_cannot_come_back_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write(tmp_path / "a", arrays={"a": numpy.array([None])})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write(tmp_path / "a", {"a": {1}})
    assert not list(tmp_path.iterdir())


def test_a_header_is_given_back_as_json_knows_it(tmp_path):
    write(tmp_path / "a", {1: (2,), "1": [3]})
    assert_content(read_npz(tmp_path / "a", "file"), {"1": [3]})


def test_files_without_a_digest_are_read(tmp_path):
    header = numpy.frombuffer(json.dumps(HEADER).encode(), numpy.uint8)
    with (tmp_path / "a").open("wb") as file:
        numpy.savez(file, **ARRAYS, **{"header.json": header})
    assert_content(read_npz(tmp_path / "a", "file"))
    with (tmp_path / "b").open("wb") as file:
        numpy.savez(file, **ARRAYS)
    assert_content(read_npz(tmp_path / "b", "file", headless=True), {})


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    content = write(tmp_path / "a")
    for damaged in flipped(content):
        (tmp_path / "a").write_bytes(damaged)
        try:
            found = read_npz(tmp_path / "a", "weight file")
        except ValueError as error:
            assert str(error).startswith("not a readable weight file (")  # noqa: PT017
        else:
            assert_content(found)  # the bit was of a date, a version, ...


def test_every_byte_cut_off_is_noticed(tmp_path):
    content = write(tmp_path / "a")
    for length in range(len(content)):
        (tmp_path / "a").write_bytes(content[:length])
        with pytest.raises(ValueError, match="not a readable weight file"):
            read_npz(tmp_path / "a", "weight file")


def test_a_file_of_4_kb_is_read_to_its_end(tmp_path):
    W = numpy.random.default_rng(0).standard_normal((20, 100))
    content = write(tmp_path / "a", HEADER, {"W": W})
    for one, other in [
        (b"(20, 100)", b"(20, 10 )"),
        (b"'<f8'", b"'<f2'"),
        (b"\x00v\x00", b"\x00f\x00"),
    ]:
        assert content.count(one) >= 1
        (tmp_path / "a").write_bytes(content.replace(one, other, 1))
        with pytest.raises(ValueError, match="not a readable weight file"):
            read_npz(tmp_path / "a", "weight file")


def members(path, change, **kwargs):
    """Write the file anew, with right checksums, after `change(contents of its members)`."""
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    change(contents)
    with zipfile.ZipFile(path, "w", **kwargs) as file:
        for name, content in contents.items():
            file.writestr(name, content)


def swap(contents):
    contents["V.npy"], contents["W.npy"] = contents["W.npy"], contents["V.npy"]


def other_order(contents):
    contents["W.npy"] = contents.pop("W.npy")


def a_member_less(contents):
    del contents["W.npy"]


def bytes_left_over(contents):
    contents["W.npy"] += b"\0"


def absurd_shape(contents):
    contents["W.npy"] = contents["W.npy"].replace(b"(2,)", b"(9" + b"9" * 17 + b",)")


def negative_shape(contents):
    contents["W.npy"] = contents["W.npy"].replace(b"(2,), }   ", b"(-1,-2), }")


def objects(contents):
    contents["W.npy"] = contents["W.npy"].replace(b"'<f8'", b"'|O' ")


def another_version(contents):
    contents["W.npy"] = contents["W.npy"].replace(b"NUMPY\1", b"NUMPY\7")


def no_array(contents):
    contents["W.npy"] = b"text"


def no_header(contents):
    del contents["header.json.npy"]


def a_list_as_header(contents):
    file = io.BytesIO()
    numpy.lib.format.write_array(file, numpy.frombuffer(b"[1]", numpy.uint8))
    contents["header.json.npy"] = file.getvalue()


BAD = {
    "swapped members": (swap, "its digest belongs to another content"),
    "another order": (other_order, "its digest"),
    "a member less": (a_member_less, "its digest"),
    "bytes left over": (bytes_left_over, "145 bytes are no array of float64"),
    "an absurd shape": (absurd_shape, "bytes are no array"),
    "a negative shape": (negative_shape, r"bytes are no array of float64 \(-1, -2\)"),
    "objects": (objects, "it holds objects"),
    "another version": (another_version, ""),
    "no array": (no_array, "magic string"),
    "no header": (no_header, "header.json"),
    "a list as header": (a_list_as_header, "its header is a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_members_that_are_not_ours_are_refused(case, tmp_path):
    change, problem = BAD[case]
    write(tmp_path / "a", HEADER, {"W": numpy.ones(2), "V": numpy.zeros(2)})
    members(tmp_path / "a", change)
    with pytest.raises(ValueError, match=rf"^not a readable weight file \(.*({problem})"):
        read_npz(tmp_path / "a", "weight file")


def test_compressed_files_are_refused_before_they_are_unpacked(tmp_path):
    write(tmp_path / "a", HEADER, {"W": numpy.zeros(10**6)})
    members(tmp_path / "a", lambda contents: None, compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a").stat().st_size < 20_000
    with pytest.raises(ValueError, match="it is compressed"):
        read_npz(tmp_path / "a", "weight file")


def test_members_that_overlap_are_refused(tmp_path):
    """Many entries for the same bytes unpack to more than the file is long."""
    content = write(tmp_path / "a", HEADER, {"Wa": numpy.zeros(10**4), "Wb": numpy.ones(1)})
    start = content.rindex(b"PK\1\2", 0, content.rindex(b"Wb.npy"))
    entry = content[content.index(b"PK\1\2") : start]
    end = content.rindex(b"PK\5\6")
    tail = bytearray(content[end:])
    directory = content[content.index(b"PK\1\2") : end] + entry.replace(b"Wa", b"Wc")
    tail[12:16] = len(directory).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(content[: content.index(b"PK\1\2")] + directory + tail)
    with pytest.raises(ValueError, match="its arrays are larger than the file"):
        read_npz(tmp_path / "a", "weight file")


def test_the_header_is_read_without_the_arrays(tmp_path):
    content = write(tmp_path / "a", HEADER, {"W": numpy.ones((100, 100))})
    (tmp_path / "a").write_bytes(content[:50_000] + b"X" + content[50_001:])  # in W
    assert read_npz_header(tmp_path / "a", "file") == HEADER
    with pytest.raises(ValueError, match=r"not a readable file \(Bad CRC"):
        read_npz(tmp_path / "a", "file")
    (tmp_path / "a").write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"not a readable file \("):
        read_npz_header(tmp_path / "a", "file")


@pytest.mark.parametrize(
    ("start", "answer"), [(b"PK\3\4", True), (b"\x80\4", False), (b"]q", False), (b"(lp0", False)]
)
def test_a_file_is_told_by_how_it_begins(tmp_path, start, answer):
    (tmp_path / "a").write_bytes(start)
    assert is_npz(tmp_path / "a", "weight file") is answer


@pytest.mark.parametrize("start", [b"QK\3\4", b"XX", b"hello", b"(hello)", b"[a]"])
def test_what_begins_like_nothing_known_is_named(tmp_path, start):
    (tmp_path / "a").write_bytes(start)
    with pytest.raises(ValueError, match=r"not a readable weight file \(it begins with b'"):
        is_npz(tmp_path / "a", "weight file")
