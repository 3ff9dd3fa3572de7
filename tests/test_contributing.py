"""The worked example is the code: each piece that its diff adds is in the file that it names."""

import re
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIFF = re.search(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]


def pieces():
    """Runs of added lines, with the file that they are added to."""
    path = ""
    for added, lines in groupby(DIFF.splitlines(), lambda line: re.match(r"\+(?!\+\+ )", line)):
        lines = list(lines)
        if added:
            yield path, "".join(f"{line[1:]}\n" for line in lines)
        else:
            path = next((line[6:] for line in lines if line.startswith("+++ b/")), path)


def test_every_piece_of_the_diff_is_in_the_code():
    found = list(pieces())
    assert len({path for path, _ in found}) == 7
    for path, text in found:
        assert text in (ROOT / path).read_text(), path


def test_it_is_short():
    assert sum(text.count("\n") for _, text in pieces()) < 40
