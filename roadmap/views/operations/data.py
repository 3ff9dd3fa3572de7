"""What each operation shows, computed from the block specification. Imports no torch.

Each function takes the config before and after a step and returns JSON types. Toy tensors are
fixed; every cost is that of a real layer, so a drawing cannot disagree with the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from models.config import WIDTHS, ModelConfig
from models.spec import (
    Activation,
    Conv,
    MaxPool,
    Norm,
    block_spec,
    network_spec,
    place_layers,
    placed_layers,
)
from roadmap.drawing.words import ACTIVATIONS, NORMS, label
from roadmap.measure.complexity import ModuleCost, count
from roadmap.measure.kinds import layers_by_kind
from roadmap.measure.receptive_field import receptive_fields
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError, read_rows

Data = dict[str, Any]
IMAGE = 224
#: The toy tensor: channels, height and width, kernel size.
CHANNELS, SIDE, KERNEL = 4, 6, 3
#: The widths of a block's middle relative to its ends.
RATIOS = (1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0, 4 / 3, 2.0, 8 / 3, 4.0)
KERNELS = (3, 5, 7, 9, 11)
#: The inputs at which the activations are drawn.
INPUTS = tuple(place / 10 for place in range(-40, 41))
GAINS = tuple(place / 4 for place in range(1, 13))


def _toy(channel: int, row: int, column: int) -> int:
    """Return a value of the toy tensor, from 0 to 4."""
    return ((row + 2 * channel) * (column + channel + 1) + row // 2 + column) % 5


def _weight(out: int, channel: int, row: int, column: int) -> int:
    """Return a weight of the toy convolution, from -1 to 2."""
    return (3 * out + channel + row * (out + 2) + column * (channel + 1)) % 4 - 1


def convolution(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe a convolution of 4 channels with 1, 2 and 4 groups, and the same at full size."""
    channels, places = range(CHANNELS), range(KERNEL)
    spatial, size = _spatial(after)
    real = spatial.in_channels
    # The one whose groups are compared: the kernel size is that of the step before.
    full = Conv("conv", real, real, before.kernel_size)
    kinds = {"Standard": 1, "Grouped": 2, "Depthwise": CHANNELS}
    return {
        "input": [
            [[_toy(c, row, column) for column in range(SIDE)] for row in range(SIDE)]
            for c in channels
        ],
        "weights": [
            [
                [[_weight(o, c, row, column) for column in places] for row in places]
                for c in channels
            ]
            for o in channels
        ],
        "mix": [[(2 * o + c) % 3 - 1 + (o == c) for c in channels] for o in channels],
        "kinds": [
            {
                "name": name,
                "groups": groups,
                "macs": Conv("conv", CHANNELS, CHANNELS, KERNEL, groups=groups).macs(1),
                "full": replace(full, groups=_full_groups(groups, real)).macs(size),
                "full_groups": _full_groups(groups, real),
            }
            for name, groups in kinds.items()
        ],
        "mix_macs": Conv("mix", CHANNELS, CHANNELS, 1).macs(1),
        "full": {
            "channels": real,
            "size": size,
            "kernel": full.kernel_size,
            "mix": Conv("mix", real, real, 1).macs(size),
        },
    }


def _full_groups(groups: int, channels: int) -> int:
    """Return the groups at full size: 1, 2 or one per channel."""
    return channels if groups == CHANNELS else groups


def _spatial(config: ModelConfig) -> tuple[Conv, int]:
    """Return the spatial convolution of the first stage's repeated block and its output size."""
    name = "conv1" if config.depthwise_position == "first" else "conv2"
    path = f"stages.0.blocks.{config.depths[0] - 1}.branch.{name}"
    placed = next(p for p in placed_layers(network_spec(config), IMAGE) if p.path == path)
    assert isinstance(placed.layer, Conv)
    return placed.layer, placed.out_size


