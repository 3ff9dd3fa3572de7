"""Layers one after the other: those of a residual branch, and the stages of a network."""

from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from models.kernels import casts
from models.kernels.depthwise import DepthwiseConv2d
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.lines import BY_POSITION, BY_ROWS, FullLine, Line, watched
from models.kernels.mlp.layer import added, applied, leading, sums
from models.kernels.pointwise import PointwiseConv2d, in_full_on_cuda, in_half_on_cuda
from models.kernels.tracing import exporting, plain

#: Layers that look for parameters that were cast together.
CASTING = (DepthwiseConv2d, LayerNorm2d, LayerScale, PointwiseConv2d)
#: Elements of the first stage's input from which the GPU limits a compiled network, in inference
#: and in training. Smaller networks leave 1x1 convolutions to PyTorch.
LARGE, LARGE_TRAINING = 1 << 24, 1 << 25


class Remembering(nn.Sequential):
    """``nn.Sequential`` that keeps something in ``remembered`` for its next call.

    As an attribute, it is freed with the network even if a layer's hook refers to the network.
    Copies and files do not have it.
    """

    remembered = cast(Any, None)  # an annotation would make it an attribute for TorchScript

    def __getstate__(self) -> dict[str, Any]:
        return {name: each for name, each in self.__dict__.items() if name != "remembered"}

    def _replicate_for_data_parallel(self) -> "Remembering":
        replica = super()._replicate_for_data_parallel()
        replica.remembered = None
        return replica  # type: ignore[no-any-return]


class Branch(Remembering):
    """``nn.Sequential`` that on CUDA runs layers together where that is faster.

    In channels_last and half precision, layers that treat positions one by one share one view
    (N, H, W, C), and two 1x1 convolutions with a GELU between them may run on kernels of this
    project. Eager inference calls a ``Line``. If a layer has hooks or a ``forward`` of its own, all
    are called one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition.
        if not torch.jit.is_scripting():
            if _together(x):
                return _in_half(self, x)
            line = _full_line(self, x) if _in_full(x) else None
            return _in_order(self, x) if line is None else line(x)
        for layer in self:
            x = layer(x)
        return x


class Stages(Remembering):
    """``nn.Sequential`` that, under autocast on CUDA, casts parameters together."""

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition.
        if not torch.jit.is_scripting():
            if _together(x) and casts.useful(x):
                return _cast_together(self, x)
            return _in_order(self, x)
        for stage in self:
            x = stage(x)
        return x

    def train(self, mode: bool = True) -> "Stages":
        self.remembered = None
        return super().train(mode)

    def _apply(self, *arguments: Any, **options: Any) -> "Stages":
        self.remembered = None  # parameters move
        return super()._apply(*arguments, **options)


def residual(x: Tensor, shortcut: Tensor, branch: nn.Module, drop_path: nn.Module) -> Tensor:
    """Return ``shortcut`` plus what ``branch``, and then ``drop_path``, return for ``x``.

    In inference on CUDA, one operator multiplies by a layer scale and adds, and in half precision
    a kernel also computes the 1x1 convolution before them, where that is faster.
    """
    if not torch.is_grad_enabled() and _real(x) and _alone(branch, drop_path):
        out = _summed(branch, x, shortcut)
        if out is not None:
            return out
    return shortcut + drop_path(branch(x))  # type: ignore[no-any-return]


def _alone(branch: nn.Module, drop_path: nn.Module) -> TypeGuard[Branch]:
    """Return whether nothing but the layers of ``branch`` acts on what is added."""
    kind = type(drop_path)
    dropped = kind is not nn.Identity and (kind.__name__ != "StochasticDepth" or drop_path.training)
    return type(branch) is Branch and not dropped and not watched((branch, drop_path))


def _summed(branch: Branch, x: Tensor, shortcut: Tensor) -> Tensor | None:
    """Return the sum, or None if the layers of ``branch`` do not run together."""
    if torch.compiler.is_compiling():
        layers = _layers(branch)
        if not _together(x) or watched(layers):
            return None
        return _run(layers, x, shortcut)
    line: Line | None = None
    if _together(x):
        line = _line(branch, x)
    elif _in_full(x):
        line = _full_line(branch, x)
    return None if line is None else line.added(x, shortcut)


def _cast_together(stages: Stages, x: Tensor) -> Tensor:
    dtype = torch.get_autocast_dtype("cuda")
    if torch.compiler.is_compiling():
        if not _cast_when_compiled(x):
            return _in_order(stages, x)
        # It casts in its own kernels what they read.
        wide = [layer for layer in stages.modules() if isinstance(layer, PointwiseConv2d)]
        together = casts.traced_together(wide, dtype)
    elif not plain(x):  # a mode's tensors must not be kept
        return _in_order(stages, x)
    else:
        parameters = stages.remembered
        if parameters is None or parameters.outdated:
            layers = [layer for layer in stages.modules() if isinstance(layer, CASTING)]
            parameters = stages.remembered = casts.Parameters(layers)
        together = casts.cast_together(parameters, dtype)
    with together:
        return _in_order(stages, x)


def _cast_when_compiled(x: Tensor) -> bool:
    """Return whether a compiled network whose first stage reads ``x`` casts together.

    In large inference, our kernels read what is cast; in large training, they read weights that
    include other factors. In small inference, torch.compile launches single casts as quickly.
    """
    if torch.is_grad_enabled():
        return x.numel() < LARGE_TRAINING
    return x.numel() >= LARGE


def _in_order(layers: nn.Sequential, x: Tensor) -> Tensor:
    for layer in _layers(layers):
        x = layer(x)
    return x


def _layers(layers: nn.Sequential) -> list[nn.Module]:
    """Return ``list(layers)``; torch 2.11 compiles this so that a call checks a branch at
    once, not part by part."""
    return list(layers._modules.values())  # type: ignore[arg-type]


def _in_half(branch: Branch, x: Tensor) -> Tensor:
    line = _line(branch, x)
    if line is not None:
        return line(x)
    layers = _layers(branch)
    return _in_order(branch, x) if watched(layers) else _run(layers, x)


def _line(branch: Branch, x: Tensor) -> Line | None:
    """Return the branch as a line if it is one now, in inference under autocast."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or (kept := casts.kept()) is None:
        return None
    line = kept.lines.get(branch)
    if line is not None and not line.current:
        kept.outdated = True
        line = kept.lines[branch] = _made(branch, kept)
    elif branch not in kept.lines:
        line = kept.lines[branch] = _made(branch, kept)
    fits = line is not None and x.dtype == kept.dtype and line.fits(x)
    return line if fits else None


