"""A network as a Python file that only needs torch, written from the block specification.

The file contains only the classes and numbers that this network needs; its state dict,
initialization and logits equal those of ``ModernResNet``. Imports no torch.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from models import spec as layers
from models.config import ModelConfig
from models.source import parts
from models.source.layers import BlockClass, call, literal, norm, sequential

TEXT_WIDTH = 88
DOCUMENTED_SIZE = 224  # image size for the comments in the file
KINDS = {"stride": "stride: int = 1", "drop_path": "drop_path: list[float]"}
#: The file's ``initialize`` function; ``default`` needs none.
INITS = {
    "kaiming": parts.KAIMING_INIT,
    "trunc_normal": parts.TRUNC_NORMAL_INIT,
    "default": None,
}


def network_source(config: ModelConfig) -> str:
    """Return a Python file that builds the network of ``config``.

    Its ``Network()`` has the state dict keys and shapes of ``ModernResNet(config)``, the same
    logits with the same weights, and the same weights with the same random seed.
    """
    spec = layers.network_spec(config)
    block = BlockClass(spec)
    pieces = [
        _head_of_file(config, spec),
        *_small_classes(config, spec),
        block.source(),
        _stage_class(spec, block),
        _head_class(spec),
        _network_class(config, spec, block),
        *filter(None, [INITS[config.init]]),
        parts.MAIN.format(in_channels=config.in_channels),
    ]
    return "\n\n\n".join(piece.strip("\n") for piece in pieces) + "\n"


def _head_of_file(config: ModelConfig, spec: layers.NetworkSpec) -> str:
    """Return docstring and imports."""
    widths = [config.output_width(stage) for stage in range(len(config.depths))]
    about = (
        f"Stages of {_listed(config.depths)} blocks with {_listed(widths)} channels. Exported by "
        'Modernizing a ResNet, an explorer of "A ConvNet for the 2020s" (Liu et al. 2022), from '
        "this config:"
    )
    lines = [
        '"""A convolutional network between ResNet and ConvNeXt that only needs PyTorch.',
        "",
        *textwrap.wrap(about, TEXT_WIDTH),
        "",
        *textwrap.wrap(config.to_json(), TEXT_WIDTH),
        '"""',
        "",
        "from collections import OrderedDict",
        "",
        "import torch",
    ]
    if config.norm == "layer" or _has_narrow_conv(spec):
        lines.append("import torch.nn.functional as F")
    return "\n".join([*lines, "from torch import Tensor, nn"])


