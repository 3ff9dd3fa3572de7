"""The networks are in timm's registry from the import of ``roadmap.timm_models`` on."""

import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import timm

import roadmap.timm_models
from roadmap import timm_names as names
from roadmap.timm_models import registry

ROOT = Path(roadmap.__file__).parents[1]


def run(code: str, folder: Path, *options: str) -> str:
    process = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert not process.stderr, process.stderr
    return process.stdout


#: All commands take names by ``measure.networks``; registering imports no network.
COMMAND = """
import sys
import models, roadmap.cli, timm
from roadmap.measure.networks import build, check
print(len(timm.list_models("roadmap_*")), "roadmap.timm_models" in sys.modules)
check("timm:roadmap_resnet50_kernel_7")
print(len(timm.list_models("roadmap_*")) > 30, "models.network" in sys.modules)
print(build("timm:roadmap_resnet50_kernel_7", depths=[1], width=8).num_features)
"""


def test_a_command_registers_where_it_needs_the_names(tmp_path):
    assert run(COMMAND, tmp_path, "-W", "ignore") == "0 False\nTrue False\n8\n"


def test_every_size_and_step_is_there():
    found = set(timm.list_models("roadmap_*"))
    assert {"roadmap_convnext_tiny", "roadmap_resnet200_gelu"} <= found
    assert set(names.step_configs()) < found
    assert not [name for name in found if name.startswith("roadmap_torchvision_recipe")]


def test_reloading_and_registering_again_change_nothing():
    found = timm.list_models("roadmap_*", include_tags=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # timm's for a name registered twice
        for module in (registry, timm.models, roadmap.timm_models):
            importlib.reload(module)
        registry.register()
    assert timm.list_models("roadmap_*", include_tags=True) == found


#: A process as a DataLoader starts it: the pickle alone brings package, timm and registry.
UNPICKLE = """
import pickle, sys
network = pickle.load(open("network.pickle", "rb"))
import timm
print(type(network).__name__, len(timm.list_models("roadmap_*")) > 30)
print(timm.create_model("roadmap_resnet50_kernel_7", depths=[1], width=8).num_features)
"""


def test_a_pickled_network_brings_all_it_needs(tmp_path):
    network = timm.create_model("roadmap_resnet50_gelu", depths=[1], width=8)
    (tmp_path / "network.pickle").write_bytes(pickle.dumps(network))
    assert run(UNPICKLE, tmp_path, "-W", "ignore") == "TimmNetwork True\n8\n"
