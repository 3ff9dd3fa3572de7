"""A pytest plugin: timm's own tests of its models, on the networks of ``TEST_NAMES`` instead.

What downloads weights is left out, and what is about other networks.
"""

import os

import pytest
import timm

import roadmap.timm_models  # noqa: F401 - names of ours

NAMES = os.environ["TEST_NAMES"].split(",")
_all_of_them = timm.list_models


def _list_models(family: str | list[str] = "", *_, pretrained: bool = False, **options):
    if family or options.pop("filter", "") or pretrained:  # others, or weights from the hub
        return []
    options.pop("module", None)  # timm's modules, by their names
    found = _all_of_them(**options)
    return [name for name in found if name.partition(".")[0] in NAMES]


timm.list_models = _list_models
timm.list_pretrained = lambda *_, **__: []


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    """Puts our names in the place of those that a test names itself."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names, values = mark.args
        if (
            names == "model_name"
            and values
            and not {v.partition(".")[0] for v in values} <= {*NAMES}
        ):
            values[:] = NAMES


def pytest_collection_modifyitems(items):
    items[:] = [
        item for item in items if hasattr(item, "callspec") and "model_name" in item.callspec.params
    ]
