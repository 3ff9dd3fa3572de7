"""Full-size networks with timm's ImageNet weights, for the steps that have them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.spec import network_spec
from models.variants import VARIANTS
from roadmap.tables.pocket import ROADMAP, shipped
from roadmap.views.picture.networks import Trained

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

#: The hub's name of a file in timm's repositories.
FILE = "model.safetensors"


@cache
def with_weights() -> dict[str, str]:
    """Return the titles of the steps that are one of timm's networks. Imports no timm.

    A step that repeats another one's network, with another recipe, is left out.
    """
    variants = {network_spec(config) for config in VARIANTS.values()}
    found, specs = {}, set()
    for key, title in shipped().items():
        spec = network_spec(ROADMAP.config(key))
        if spec in variants and spec not in specs:
            found[key] = title
            specs.add(spec)
    return found


class WeightsDownload(threading.Thread):
    """Downloads the weights of step ``key``, unless the hub's cache has them.

    ``share`` is the downloaded share, ``path`` the file at the end, ``problem`` one sentence if
    there is no file.
    """

    def __init__(self, key: str):
        super().__init__(daemon=True)
        self.key, self.share, self.path, self.problem = key, 0.0, "", ""

    def run(self) -> None:
        import huggingface_hub

        from roadmap.timm_models.weights import PretrainedWeights, WeightsError

        cfg = _cfg(self.key)
        try:
            with PretrainedWeights(_name(self.key), cfg).loading():
                self.path = huggingface_hub.hf_hub_download(
                    str(cfg.hf_hub_id), FILE, tqdm_class=_bar(self._progressed)
                )
        except WeightsError as error:
            said = str(error).partition(":")[0]
            self.problem = f"{said[:1].upper()}{said[1:]}. Showing the small networks instead."

    def _progressed(self, share: float) -> None:
        self.share = min(max(share, 0.0), 1.0)


def _bar(report: Callable[[float], None]) -> Any:
    """Return a class for the hub's ``tqdm_class`` that reports the share of a download."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any):
            self.all, self.done = options.get("total") or 0, options.get("initial") or 0
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.done += n or 0
            if self.all:
                report(self.done / self.all)
            return None

    return Bar


def read(key: str, path: str | Path) -> Trained:
    """Return the network of step ``key`` with the weights in ``path``, a file of timm's.

    Raises ``WeightsError`` if the file cannot be read or is of another network.
    """
    import timm
    from timm.data import ImageNetInfo

    from models.files import network_of

    cfg = _cfg(key)
    model = timm.create_model(
        _name(key), pretrained=True, pretrained_cfg_overlay={"file": str(path)}
    )
    described = ImageNetInfo().index_to_description
    return Trained(
        network_of(model.state_dict(), ROADMAP.config(key)).requires_grad_(False),
        cfg.input_size[-1],
        cfg.interpolation,
        tuple(described(index).split(",")[0] for index in range(cfg.num_classes)),
        f"ImageNet, {cfg.hf_hub_id}",
    )


def _name(key: str) -> str:
    return f"roadmap_{ROADMAP.name}_{key}"


def _cfg(key: str) -> PretrainedCfg:
    from timm.models import get_pretrained_cfg

    import roadmap.timm_models  # noqa: F401 - registers the names

    cfg = get_pretrained_cfg(_name(key))
    assert cfg is not None
    return cfg
