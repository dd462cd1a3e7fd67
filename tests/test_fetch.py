"""dataset/fetch.py against a web server of our own on 127.0.0.1; no other network is used."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset import fetch as module
from dataset.fetch import DamagedFileError, DataFile, find, read

CONTENT = bytes(range(256)) * 1200  # 307,200 bytes: several blocks
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def fetch(file):
    """The path of a whole copy, and what the loader reads is what is there."""
    content = read(file)
    path = find(file)
    assert content == path.read_bytes()
    return path


class Handler(BaseHTTPRequestHandler):
    """The first part of the path says how the mirror behaves; requests are remembered."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        behaviour = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.server.requests.append((behaviour, asked))
        if behaviour == "missing":
            self.send_error(404)
            return
        content = {
            "wrong": CONTENT[::-1],
            "endless": CONTENT[::-1] * 4,
            "page": b"<html>Log in first</html>",
        }.get(behaviour, CONTENT)
        start = 0
        if asked and behaviour != "plain":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if behaviour not in ("unsized", "endless"):
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with suppress(ConnectionError):  # the client need not read to the end
            self.wfile.write(content[start:HALF])
            if behaviour == "slow":
                time.sleep(0.3)
            elif behaviour == "stall":
                self.server.release.wait(600)
            if behaviour not in ("half", "stall"):
                self.wfile.write(content[max(start, HALF) :])


@pytest.fixture(scope="module")
def running_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(running_server):
    running_server.requests = []
    running_server.release = threading.Event()
    yield running_server
    running_server.release.set()


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The three places of the search, all empty and all ours."""
    folders = {name: tmp_path / name for name in ("named", "package", "cache")}
    folders["named"].mkdir()
    folders["package"].mkdir()
    monkeypatch.setenv("DLFS2_DATA", str(folders["named"]))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "PACKAGE_FOLDER", folders["package"])
    monkeypatch.setattr(module, "user_cache", lambda: folders["cache"])
    monkeypatch.setattr(module, "TIMEOUT", 5.0)
    return folders


@pytest.fixture
def published(server):
    """published("plain", "ranged"): the file with these mirrors, in this order."""

    def published(*behaviours):
        root = f"http://127.0.0.1:{server.server_port}"
        urls = tuple(f"{root}/{behaviour}/data.txt" for behaviour in behaviours)
        return DataFile("data.txt", len(CONTENT), SHA256, urls)

    return published


def left_in(folder):
    """File names in the folder, without the lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


# Finding


@pytest.mark.parametrize("place", ["named", "package", "cache"])
def test_a_file_is_found_in_each_place_without_a_request(places, published, server, place):
    places[place].mkdir(exist_ok=True)
    (places[place] / "data.txt").write_bytes(CONTENT)
    assert fetch(published("ranged")) == places[place] / "data.txt"
    assert server.requests == []


def test_the_named_folder_comes_first_then_the_package_then_the_cache(places, published):
    found = []
    places["cache"].mkdir()
    for place in ("cache", "package", "named"):
        (places[place] / "data.txt").write_bytes(CONTENT)
        found.append(fetch(published()).parent)
    assert found == [places["cache"], places["package"], places["named"]]


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_named_folder_the_other_two_are_searched(places, published, monkeypatch, value):
    if value is None:
        monkeypatch.delenv("DLFS2_DATA")
    else:
        monkeypatch.setenv("DLFS2_DATA", value)
    assert module.folders() == [places["package"], places["cache"]]


