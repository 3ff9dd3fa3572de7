"""Pretrained weights on their way into a network of timm's registry."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import torch
from huggingface_hub import constants, utils
from huggingface_hub.errors import HTTPError  # of the library that the hub's client stands on
from timm.models import PretrainedCfg, is_model_pretrained, list_models
from timm.models.convnext import checkpoint_filter_fn
from torch import Tensor

from models.config import ConfigError
from models.text import bounded
from models.weights import convert_state_dict, export_state_dict
from roadmap.timm_models.names import PREFIX
from roadmap.timm_models.network import TimmNetwork

_OWN_FILE = "name a file of them with pretrained_cfg_overlay=dict(file=...)"
_ONE_AT_A_TIME = threading.Lock()
#: Before 1.0 the hub's client made its sessions either offline or online.
_forget_sessions = getattr(utils, "reset_sessions", lambda: None)


class WeightsError(RuntimeError):
    """Pretrained weights that do not exist, cannot be fetched or read, or are of another
    network."""

    def __init__(self, message: str):
        super().__init__(bounded(message))


class PretrainedWeights:
    """The weights that ``cfg`` names. Raises ``WeightsError`` where ``name`` has none."""

    def __init__(self, name: str, cfg: PretrainedCfg):
        if not (cfg.has_weights or cfg.state_dict):
            raise WeightsError(_no_weights(name))
        self.cfg = cfg
        self.converted = False

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Within, whatever goes wrong before ``convert`` is done is a ``WeightsError``.

        Where the hub does not answer, its cache is all that is looked into.
        """
        from_hub = self.cfg.hf_hub_id and not (self.cfg.file or self.cfg.state_dict)
        with _offline() if from_hub and not _hub_answers() else contextlib.nullcontext():
            try:
                yield
            except (ConfigError, WeightsError):
                raise
            except Exception as error:  # a damaged file can end in any
                if self.converted:
                    raise
                raise WeightsError(_failure(self.cfg, error)) from error

    def convert(self, state_dict: Mapping[str, Tensor], network: TimmNetwork) -> dict[str, Tensor]:
        """Our keys; classifier and first convolution stay as they are, timm adapts them after."""
        source: Any = network.pretrained_cfg  # which timm sets
        config = network.config.replace(
            num_classes=source["num_classes"], in_channels=source["input_size"][0]
        )
        try:
            converted = convert_state_dict(state_dict, config)
        except ValueError:
            try:
                converted = convert_state_dict(_timms_keys(state_dict, network), config)
            except ValueError as error:
                raise WeightsError(str(error)) from None
        self.converted = True
        return converted


def _timms_keys(state_dict: Mapping[str, Tensor], network: TimmNetwork) -> Mapping[str, Tensor]:
    """A file as timm's ConvNeXt reads it, OpenCLIP's for one; as it is where timm cannot."""
    try:
        ours = export_state_dict(network.state_dict(), network.config, "timm")
        # All that timm asks its network for are the shapes of its weights.
        theirs = checkpoint_filter_fn(state_dict, SimpleNamespace(state_dict=lambda: ours))
    except (ValueError, KeyError):
        return state_dict
    source: Any = network.pretrained_cfg
    if source["tag"] == "fcmae":  # trained without; timm keeps the initial norm
        width = network.config.num_features
        norm = {"head.norm.weight": torch.ones(width), "head.norm.bias": torch.zeros(width)}
        return norm | theirs
    return theirs


def _hub_answers() -> bool:
    """Anything, to one question: the hub's client asks for half a minute, twice."""
    try:
        utils.get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (OSError, HTTPError):
        return False
    return True


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    with _ONE_AT_A_TIME:
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        _forget_sessions()
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before
            _forget_sessions()


def _no_weights(name: str) -> str:
    with_weights = [other for other in list_models(f"{PREFIX}*") if is_model_pretrained(other)]
    return (
        f"{name} has no pretrained weights: use pretrained=False, name a file of your own with "
        f"pretrained_cfg_overlay=dict(file=...), or take one that has: {', '.join(with_weights)}"
    )


def _failure(cfg: PretrainedCfg, error: Exception) -> str:
    if cfg.file and isinstance(error, FileNotFoundError):
        return f"there are no weights at {cfg.file}: {_OWN_FILE}"
    where = f"the weights {cfg.file or cfg.hf_hub_id or cfg.url}"
    status = _status(error)
    if status in (401, 403, 404):
        return (
            f"{where} could not be downloaded (HTTP status {status}): check the name, and for a "
            f"private or gated repository ask for access and log in to the hub, or {_OWN_FILE}"
        )
    if status:
        return (
            f"{where} could not be downloaded (HTTP status {status}): try again later, or "
            f"{_OWN_FILE}"
        )
    if isinstance(error, FileNotFoundError | ConnectionError | URLError | HTTPError):
        return f"{where} could not be downloaded: check the network, or {_OWN_FILE}"
    reason = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    again = "save or copy it again" if cfg.file else "delete it from the cache to fetch it again"
    return f"{where} cannot be read ({reason}): if the file is damaged {again}, or {_OWN_FILE}"


def _status(error: BaseException | None) -> int | None:
    """The server's, which the hub's client gives with the error or with its cause."""
    while error:
        status = getattr(getattr(error, "response", error), "status_code", None)
        if status or isinstance(error, URLError):
            return status or getattr(error, "code", None)
        error = error.__cause__
    return None