def _listed(numbers: Iterable[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _has_narrow_conv(spec: layers.NetworkSpec) -> bool:
    placed = layers.placed_layers(spec, DOCUMENTED_SIZE)
    return any(isinstance(p.layer, layers.Conv) and p.layer.narrow_strided for p in placed)


def _small_classes(config: ModelConfig, spec: layers.NetworkSpec) -> list[str]:
    """Return the classes that PyTorch lacks and this network uses."""
    classes = []
    if config.norm == "layer":
        classes.append(parts.LAYER_NORM)
    if _has_narrow_conv(spec):
        classes.append(parts.NARROW_CONV)
    branch = spec.stages[0].blocks[0].branch
    norms = {norm(layer, "")[0] for layer in branch if isinstance(layer, layers.Norm)}
    classes += map(parts.network_class, sorted(norms - {"nn.BatchNorm2d", "LayerNorm2d"}))
    if config.layer_scale is not None:
        classes.append(parts.LAYER_SCALE.format(init=literal(config.layer_scale)))
    if spec.stages[-1].blocks[-1].drop_path:
        classes.append(parts.DROP_PATH)
    return classes


def _stage_class(spec: layers.NetworkSpec, block: BlockClass) -> str:
    separate = any(stage.downsample for stage in spec.stages)
    about = "Downsampling, then blocks" if separate else "Blocks"
    parameters = [KINDS.get(name, f"{name}: int") for name in _stage_parameters(spec, block)]
    lines = [
        "class Stage(nn.Module):",
        f'    """{about} at one resolution."""',
        "",
        call("def __init__", ["self", *parameters], 4, ":"),
        "        super().__init__()",
    ]
    if separate:
        lines += _downsampling(spec, block)
    lines += [
        *_blocks(block),
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        f"        return self.blocks({'self.downsample(x)' if separate else 'x'})",
    ]
    return "\n".join(lines)


def _stage_parameters(spec: layers.NetworkSpec, block: BlockClass) -> list[str]:
    several = len(spec.stages) > 1
    channels = ["in_channels"] if several or not block.same_channels else []
    channels += ["out_channels"] + ([] if block.hidden else ["hidden"])
    return channels + ["drop_path" if block.drops else "depth"] + ["stride"] * several


def _downsampling(spec: layers.NetworkSpec, block: BlockClass) -> list[str]:
    columns = list(zip(*(stage.downsample for stage in spec.stages[1:]), strict=True))
    norm, conv = columns
    names = {
        "in_channels": [each.channels for each in norm],
        "out_channels": [each.out_channels for each in conv],
    }
    lines = [
        "        self.downsample = nn.Identity()",
        "        if stride != 1:",
        sequential("self.downsample", columns, names, 12).rstrip(),
    ]
    return lines + ["            in_channels = out_channels"] * (not block.same_channels)


def _blocks(block: BlockClass) -> list[str]:
    """Write a stage's blocks; the first may have other input channels and a stride."""
    hidden = [] if block.hidden else ["hidden"]
    each = "for rate in drop_path" if block.drops else "for _ in range(depth)"
    rate = ["drop_path=rate"] * block.drops
    if block.same_channels:
        made = f"Block({', '.join(['out_channels', *hidden, *rate])})"
        return [f"        self.blocks = nn.Sequential(*({made} {each}))"]
    first = ["in_channels", "out_channels", *hidden, *["stride"] * block.strided]
    first += ["drop_path=drop_path[0]"] * block.drops
    rest = ["out_channels", "out_channels", *hidden, *rate]
    each = "for rate in drop_path[1:]" if block.drops else "for _ in range(depth - 1)"
    return [
        call("first = Block", first, 8),
        f"        rest = (Block({', '.join(rest)}) {each})",
        "        self.blocks = nn.Sequential(first, *rest)",
    ]


def _head_class(spec: layers.NetworkSpec) -> str:
    words = ["Global average pooling"]
    made, last = [], "pooled"
    if spec.head_norm:
        name, arguments = norm(spec.head_norm, str(spec.num_features))
        made.append(call(f"self.norm = {name}", arguments, 8))
        last = "self.norm(pooled)"
        words.append("norm")
    last = f"{last}.flatten(1)"
    if spec.num_classes:
        made.append(f"        self.fc = nn.Linear({spec.num_features}, {spec.num_classes})")
        last = f"self.fc({last})"
        words.append("classifier")
    init = ["    def __init__(self):", "        super().__init__()", *made, ""] if made else []
    return "\n".join(
        [
            "class Head(nn.Module):",
            f'    """{", ".join(words)}."""',
            "",
            *init,
            "    def forward(self, x: Tensor) -> Tensor:",
            "        pooled = x.mean((2, 3), keepdim=True)",
            f"        return {last}",
        ]
    )


def _network_class(config: ModelConfig, spec: layers.NetworkSpec, block: BlockClass) -> str:
    output = (
        f"logits (N, {spec.num_classes})"
        if spec.num_classes
        else f"features (N, {spec.num_features})"
    )
    lines = [
        "class Network(nn.Module):",
        f'    """Takes images (N, {config.in_channels}, H, W) and returns {output}."""',
        "",
        "    def __init__(self):",
        "        super().__init__()",
        sequential("self.stem", [(layer,) for layer in spec.stem], {}).rstrip(),
    ]
    if block.drops:
        count = sum(config.depths)
        rate = literal(config.stochastic_depth)
        lines.append(f"        rates = [{rate} * block / {count - 1} for block in range({count})]")
    sizes = _sizes(spec)
    stages = [
        f"            Stage({', '.join(arguments)}),  # {size} x {size}"
        for arguments, size in zip(_stage_arguments(spec, block), sizes, strict=True)
    ]
    lines += [
        f"        # Output sizes for images of {DOCUMENTED_SIZE} x {DOCUMENTED_SIZE}.",
        "        self.stages = nn.Sequential(",
        *stages,
        "        )",
        "        self.head = Head()",
        *(["        self.apply(initialize)"] if INITS[config.init] else []),
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        "        return self.head(self.stages(self.stem(x)))",
    ]
    return "\n".join(lines)


def _stage_arguments(spec: layers.NetworkSpec, block: BlockClass) -> Iterator[list[str]]:
    """Return each stage's arguments."""
    several = "in_channels" in _stage_parameters(spec, block)
    before = 0
    for stage in spec.stages:
        convs = [x for x in stage.blocks[0].branch if isinstance(x, layers.Conv)]
        first = next(x for x in (*stage.downsample, *convs) if isinstance(x, layers.Conv))
        arguments = [str(first.in_channels)] * several + [str(convs[-1].out_channels)]
        if not block.hidden:
            arguments.append(str(convs[-1].in_channels))
        depth, after = len(stage.blocks), before + len(stage.blocks)
        arguments.append(f"rates[{before}:{after}]" if block.drops else f"depth={depth}")
        if stage is not spec.stages[0]:
            arguments.append("stride=2")
        before = after
        yield arguments


def _sizes(spec: layers.NetworkSpec) -> list[int]:
    """Return the side of each stage's output."""
    placed = layers.placed_layers(spec, DOCUMENTED_SIZE)
    after = {p.path.split(".")[1]: p.out_size for p in placed if p.path.startswith("stages")}
    return list(after.values())
