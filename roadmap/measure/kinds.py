"""A network's cost and layers by kind of layer, for comparing two configs. Imports no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import Activation, Conv, LayerScale, Norm, PlacedLayer, network_spec, placed_layers

#: Title of each kind of layer with multiply-adds, in network order.
KINDS = {
    "stem": "Stem",
    "downsample": "Separate downsampling",
    "shortcut": "Shortcuts",
    "spatial": "Spatial convolutions",
    "depthwise": "Depthwise convolutions",
    "pointwise": "1×1 convolutions",
    "classifier": "Classifier",
}


@dataclass(frozen=True)
class KindChange:
    """A kind's value in two configs."""

    kind: str
    before: int
    after: int

    @property
    def change(self) -> int:
        return self.after - self.before


def macs_by_kind(config: ModelConfig) -> dict[str, int]:
    """Return the multiply-adds per image of 224 pixels by kind (a key of ``KINDS``), without zeros.

    They add up to ``complexity.count``.
    """
    spec = network_spec(config)
    macs = Counter[str]()
    for placed in placed_layers(spec, 224):
        if isinstance(placed.layer, Conv):
            macs[_kind(placed, placed.layer)] += placed.macs
    macs["classifier"] = spec.classifier_macs
    return {kind: macs[kind] for kind in KINDS if macs[kind]}


def layers_by_kind(config: ModelConfig) -> dict[str, int]:
    """Return the number of layers that cost no multiply-adds, by kind.

    These are kinds of norms and activations, such as ``batch`` and ``relu``, and ``scale``.
    """
    spec = network_spec(config)
    layers = [*spec.stem, *([spec.head_norm] if spec.head_norm else [])]
    after = Counter[str]()
    for stage in spec.stages:
        layers += stage.downsample
        for block in stage.blocks:
            layers += (*block.shortcut, *block.branch)
            if block.activation:
                after[block.activation] += 1
    named = Counter(layer.kind for layer in layers if isinstance(layer, Norm | Activation))
    named["scale"] = sum(isinstance(layer, LayerScale) for layer in layers)
    return dict(named + after)


def parts(before: dict[str, int], after: dict[str, int]) -> list[KindChange]:
    """Return the kinds whose value differs, in order of ``before``, then of ``after``."""
    kinds = dict.fromkeys([*before, *after])
    found = [KindChange(kind, before.get(kind, 0), after.get(kind, 0)) for kind in kinds]
    return [part for part in found if part.change]


def _kind(placed: PlacedLayer, conv: Conv) -> str:
    place = placed.path.split(".")
    for kind in ("stem", "downsample", "shortcut"):
        if kind in place:
            return kind
    if conv.depthwise:
        return "depthwise"
    return "pointwise" if conv.kernel_size == 1 else "spatial"