@pytest.mark.parametrize("value", ["typo", r"C:\data\ptb", '"data"', " "])
def test_a_named_folder_that_does_not_exist_is_an_error_that_says_where(
    published, monkeypatch, tmp_path, value
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLFS2_DATA", value)
    with pytest.raises(FileNotFoundError) as caught:
        fetch(published("ranged"))
    problem = f"DLFS2_DATA is {value!r}, which is not a folder: {Path(value).absolute()} does not"
    assert str(caught.value).startswith(problem)


def test_a_named_folder_that_is_a_file_is_an_error(published, monkeypatch, tmp_path):
    (tmp_path / "data.txt").write_bytes(CONTENT)
    monkeypatch.setenv("DLFS2_DATA", str(tmp_path / "data.txt"))
    with pytest.raises(FileNotFoundError, match=r"not a folder: .*data\.txt is a file"):
        fetch(published("ranged"))


def test_a_named_folder_may_begin_at_home_and_end_with_a_slash(
    places, published, monkeypatch, tmp_path
):
    (places["named"] / "data.txt").write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for value in "~/named", "~/named/", f"{places['named']}/":
        monkeypatch.setenv("DLFS2_DATA", value)
        assert fetch(published()) == places["named"] / "data.txt"


def test_the_home_of_nobody_is_the_name_of_a_folder(published, monkeypatch):
    monkeypatch.setenv("DLFS2_DATA", "~no such user")
    with pytest.raises(FileNotFoundError, match=r"~no such user does not exist"):
        fetch(published("ranged"))


@pytest.mark.parametrize("place", ["named", "package", "cache"])
def test_a_truncated_file_is_refused_wherever_it_lies(places, published, server, place):
    bad = places[place] / "data.txt"
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(CONTENT[:-7])
    with pytest.raises(DamagedFileError) as caught:
        fetch(published("ranged"))
    message = str(caught.value)
    for part in (str(bad), SHA256, hashlib.sha256(CONTENT[:-7]).hexdigest(), "7 bytes short"):
        assert part in message
    assert server.requests == []
    assert bad.read_bytes() == CONTENT[:-7]  # it is the user's file: not deleted


def test_a_damaged_file_is_not_passed_over_for_a_whole_one_further_on(places, published):
    (places["named"] / "data.txt").write_bytes(CONTENT[:-7])
    (places["package"] / "data.txt").write_bytes(CONTENT)
    with pytest.raises(DamagedFileError, match="named"):
        fetch(published("ranged"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(where=st.integers(0, len(CONTENT) - 1), change=st.integers(1, 255))
def test_one_altered_byte_is_enough_to_be_refused(places, published, where, change):
    altered = bytearray(CONTENT)
    altered[where] ^= change
    (places["named"] / "data.txt").write_bytes(altered)
    with pytest.raises(DamagedFileError, match="altered"):
        fetch(published("ranged"))


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/dlfs2"),
        ("linux", {}, "/home/ann/.cache/dlfs2"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/ann/.cache/dlfs2"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "/home/ann/.cache/dlfs2"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/ann/Library/Caches/dlfs2"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/dlfs2"),
        ("win32", {}, "/home/ann/AppData/Local/dlfs2"),
    ],
)
def test_the_cache_is_where_each_system_keeps_caches(monkeypatch, platform, variables, expected):
    monkeypatch.undo()  # the real user_cache
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    monkeypatch.setattr(sys, "platform", platform)
    assert module.user_cache() == Path(expected)


# Downloading


@pytest.mark.parametrize("behaviour", ["ranged", "plain", "unsized"])
def test_a_download_ends_in_the_cache_with_nothing_beside_it(places, published, behaviour):
    path = fetch(published(behaviour))
    assert path == places["cache"] / "data.txt"
    assert path.read_bytes() == CONTENT
    assert left_in(places["cache"]) == ["data.txt"]


def test_the_second_call_needs_no_request(published, server):
    fetch(published("ranged"))
    fetch(published("ranged"))
    assert server.requests == [("ranged", None)]


def test_the_next_mirror_continues_where_the_first_broke_off(published, server):
    assert fetch(published("half", "ranged")).read_bytes() == CONTENT
    assert server.requests == [("half", None), ("ranged", f"bytes={HALF}-")]


def test_the_next_call_continues_where_the_last_broke_off(places, published, server):
    with pytest.raises(FileNotFoundError, match=f"closed after {HALF} of {len(CONTENT)} bytes"):
        fetch(published("half"))
    assert left_in(places["cache"]) == [f"{SHA256}.part"]
    assert fetch(published("ranged")).read_bytes() == CONTENT
    assert server.requests[-1] == ("ranged", f"bytes={HALF}-")
    assert left_in(places["cache"]) == ["data.txt"]


def test_a_server_without_ranges_starts_anew(published, server):
    assert fetch(published("half", "plain")).read_bytes() == CONTENT
    assert server.requests[-1] == ("plain", f"bytes={HALF}-")


@pytest.mark.parametrize("junk", [b"junk", CONTENT[:-1] + b"!", CONTENT + b"more", b""])
def test_a_wrong_part_from_before_does_not_spoil_a_good_mirror(places, published, junk):
    places["cache"].mkdir()
    (places["cache"] / f"{SHA256}.part").write_bytes(junk)
    assert fetch(published("ranged")).read_bytes() == CONTENT
    assert left_in(places["cache"]) == ["data.txt"]


def test_a_part_that_is_whole_already_needs_no_request(places, published, server):
    places["cache"].mkdir()
    (places["cache"] / f"{SHA256}.part").write_bytes(CONTENT)
    assert fetch(published("ranged")).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("first", ["wrong", "missing", "page", "endless"])
def test_a_mirror_that_fails_is_followed_by_the_next(places, published, server, first):
    assert fetch(published(first, "ranged")).read_bytes() == CONTENT
    assert [behaviour for behaviour, _ in server.requests] == [first, "ranged"]
    assert left_in(places["cache"]) == ["data.txt"]


def test_wrong_content_is_deleted_at_once(places, published):
    with pytest.raises(FileNotFoundError, match=hashlib.sha256(CONTENT[::-1]).hexdigest()):
        fetch(published("wrong"))
    assert left_in(places["cache"]) == []


def test_a_mirror_that_falls_silent_is_given_up_after_the_timeout(published, server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    assert fetch(published("stall", "ranged")).read_bytes() == CONTENT
    assert not server.release.is_set()  # the first one is silent still


def test_the_error_offline_says_everything_one_needs(places, published):
    file = published("missing")._replace(
        urls=("http://127.0.0.1:1/closed", *published("missing").urls)  # nobody listens on port 1
    )
    with pytest.raises(FileNotFoundError) as caught:
        fetch(file)
    message = str(caught.value)
    for part in (
        "data.txt was not found",
        SHA256,
        str(len(CONTENT)),
        *map(str, places.values()),
        *file.urls,
        "refused",
        "404",
        "DLFS2_DATA",
        "--corpus grammar",
        "--corpus FILE",
    ):
        assert part in message


def test_a_cache_that_cannot_be_made_is_part_of_the_error(places, published):
    places["cache"].write_text("a file where the folder should be")
    with pytest.raises(FileNotFoundError, match=r"failed .*cache: .*File exists"):
        fetch(published("ranged"))


# Several processes

PROGRAM = """
import sys
from pathlib import Path
from dataset import fetch
folder, url, name, size, digest = sys.argv[1:]
fetch.PACKAGE_FOLDER = Path(folder) / "package"
fetch.user_cache = lambda: Path(folder) / "cache"
file = fetch.DataFile(name, int(size), digest, (url,))
fetch.read(file)
print(fetch.find(file))
"""


def start_process(file, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
    arguments = [str(folder), file.urls[0], file.name, str(file.size), file.sha256]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def test_two_processes_at_once_download_once(places, published, server, tmp_path):
    processes = [start_process(published("slow"), tmp_path) for _ in range(2)]
    answers = [process.communicate(timeout=600)[0].strip() for process in processes]
    file = str(places["cache"] / "data.txt")
    assert sorted(answers, key=len) == [file, f"data.txt was downloaded, once: {file}\n{file}"]
    assert server.requests == [("slow", None)]


def test_a_call_waits_while_another_one_downloads(places, published, server):
    places["cache"].mkdir()
    found = []
    waiting = threading.Thread(target=lambda: found.append(fetch(published("ranged"))))
    with module._alone(places["cache"] / f"{SHA256}.lock"):
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        (places["cache"] / "data.txt").write_bytes(CONTENT)  # the other one is done
    waiting.join(10)
    assert found == [places["cache"] / "data.txt"]
    assert server.requests == []


def test_a_killed_download_is_continued(places, published, server, tmp_path):
    process = start_process(published("stall"), tmp_path)
    partial = places["cache"] / f"{SHA256}.part"
    deadline = time.monotonic() + 600
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    have = partial.stat().st_size
    assert 0 < have <= HALF
    assert fetch(published("ranged")).read_bytes() == CONTENT
    assert server.requests[-1] == ("ranged", f"bytes={have}-")
