"""``TimmNetwork``: ``ModernResNet`` with the methods that timm's tools call.

Annotations are types here, not text, as in ``models.network``.
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
from models.network import INITS, Head, ModernResNet, Stage
from models.spec import Activation, network_spec
from models.text import said

#: timm's kinds of global pooling that leave the head's width as it is.
POOLINGS = ("avg", "fast", "max", "avgmax", "")


class TimmStage(nn.Module):
    """``Stage``; with ``grad_checkpointing`` it keeps each block's input for the way back, and
    computes the rest again."""

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
    """Average pooling of (N, C, H, W) to (N, C, 1, 1), with its gradient in channels_last."""

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
        """Logits (N, classes), or with ``pre_logits`` what the classifier reads, (N, C).

        Without pooling both are maps, (N, classes, H, W) and (N, C, H, W).
        """
        pool_type = self.global_pool.pool_type
        x = self.drop(self.norm(self.global_pool(x)))
        if pre_logits:
            return x.flatten(1) if pool_type else x
        if pool_type:
            return self.fc(x.flatten(1))
        return self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NoConfig:
    """In the place of a pruned network's config: asked for anything, it says why there is none."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            "the network is pruned, and no config describes what is left of it: save its state "
            "dict alone, or build the network anew and leave it whole"
        )


class TimmNetwork(ModernResNet):
    """``ModernResNet``, with the same state dict, as ``timm.create_model`` returns it.

    ``cfg`` is the network; ``num_classes``, ``in_chans`` and ``drop_path_rate`` replace its
    classes, input channels and stochastic depth. ``global_pool`` is one of ``POOLINGS``,
    ``drop_rate`` the dropout before the classifier. Raises ``ConfigError`` for a value that makes
    no network.
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
        # Each in the place of what ModernResNet has there.
        self.stages = nn.Sequential(*map(TimmStage, self.stages))  # type: ignore[arg-type]
        self.head = TimmHead(self.head, global_pool, drop_rate)  # type: ignore[assignment]
        self.feature_info = feature_info(config)
        self._stem_features = len(self.feature_info) - len(config.depths)
        self._init = config.init

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """From the last stage's output to logits, or with ``pre_logits`` to pooled features."""
        return self.head(x, pre_logits)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,  # noqa: ARG002 - no norm follows the stages, only one the pooling
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last stage's output and the features of ``feature_info``, each (N, C, H, W).

        ``indices`` are those of the features, or how many of the last; all if None. With
        ``stop_early`` nothing is computed past the last of them.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {said(output_fmt)}; these networks give 'NCHW'")
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
        prune_norm: bool = False,  # noqa: ARG002 - the only one belongs to the head
        prune_head: bool = True,
    ) -> list[int]:
        """Removes what the features ``indices`` do without, and returns their indices.

        Where that is more than the classifier, ``config`` is ``NoConfig`` from then on.
        """
        taken, last = self._taken(indices)
        stages = last + 1 - self._stem_features
        if stages < len(self.stages) or prune_head:
            self.reset_classifier(0, "")
            if stages < len(self.stages) or not isinstance(self.head.norm, nn.Identity):
                self.config = NoConfig()  # type: ignore[assignment] # says why there is none
            self.head.norm = nn.Identity()
        self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        self.stages = self.stages[:stages]
        if not stages:
            self.stem.pool = nn.Identity()  # the stem's feature is taken before
        return taken

    def _taken(self, indices: int | Sequence[int] | None) -> tuple[list[int], int]:
        """The features that are meant, and the last of them."""
        count = self._stem_features + len(self.stages)
        # timm's own networks pass it tuples, too.
        return feature_take_indices(count, indices)  # type: ignore[arg-type]

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier, or none for 0 classes, and if it is given another pooling."""
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
        """Less memory for more computing: see ``TimmStage``."""
        stage: Any
        for stage in self.stages:
            stage.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Groups of parameters for layer-wise learning rates: stem, blocks (or stages), head."""
        downsample, block = r"^stages\.(\d+)\.downsample", r"^stages\.(\d+)\.blocks\.(\d+)"
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else [(downsample, (0,)), (block, None)],
        }

    def no_weight_decay(self) -> set[str]:
        """Factors a channel: (C, 1, 1) here, so that timm does not see vectors in them."""
        return {name for name, parameter in self.named_parameters() if parameter.ndim == 3}


def feature_info(config: ModelConfig) -> list[dict[str, Any]]:
    """timm's description of a network's features: the stem's before pooling, then each stage's."""
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
