"""Small databases in the format of WordNet 3.0 (wndb(5WN)), for tests to read and to damage."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dataset import wordnet

Row = Sequence[str]  # name, lemmas, names of the hypernyms, gloss
HEADER = "  1 This is no copy of WordNet.  \n  2 WordNet 3.0 Copyright 2006 by its owner.  \n"
SMALL = [
    line.split("\t")
    for line in wordnet.SMALL.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def write_database(folder: Path, rows: Sequence[Row] = SMALL, header: str = HEADER) -> Path:
    """Write index.noun and data.noun into a folder, which is made -> the folder.

    Where a name has a higher number than its lemma has senses, the first synset stands for others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line(row, dict.fromkeys((name for name, *_ in rows), 0), 0) for row in rows]
    offsets, at = {}, len(header)
    for (name, *_), text in zip(rows, lines, strict=True):
        offsets[name] = at
        at += len(text)
    data = header + "".join(line(row, offsets, offsets[row[0]]) for row in rows)
    (folder / "data.noun").write_text(data, encoding="ascii", newline="\n")

    senses: defaultdict[str, list[int]] = defaultdict(list)
    for name, lemmas, *_ in rows:
        first, *others = lemmas.lower().split()
        missing = int(name.rpartition(".")[2]) - 1 - len(senses[first])
        senses[first] += [*[offsets[rows[0][0]]] * missing, offsets[name]]
        for lemma in others:
            senses[lemma].append(offsets[name])
    index = "".join(
        f"{lemma} n {len(found)} 2 @ ~ {len(found)} 0 {' '.join(f'{o:08}' for o in found)}  \n"
        for lemma, found in sorted(senses.items())
    )
    (folder / "index.noun").write_text(header + index, encoding="ascii", newline="\n")
    return folder


def line(row: Row, offsets: dict[str, int], at: int) -> str:
    """The line of a synset in data.noun; a hypernym that has no offset gets 99999999."""
    _, lemmas, hypernyms, gloss = row
    words = " ".join(f"{lemma} 0" for lemma in lemmas.split())
    above = [f"@ {offsets.get(name, 99999999):08} n 0000" for name in hypernyms.split()]
    pointers = " ".join([f"{len(above) + 1:03}", *above, "+ 00000001 v 0101"])
    return f'{at:08} 03 n {len(lemmas.split()):02x} {words} {pointers} | {gloss}; "an example"  \n'