def bottleneck(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe blocks whose middle is 1/4 to 4 times as wide as their ends.

    The wide part keeps its width, as in the paper: 4 times ``width``.
    """
    _, size = _spatial(after)
    wide = max(WIDTHS[after.block]) * after.width
    rows = []
    for ratio in RATIOS:
        ends, middle = (wide, round(wide * ratio)) if ratio <= 1 else (round(wide / ratio), wide)
        convs = (
            Conv("conv1", ends, middle, 1),
            Conv("conv2", middle, middle, after.kernel_size, groups=middle),
            Conv("conv3", middle, ends, 1),
        )
        rows.append(
            {
                "ratio": _fraction(ratio),
                "ends": ends,
                "middle": middle,
                "macs": [conv.macs(size) for conv in convs],
                "params": sum(conv.parameters for conv in convs),
                "shortcut": ends * size**2,
            }
        )
    start = RATIOS.index(WIDTHS[before.block][0] / WIDTHS[before.block][1])
    end = RATIOS.index(WIDTHS[after.block][0] / WIDTHS[after.block][1])
    names = ("1×1", f"depthwise {after.kernel_size}×{after.kernel_size}", "1×1")
    return {"rows": rows, "size": size, "before": start, "after": end, "layers": names}


def _fraction(ratio: float) -> str:
    for below in range(1, 9):
        if abs(ratio * below - round(ratio * below)) < 1e-9:
            return str(round(ratio)) if below == 1 else f"{round(ratio * below)}/{below}"
    return f"{ratio:.2f}"


def kernel(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe the step's block with kernel sizes 3 to 11: costs, and both receptive fields."""
    measured = _measured_fields()
    rows = []
    for size in sorted({*KERNELS, before.kernel_size, after.kernel_size}):
        config = after.replace(kernel_size=size)
        entering = config.output_width(0)
        _, out = _spatial(config)
        layers = place_layers(block_spec(config, 0, entering).branch, "", out)
        convs = [(p.layer, p.macs) for p in layers if isinstance(p.layer, Conv)]
        rows.append(
            {
                "size": size,
                "layers": [
                    {
                        "name": f"{'depthwise ' * c.depthwise}{c.kernel_size}×{c.kernel_size}",
                        "kind": "depthwise" if c.depthwise else "1x1",
                        "macs": macs,
                    }
                    for c, macs in convs
                ],
                "network": count(config, IMAGE).macs,
                "fields": [
                    {"part": f.part, "size": f.size, "stride": f.stride}
                    for f in receptive_fields(config)
                ],
                "effective": measured.get(config),
            }
        )
    sizes = [row["size"] for row in rows]
    return {
        "rows": rows,
        "before": sizes.index(before.kernel_size),
        "after": sizes.index(after.kernel_size),
        "image": IMAGE,
    }


def _measured_fields() -> dict[ModelConfig, dict[str, int]]:
    """Return the measured sides, and the number and size of the images, by config."""
    try:
        rows = read_rows("measured/effective_fields")
    except ResultsError:
        return {}
    sides = {}
    for row in rows:
        if row["roadmap"] in ROADMAPS and row["step"] in ROADMAPS[row["roadmap"]].keys:
            config = ROADMAPS[row["roadmap"]].config(row["step"])
            found = {key[5:]: int(row[key]) for key in row if key.startswith("side_")}
            sides[config] = found | {key: int(row[key]) for key in ("images", "image_size")}
    return sides


def norm(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe a toy batch, and the norms of both networks."""
    images, channels, side = 3, 4, 3
    values = [
        [
            [[_toy(c, r + 2 * n, k + n) + 2 * (c == 1) for k in range(side)] for r in range(side)]
            for c in range(channels)
        ]
        for n in range(images)
    ]
    return {
        "values": values,
        "start": after.norm,
        "kinds": {kind: label(NORMS[kind]) for kind in ("batch", "layer")},
        "norms": [_layers_of(config, Norm) for config in (before, after)],
    }


def _layers_of(config: ModelConfig, kind: type) -> dict[str, Any]:
    """Return how many layers of ``kind`` a repeated block and the whole network have."""
    repeated = network_spec(config).stages[0].blocks[-1]
    after = kind is Activation
    layers = layers_by_kind(config)
    total = sum(layers.get(name, 0) for name in (ACTIVATIONS if after else NORMS))
    names = [_word(layer) for layer in repeated.branch]
    marks = [isinstance(layer, kind) for layer in repeated.branch]
    names.append("+")
    marks.append(False)
    if repeated.activation:
        names.append(ACTIVATIONS[repeated.activation])
        marks.append(after)
    return {"block": sum(marks), "network": total, "names": names, "marks": marks}


def _word(layer: Any) -> str:
    if isinstance(layer, Conv):
        return f"{'d' * layer.depthwise}{layer.kernel_size}×{layer.kernel_size}"
    if isinstance(layer, Norm):
        return NORMS[layer.kind]
    if isinstance(layer, Activation):
        return ACTIVATIONS[layer.kind]
    return "scale"


def activation(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe ReLU and GELU as tables of value and slope, and where the networks have them."""
    return {
        "inputs": INPUTS,
        "relu": [(max(x, 0.0), float(x > 0)) for x in INPUTS],
        "gelu": [_gelu(x) for x in INPUTS],
        "start": after.activation,
        "blocks": [_layers_of(config, Activation) for config in (before, after)],
    }


def _gelu(x: float) -> tuple[float, float]:
    """Return the exact GELU at ``x`` and its slope."""
    below = (1 + math.erf(x / math.sqrt(2))) / 2
    return x * below, below + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def stem(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe the windows and costs of both stems."""
    stems = []
    for config in dict.fromkeys((before, after)):
        layers = list(place_layers(network_spec(config).stem, "stem", IMAGE))
        field = receptive_fields(config)[0]
        windows = [p.layer for p in layers if isinstance(p.layer, Conv | MaxPool)]
        words = [f"{w.kernel_size}×{w.kernel_size} stride {w.stride}" for w in windows]
        kinds = ["max pooling" if isinstance(w, MaxPool) else "convolution" for w in windows]
        stems.append(
            {
                "name": config.stem,
                "layers": [f"{kind} {word}" for kind, word in zip(kinds, words, strict=True)],
                "size": field.size,
                "stride": field.stride,
                "out": layers[-1].out_size,
                "channels": config.width,
                "macs": sum(p.macs for p in layers),
                "params": sum(p.layer.parameters for p in layers),
            }
        )
    return {"stems": stems, "image": IMAGE}


def stages(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe what each stage's first and every other block cost, and the depths of both."""
    # Two blocks in each stage tell the cost of any depth.
    two = after.replace(depths=(2,) * len(after.depths))
    counted = count(two, IMAGE).modules
    parts = []
    for number in range(len(after.depths)):
        path = f"stages.{number}"
        stage = [module for module in counted if module.path.startswith(f"{path}.")]
        other = [module for module in stage if module.path.startswith(f"{path}.blocks.1.")]
        parts.append(
            {
                "first": _cost([module for module in stage if module not in other]),
                "other": _cost(other),
                "size": other[-1].out_size,
                "channels": after.output_width(number),
            }
        )
    outside = [module for module in counted if not module.path.startswith("stages.")]
    return {
        "parts": parts,
        "outside": _cost(outside),
        "before": before.depths,
        "after": after.depths,
        "most": sum(max(before.depths, after.depths, key=sum)),
    }


def _cost(modules: list[ModuleCost]) -> list[int]:
    """Return multiply-adds and parameters."""
    return [sum(m.macs for m in modules), sum(m.parameters for m in modules)]


def downsampling(before: ModelConfig, after: ModelConfig) -> Data:
    """Describe the places where the resolution changes, and the blocks between them."""
    spec = network_spec(after)
    return {
        "depths": after.depths,
        "layers": [[_word(layer) for layer in stage.downsample] for stage in spec.stages],
        "in_block": [
            [_word(layer) for layer in stage.blocks[0].branch]
            for stage in network_spec(before).stages
        ],
        "gains": GAINS,
        "norms": sum(isinstance(la, Norm) for s in spec.stages for la in s.downsample)
        + sum(isinstance(la, Norm) for la in spec.stem)
        + bool(spec.head_norm),
    }


#: Each operation: its name, one sentence, and its data.
OPERATIONS: dict[str, tuple[str, str, Callable[[ModelConfig, ModelConfig], Data]]] = {
    "stages": (
        "Blocks per stage",
        "Move blocks from stage to stage and watch where the computation goes.",
        stages,
    ),
    "stem": (
        "Stem",
        "Slide the stem's window over a picture: do neighboring windows overlap?",
        stem,
    ),
    "convolution": (
        "Standard, grouped, depthwise",
        "Slide the kernels over the channels and cut the wires between channels.",
        convolution,
    ),
    "bottleneck": (
        "Inverted bottleneck",
        "Drag the handle: the middle grows from a quarter of the ends to four times their width.",
        bottleneck,
    ),
    "kernel": (
        "Kernel size",
        "Grow the window and compare what it sees with what it costs.",
        kernel,
    ),
    "activation": (
        "ReLU and GELU",
        "Move along the curve and compare value and slope.",
        activation,
    ),
    "norm": (
        "Batch norm and layer norm",
        "Choose a value: which values share its mean and variance?",
        norm,
    ),
    "downsampling": (
        "Separate downsampling",
        "Change what each downsampling convolution multiplies the signal by, with and without "
        "norms.",
        downsampling,
    ),
}
#: The operation that shows a change of a config field.
SHOWN_BY = {
    "depths": "stages",
    "stem": "stem",
    "depthwise": "convolution",
    "groups": "convolution",
    "block": "bottleneck",
    "depthwise_position": "kernel",
    "kernel_size": "kernel",
    "activation": "activation",
    "activations_per_block": "activation",
    "norm": "norm",
    "norms_per_block": "norm",
    "downsampling": "downsampling",
}


def brought(before: ModelConfig | None, after: ModelConfig) -> list[str]:
    """Return the operations that a step's changes bring; ``before`` is None for the first step."""
    if before is None:
        return []
    changed = [field for field in SHOWN_BY if getattr(before, field) != getattr(after, field)]
    return list(dict.fromkeys(SHOWN_BY[field] for field in changed))