def _made(branch: Branch, kept: casts.Kept) -> Line | None:
    def found(parameter: Tensor | None) -> Tensor | None:
        return None if parameter is None else kept[id(parameter)]

    try:
        with torch.inference_mode(False), torch.no_grad():
            return Line(branch, found)
    except KeyError:  # of another dtype
        return None


def _full_line(branch: Branch, x: Tensor) -> FullLine | None:
    line = branch.remembered
    if line is None or not line.current:
        line = branch.remembered = FullLine(branch)
    return line if line.fits(x) else None


def _together(x: Tensor) -> bool:
    return _real(x) and in_half_on_cuda(x) and _channels_last(x) and not exporting()


def _in_full(x: Tensor) -> bool:
    """Return whether ``x`` is computed in float32 on CUDA in inference, in eager mode."""
    return (
        _real(x)
        and in_full_on_cuda(x)
        and _channels_last(x)
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not exporting()
    )


def _real(x: Tensor) -> bool:
    return not isinstance(x, torch.fx.Proxy)


def _channels_last(x: Tensor) -> bool:
    """Return whether ``x`` is channels_last, which no transform of torch.func knows."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return False
    return x.is_contiguous(memory_format=torch.channels_last)


def _run(layers: list[nn.Module], x: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """Apply ``layers`` to ``x`` and add ``shortcut``, if it is given."""
    first = 0
    while first < len(layers):
        last = first
        while last < len(layers) and type(layers[last]) in BY_POSITION:
            last += 1
        if last > first:
            rows, ended = x.permute(0, 2, 3, 1), last == len(layers)
            to = shortcut.permute(0, 2, 3, 1) if ended and shortcut is not None else None
            x = _by_rows(layers[first:last], rows, to).permute(0, 3, 1, 2)
            if to is not None:
                return x
        else:
            last += 1
            x = layers[first](x)
        first = last
    return x if shortcut is None else shortcut + x


def _by_rows(layers: list[Any], rows: Tensor, shortcut: Tensor | None = None) -> Tensor:
    while layers:
        if shortcut is not None and sums(layers, rows, shortcut):
            return added(layers, rows, shortcut)
        if count := leading(layers, rows):
            rows, layers = applied(layers[:count], rows), layers[count:]
        else:
            layer, *layers = layers
            rows = layer.by_rows(rows) if type(layer) in BY_ROWS else layer(rows)
    if shortcut is None:
        return rows
    # Adds images, not rows: torch.compile gives a sum of one image's rows a batch stride of 0, and
    # PyTorch's depthwise convolution then does not see channels_last.
    images = shortcut.permute(0, 3, 1, 2) + rows.permute(0, 3, 1, 2)
    return images.permute(0, 2, 3, 1)
