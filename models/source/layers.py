"""The layers of an exported file: lines of Python from columns of the specification.

A column is the layer at one position in all blocks (or stages) of a network. A number shared by all
of them is written out; a varying number becomes the variable with that value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from models import spec as layers

L = TypeVar("L", bound=layers.Layer)
WIDTH = 100  # of a line
Names = Mapping[str, Sequence[int]]
#: Norm classes whose default epsilon is the network's.
NORMS = {
    "batch": "nn.BatchNorm2d",
    "response": "ResponseNorm",
}
#: Class and arguments.
ACTIVATIONS = {
    "relu": ("nn.ReLU", ["inplace=True"]),
    "gelu": ("nn.GELU", []),
}


def call(name: str, arguments: Sequence[str], indent: int, end: str = "") -> str:
    """Write ``name(arguments)`` on one line, or one argument per line if it is too long."""
    space = " " * indent
    line = f"{space}{name}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return line
    inner = "".join(f"{space}    {argument},\n" for argument in arguments)
    return f"{space}{name}(\n{inner}{space}){end}"


def sequential(
    target: str, columns: Sequence[Sequence[layers.Layer]], names: Names, indent: int = 8
) -> str:
    """Assign ``target`` an ``nn.Sequential`` of named layers, one per column."""
    space = " " * indent
    inner = "".join(
        call(f"{column[0].name}={expression[0]}", expression[1], indent + 8, ",") + "\n"
        for column in columns
        for expression in [_expression(column, names)]
    )
    return (
        f"{space}{target} = nn.Sequential(\n{space}    OrderedDict(\n{inner}"
        f"{space}    )\n{space})\n"
    )


def norm(layer: layers.Norm, channels: str) -> tuple[str, list[str]]:
    """Return class and arguments of a norm over ``channels``."""
    if layer.kind == "layer":
        return "LayerNorm2d", [channels, f"eps={literal(layers.NORM_EPS['layer'])}"]
    return NORMS[layer.kind], [channels]


def literal(value: float) -> str:
    """Format ``value`` exactly, as people write it: ``1e-6``, not ``1e-06``."""
    return repr(value).replace("e-0", "e-")


def _expression(column: Sequence[layers.Layer], names: Names) -> tuple[str, list[str]]:
    """Return class and arguments of the layer in ``column``."""
    match column[0]:
        case layers.Conv():
            return _conv(_all_of(layers.Conv, column), names)
        case layers.Norm() as layer:
            channels = [each.channels for each in _all_of(layers.Norm, column)]
            return norm(layer, _number(channels, names))
        case layers.Activation() as layer:
            return ACTIVATIONS[layer.kind]
        case layers.MaxPool() as layer:
            sizes = [str(layer.kernel_size), f"stride={layer.stride}", f"padding={layer.padding}"]
            return "nn.MaxPool2d", sizes
        case layers.LayerScale():
            channels = [each.channels for each in _all_of(layers.LayerScale, column)]
            return "LayerScale", [_number(channels, names)]
    raise TypeError(f"no source for a {type(column[0]).__name__}")


def _all_of(kind: type[L], column: Sequence[layers.Layer]) -> list[L]:
    """Return the layers of ``column``, checked to be of class ``kind``."""
    if strangers := [each for each in column if not isinstance(each, kind)]:
        raise TypeError(f"{strangers[0]} is at a position where other blocks have {kind.__name__}")
    return [each for each in column if isinstance(each, kind)]


def _conv(column: Sequence[layers.Conv], names: Names) -> tuple[str, list[str]]:
    conv, strides = column[0], [each.stride for each in column]
    arguments = [
        _number([each.in_channels for each in column], names),
        _number([each.out_channels for each in column], names),
        str(conv.kernel_size),
    ]
    if max(strides) > 1:
        arguments.append(f"stride={strides[0] if len(set(strides)) == 1 else 'stride'}")
    if conv.padding:
        arguments.append(f"padding={conv.padding}")
    groups = [each.groups for each in column]
    if max(groups) > 1:
        arguments.append(f"groups={_number(groups, names)}")
    if not conv.bias:
        arguments.append("bias=False")
    narrow = any(each.narrow_strided for each in column)
    return "NarrowStridedConv" if narrow else "nn.Conv2d", arguments


def _number(values: Sequence[int], names: Names) -> str:
    for name, column in names.items():
        if list(column) == list(values):
            return name
    if len(set(values)) > 1:
        raise ValueError(f"no variable takes the values {values}")
    return str(values[0])


class BlockClass:
    """The ``Block`` class of a network, with the names of values that vary between blocks."""

    def __init__(self, spec: layers.NetworkSpec):
        self.blocks = [block for stage in spec.stages for block in stage.blocks]
        self.branch = list(zip(*(block.branch for block in self.blocks), strict=True))
        convs = [column for column in self.branch if isinstance(column[0], layers.Conv)]
        entering = [conv.in_channels for conv in convs[0]]
        hidden = [conv.in_channels for conv in convs[-1]]
        leaving = [conv.out_channels for conv in convs[-1]]
        self.same_channels = entering == leaving
        self.strided = any(conv.stride > 1 for column in convs for conv in column)
        self.drops = any(block.drop_path for block in self.blocks)
        self.out_name = "channels" if self.same_channels else "out_channels"
        self.hidden = _ratio(hidden, leaving, self.out_name)
        self.names = {"in_channels": entering, self.out_name: leaving, "hidden": hidden}
        if self.same_channels:
            del self.names["in_channels"]

    @property
    def parameters(self) -> list[str]:
        """Return the parameters of ``Block``, in order."""
        channels = [] if self.same_channels else ["in_channels"]
        channels += [self.out_name] + ([] if self.hidden else ["hidden"])
        return channels + ["stride"] * self.strided + ["drop_path"] * self.drops

    def source(self) -> str:
        """Return the class as Python code."""
        kinds = {"stride": "stride: int = 1", "drop_path": "drop_path: float = 0.0"}
        parameters = [kinds.get(name, f"{name}: int") for name in self.parameters]
        branch = sequential("self.branch", self.branch, self.names)
        lines = [
            "class Block(nn.Module):",
            f'    """{self._about()}"""',
            "",
            call("def __init__", ["self", *parameters], 4, ":"),
            "        super().__init__()",
        ]
        if self.hidden and "hidden" in branch:
            lines.append(f"        hidden = {self.hidden}")
        lines.append(branch.rstrip())
        lines += [*self._shortcut(), *self._rest(), "", *self._forward()]
        return "\n".join(lines)

    def _about(self) -> str:
        branch = self.blocks[0].branch
        convs = [layer for layer in branch if isinstance(layer, layers.Conv)]
        kinds = (f"{c.kernel_size}x{c.kernel_size}{' depthwise' * c.depthwise}" for c in convs)
        return f"Residual block: {', '.join(kinds)}."

    def _shortcut(self) -> list[str]:
        """Write the shortcut: a projection where the channels change (always where strided)."""
        projected = [block for block in self.blocks if block.shortcut]
        if not projected:
            return []
        columns = list(zip(*(block.shortcut for block in projected), strict=True))
        conv = columns[0]
        names = {
            "in_channels": [each.in_channels for each in conv],
            "out_channels": [each.out_channels for each in conv],
        }
        return [
            "        self.shortcut = nn.Identity()",
            "        if in_channels != out_channels:",
            sequential("self.shortcut", columns, names, 12).rstrip(),
        ]

    def _rest(self) -> list[str]:
        lines = ["        self.drop_path = DropPath(drop_path)"] * self.drops
        if after := self.blocks[0].activation:
            name, arguments = ACTIVATIONS[after]
            lines.append(call(f"self.activation = {name}", arguments, 8))
        return lines

    def _forward(self) -> list[str]:
        shortcut = "self.shortcut(x)" if any(block.shortcut for block in self.blocks) else "x"
        branch = "self.drop_path(self.branch(x))" if self.drops else "self.branch(x)"
        total = f"{shortcut} + {branch}"
        if self.blocks[0].activation:
            total = f"self.activation({total})"
        return ["    def forward(self, x: Tensor) -> Tensor:", f"        return {total}"]


def _ratio(hidden: list[int], leaving: list[int], name: str) -> str | None:
    """Express ``hidden`` by ``leaving``, the variable ``name``; None without a fixed ratio."""
    pairs = list(zip(hidden, leaving, strict=True))
    first, other = pairs[0]
    up, down = first // other, other // first if first else 0
    if up and all(mine == up * theirs for mine, theirs in pairs):
        return f"{up} * {name}" if up > 1 else name
    if down and all(theirs == down * mine for mine, theirs in pairs):
        return f"{name} // {down}"
    return None
