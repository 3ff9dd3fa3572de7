"""The worked examples: the step is in the code, and the value is known wherever it is used."""

import re
import shutil
import sys
from itertools import groupby
from pathlib import Path

import pytest
from forked import forked_run

ROOT = Path(__file__).parents[1]
STEP, VALUE = re.findall(
    r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
)
#: What is made of SiLU: the network and its file, the same numbers, and its name in the pictures.
SILU = """
import torch
from models import VARIANTS, ModernResNet
from models.config import CHOICES
from models.source import network_source
from roadmap.drawing.diagrams import part_diagram
from roadmap.measure.training_memory import training_memory

print(CHOICES["activation"])
for variant in ("resnet50", "convnext_tiny"):
    gelu = VARIANTS[variant].replace(depths=(1, 1), width=8, activation="gelu", layer_scale=0.5)
    silu = gelu.replace(activation="silu")
    outputs = {}
    for config in (gelu, silu):
        space = {"__name__": "exported"}
        exec(network_source(config), space)
        for name, make in (("ours", lambda: ModernResNet(config)), ("file", space["Network"])):
            torch.manual_seed(0)
            network = make().eval()
            kinds = {type(module).__name__ for module in network.modules()}
            outputs[config.activation, name] = network(torch.ones(1, 3, 32, 32))
            print(variant, name, sorted(kinds & {"ReLU", "GELU", "SiLU"}))
    assert torch.allclose(outputs["silu", "ours"], outputs["silu", "file"], atol=1e-5)
    assert not torch.equal(outputs["silu", "ours"], outputs["gelu", "ours"])
    assert training_memory(silu, 32) == training_memory(gelu, 32)
    assert "SiLU" in part_diagram(gelu, silu, "stage1", 32).panels[1]
"""


def hunks(diff):
    """For each run of changed lines: file, what stands behind ``@@``, lines removed and added."""
    path = place = ""
    for changed, lines in groupby(
        diff.splitlines(), lambda line: bool(re.match(r"[+-](?![+-]{2} )", line))
    ):
        lines = list(lines)
        if changed:
            removed, added = (
                "".join(f"{line[1:]}\n" for line in lines if line[0] == sign) for sign in "-+"
            )
            yield path, place, removed, added
        else:
            path = next((line[6:] for line in lines if line.startswith("+++ b/")), path)
            place = next((line[2:].strip() for line in lines if line.startswith("@@")), place)


def test_every_piece_of_the_step_is_in_the_code():
    found = list(hunks(STEP))
    assert len({path for path, *_ in found}) == 7
    for path, _, removed, added in found:
        assert not removed
        assert added in (ROOT / path).read_text(encoding="utf-8"), path


def test_the_step_is_short():
    assert sum(added.count("\n") for *_, added in hunks(STEP)) < 40


@pytest.fixture
def with_the_value(tmp_path):
    """The code, changed by the diff of the value."""
    for package in ("models", "roadmap"):
        ignored = shutil.ignore_patterns("__pycache__", "_packaged")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    for path, place, removed, added in hunks(VALUE):
        text = (tmp_path / path).read_text(encoding="utf-8")
        if added in text:  # a contributor took the example itself
            continue
        before = removed or re.search(rf"^{place}\b.*\n", text, re.MULTILINE)[0]
        assert text.count(before) == 1, (path, place)
        text = text.replace(before, added if removed else before + added)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_value_is_in_the_network_and_in_the_exported_file(with_the_value):
    ran = forked_run([sys.executable, "-c", SILU], cwd=with_the_value)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "('relu', 'gelu', 'silu')",
        *(
            f"{variant} {name} ['{kind}']"
            for variant in ("resnet50", "convnext_tiny")
            for kind in ("GELU", "SiLU")
            for name in ("ours", "file")
        ),
    ]
