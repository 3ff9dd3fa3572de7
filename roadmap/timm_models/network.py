"""``TimmNetwork``: ``ModernResNet`` with the methods that timm's tools call.

Annotations are types here, not strings, as in ``models.network``.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from timm.layers import SelectAdaptivePool2d
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from models.config import ConfigError, ModelConfig
from models.kernels.branch import Stages
from models.network import INITS, Head, ModernResNet, Stage
from models.spec import Activation, network_spec
from models.text import said

#: timm's kinds of global pooling that keep the number of features.
POOLINGS = ("avg", "fast", "max", "avgmax", "")


class TimmStage(nn.Module):
    """``Stage`` with optional gradient checkpointing.

    With ``grad_checkpointing``, only each block's input is saved for the backward pass.
    """

    def __init__(self, stage: Stage):
        super().__init__()
        self.downsample = stage.downsample
        self.blocks = stage.blocks
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpoint_seq(self.blocks, x)
        return self.blocks(x)


class MeanPool(nn.Module):
    """Average pooling of (N, C, H, W) to (N, C, 1, 1) with a channels_last gradient."""

    def __init__(self, pool_type: str):
        super().__init__()
        self.pool_type = pool_type

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).mean((1, 2))[:, :, None, None]


class TimmHead(nn.Module):
    """``Head`` with a choice of pooling, and dropout before the classifier."""

    def __init__(self, head: Head, global_pool: str, drop_rate: float):
        super().__init__()
        self.global_pool = _pooling(global_pool)
        self.norm = head.norm
        self.drop = nn.Dropout(drop_rate)
        self.fc = head.fc

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (N, classes), or, if ``pre_logits``, the classifier's input (N, C).

        Without pooling, the shapes are (N, classes, H, W) and (N, C, H, W).
        """
        pool_type = self.global_pool.pool_type
        x = self.drop(self.norm(self.global_pool(x)))
        if pre_logits:
            return x.flatten(1) if pool_type else x
        if pool_type:
            return self.fc(x.flatten(1))
        return self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NoConfig:
    """Replaces the config of a pruned network; any access raises an error that says why."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            "the network is pruned, so no config describes it: save only its state dict, or build "
            "an unpruned network"
        )


class TimmNetwork(ModernResNet):
    """``ModernResNet`` as ``timm.create_model`` returns it, with the same state dict.

    ``num_classes``, ``in_chans`` and ``drop_path_rate`` replace the classes, input channels and
    stochastic depth of ``cfg``. ``global_pool`` is one of ``POOLINGS``; ``drop_rate`` is the
    dropout before the classifier. Raises ``ConfigError`` for an invalid value.
    """

    def __init__(
        self,
        cfg: ModelConfig,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        config = cfg.replace(
            num_classes=num_classes, in_channels=in_chans, stochastic_depth=drop_path_rate
        )
        with torch.device(device) if device is not None else contextlib.nullcontext():
            super().__init__(config)
        self.to(dtype=dtype)
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.head_hidden_size = self.num_features
        self.stages = Stages(*map(TimmStage, self.stages))  # type: ignore[arg-type]
        self.head = TimmHead(self.head, global_pool, drop_rate)  # type: ignore[assignment]
        self.feature_info = feature_info(config)
        self._stem_features = len(self.feature_info) - len(config.depths)
        self._init = config.init

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits for the last stage's output, or pooled features if ``pre_logits``."""
        return self.head(x, pre_logits)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,  # noqa: ARG002 - the only norm is after the pooling
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the last stage's output and the features of ``feature_info``, each (N, C, H, W).

        ``indices`` are indices of features or the number of last features; None means all. With
        ``stop_early``, nothing after the last of them is computed. Raises ``ValueError`` if
        ``output_fmt`` is not NCHW.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {said(output_fmt)}; use 'NCHW'")
        taken, last = self._taken(indices)
        features = []
        for name, layer in self.stem.named_children():
            x = layer(x)
            if name == "act" and 0 in taken:
                features.append(x)
        for index, stage in enumerate(self.stages, start=self._stem_features):
            if stop_early and index > last:
                break
            x = stage(x)
            if index in taken:
                features.append(x)
        return features if intermediates_only else (x, features)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] = 1,
        prune_norm: bool = False,  # noqa: ARG002 - the only norm belongs to the head
        prune_head: bool = True,
    ) -> list[int]:
        """Remove layers that the features ``indices`` do not need; return their indices.

        If more than the classifier is removed, ``config`` becomes ``NoConfig``.
        """
        taken, last = self._taken(indices)
        stages = last + 1 - self._stem_features
        if stages < len(self.stages) or prune_head:
            self.reset_classifier(0, "")
            if stages < len(self.stages) or not isinstance(self.head.norm, nn.Identity):
                self.config = NoConfig()  # type: ignore[assignment]
            self.head.norm = nn.Identity()
        self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        self.stages = Stages(*self.stages[:stages])
        if not stages:
            self.stem.pool = nn.Identity()  # the stem's feature is from before pooling
        return taken

    def _taken(self, indices: int | Sequence[int] | None) -> tuple[list[int], int]:
        """Return the selected feature indices and the last of them."""
        count = self._stem_features + len(self.stages)
        # Tuples work too; timm's own networks pass them.
        return feature_take_indices(count, indices)  # type: ignore[arg-type]

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier (none for 0 classes) and, if given, the pooling."""
        if global_pool is not None:
            self.head.global_pool = _pooling(global_pool)
        if isinstance(self.config, ModelConfig):
            self.config = self.config.replace(num_classes=num_classes)
        self.num_classes = num_classes
        self.head.fc = nn.Identity()
        if num_classes:
            like = next(self.parameters())
            fc = nn.Linear(self.num_features, num_classes, device=like.device, dtype=like.dtype)
            INITS[self._init](fc)
            self.head.fc = fc
        self.head.train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Enable or disable gradient checkpointing in all stages."""
        stage: Any
        for stage in self.stages:
            stage.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return parameter groups for layer-wise learning rates: stem, blocks or stages, head."""
        downsample, block = r"^stages\.(\d+)\.downsample", r"^stages\.(\d+)\.blocks\.(\d+)"
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else [(downsample, (0,)), (block, None)],
        }

    def no_weight_decay(self) -> set[str]:
        """Return the factors per channel, whose shape (C, 1, 1) timm does not recognize."""
        return {name for name, parameter in self.named_parameters() if parameter.ndim == 3}


def feature_info(config: ModelConfig) -> list[dict[str, Any]]:
    """Describe the features for timm: the stem's before pooling, if any, then each stage's."""
    stem = [{"num_chs": config.width, "reduction": 2, "module": "stem.act"}]
    stages = [
        {
            "num_chs": config.output_width(stage),
            "reduction": 4 * 2**stage,
            "module": f"stages.{stage}",
        }
        for stage in range(len(config.depths))
    ]
    acts = any(isinstance(layer, Activation) for layer in network_spec(config).stem)
    return stem + stages if acts else stages


def _pooling(kind: str) -> nn.Module:
    if kind not in POOLINGS:
        listed = ", ".join(map(repr, POOLINGS))
        raise ConfigError(f"global_pool is {said(kind)}; use one of {listed}", "global_pool")
    return MeanPool(kind) if kind in ("avg", "fast") else SelectAdaptivePool2d(pool_type=kind)
