"""The networks are in timm's registry, whichever of the two is imported first."""

import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import timm

import models
from models import timm_hook, timm_registry

ROOT = Path(models.__file__).parents[1]

#: A package of timm's shape that says when its code runs; its first line may be made to fail.
STAND_IN = {"__init__": "from timm.models import create_model", "models": "create_model = None"}
HEAD = """
import sys
from models import timm_hook
registered = []
timm_hook._register = lambda: registered.append(hasattr(sys.modules["timm.models"], "create_model"))
"""


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


@pytest.fixture
def stand_in(tmp_path) -> Path:
    package = tmp_path / "timm"
    package.mkdir()
    for name, code in STAND_IN.items():
        (package / f"{name}.py").write_text(code + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "code",
    [
        "import timm",
        "import timm.models",
        "from timm import create_model",
        "from timm.models import create_model",
        "import threading; t = [threading.Thread(target=__import__, args=['timm']) for _ in '12']\n"
        "[x.start() for x in t]; [x.join() for x in t]",
        "import models, importlib; importlib.reload(models); import timm",
    ],
)
def test_registers_once_when_timm_comes_later(stand_in, code):
    assert run(f"{HEAD}\n{code}\nprint(registered)", stand_in) == "[True]\n"


@pytest.mark.parametrize("first", ["models", "roadmap", "roadmap.steps", "models.timm_registry"])
def test_registers_at_once_when_timm_is_there(stand_in, first):
    (stand_in / "timm" / "models.py").write_text(
        "create_model = generate_default_cfgs = register_model = PretrainedCfg = None\n"
        "asked = []\n"
        "is_model = lambda name: asked.append(name) or True\n"
    )
    code = f"import timm.models, {first}; print('roadmap_resnet50_gelu' in timm.models.asked)"
    assert run(code, stand_in) == "True\n"


def test_registers_after_timm_failed_at_first(stand_in):
    module = stand_in / "timm" / "models.py"
    module.write_text("raise ImportError('not yet')\n")
    code = f"""{HEAD}
import pathlib
try:
    import timm
except ImportError as error:
    print(error, registered)
pathlib.Path({str(module)!r}).write_text({STAND_IN["models"]!r})
import timm
print(registered)
"""
    assert run(code, stand_in, "-B") == "not yet []\n[True]\n"


def test_no_harm_without_timm(tmp_path):
    code = "import sys; sys.modules.update({'timm': None, 'timm.models': None}); import models"
    assert run(code, tmp_path) == ""


def test_importing_models_imports_neither_torch_nor_timm(tmp_path):
    code = "import models, roadmap, sys; print({'torch', 'timm'} & set(sys.modules))"
    assert run(code, tmp_path) == "set()\n"


def test_reloading_and_registering_again_change_nothing():
    names = timm.list_models("roadmap_*", include_tags=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # timm's for a name registered twice
        for module in (models, timm_hook, timm_registry, timm.models):
            importlib.reload(module)
        importlib.reload(models)
        timm_registry.register()
    assert timm.list_models("roadmap_*", include_tags=True) == names
    assert sum(type(finder).__name__ == "_AfterTimm" for finder in sys.meta_path) == 1


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
