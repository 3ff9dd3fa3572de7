"""timm's own tests of its models, ``tests/test_models.py`` of its repository, on every name.

They are in no package: those of a checkout run, where ``TIMM_CHECKOUT`` names its folder, with the
checkout's timm.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
import timm

import models
import roadmap.timm_models  # noqa: F401 - the names below

ROOT = Path(models.__file__).parents[1]
CHECKOUT = os.environ.get("TIMM_CHECKOUT")
#: timm's own networks of both kinds: what fails for them is no fault of ours.
THEIRS = ("resnet50", "convnext_tiny")
#: Of its tests, those that a network of ours goes through.
LEAST = 11


def run_timms_tests(name: str, report: Path) -> dict[str, str]:
    """Each test that ran on the network ``name``, and how it failed, "" where it passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", CHECKOUT]
    command += ["-p", "no:cacheprovider", "-p", "timm_own_tests", "-W", "ignore"]
    process = subprocess.run(
        [*command, "--junitxml", str(report), "tests/test_models.py"],
        cwd=CHECKOUT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}", "TEST_NAMES": name},
        capture_output=True,
        text=True,
    )
    assert report.exists(), process.stdout + process.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is None:
            fault = case.find("failure")
            fault = case.find("error") if fault is None else fault
            found[case.get("name").partition("[")[0]] = (
                "" if fault is None else fault.get("message")
            )
    return found


@cache
def fail_in_timm() -> set[str]:
    with TemporaryDirectory() as folder:
        found = [run_timms_tests(name, Path(folder, f"{name}.xml")) for name in THEIRS]
    return {test for results in found for test, fault in results.items() if fault}


@pytest.mark.skipif(not CHECKOUT, reason="TIMM_CHECKOUT names no checkout of timm's repository")
@pytest.mark.parametrize("name", timm.list_models("roadmap_*"))
def test_timms_own_tests(name, tmp_path):
    found = run_timms_tests(name, tmp_path / f"{name}.xml")
    assert len(found) >= LEAST
    faults = {test: fault for test, fault in found.items() if fault}
    if faults:
        theirs = fail_in_timm()
        assert {test: fault for test, fault in faults.items() if test not in theirs} == {}
