"""Pretrained weights for the networks in timm's registry."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import torch
from huggingface_hub import constants, utils
from huggingface_hub.errors import HTTPError  # from the client's HTTP library
from timm.models import PretrainedCfg, is_model_pretrained, list_models
from timm.models.convnext import checkpoint_filter_fn
from torch import Tensor

from models.config import ConfigError
from models.text import bounded
from models.weights import convert_state_dict, export_state_dict
from roadmap.timm_models.network import TimmNetwork
from roadmap.timm_names import PREFIX

_OWN_FILE = "use a local file with pretrained_cfg_overlay=dict(file=...)"
_ONE_AT_A_TIME = threading.Lock()
#: Before version 1.0, sessions of the hub's client were either offline or online.
_forget_sessions = getattr(utils, "reset_sessions", lambda: None)


class WeightsError(RuntimeError):
    """Pretrained weights that do not exist, cannot be read, or do not fit the network."""

    def __init__(self, message: str):
        super().__init__(bounded(message))


class PretrainedWeights:
    """The weights that ``cfg`` selects. Raises ``WeightsError`` if ``name`` has none."""

    def __init__(self, name: str, cfg: PretrainedCfg):
        if not (cfg.has_weights or cfg.state_dict):
            raise WeightsError(_no_weights(name))
        self.cfg = cfg
        self.converted = False

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Turn errors before the end of ``convert`` into ``WeightsError``.

        If the hub does not answer, only its cache is used.
        """
        from_hub = self.cfg.hf_hub_id and not (self.cfg.file or self.cfg.state_dict)
        with hub() if from_hub else contextlib.nullcontext():
            try:
                yield
            except (ConfigError, WeightsError):
                raise
            except Exception as error:  # a damaged file can raise anything
                if self.converted:
                    raise
                raise WeightsError(_failure(self.cfg, error)) from error

    def convert(self, state_dict: Mapping[str, Tensor], network: TimmNetwork) -> dict[str, Tensor]:
        """Convert to our keys; timm then adapts the classifier and the first convolution."""
        source: Any = network.pretrained_cfg  # set by timm
        config = network.config.replace(
            num_classes=source["num_classes"], in_channels=source["input_size"][0]
        )
        try:
            converted = convert_state_dict(state_dict, config)
        except ValueError:
            try:
                converted = convert_state_dict(_timms_keys(state_dict, network), config)
            except ValueError as error:
                raise WeightsError(f"{_source(self.cfg)}: {error}") from None
        self.converted = True
        return converted


def _timms_keys(state_dict: Mapping[str, Tensor], network: TimmNetwork) -> Mapping[str, Tensor]:
    """Convert formats that timm's ConvNeXt reads, such as OpenCLIP's; keep others as they are."""
    try:
        ours = export_state_dict(network.state_dict(), network.config, "timm")
        # timm only reads the shapes of its network's weights.
        theirs = checkpoint_filter_fn(state_dict, SimpleNamespace(state_dict=lambda: ours))
    except (ValueError, KeyError):
        return state_dict
    source: Any = network.pretrained_cfg
    if source["tag"] == "fcmae":  # trained without the head norm; timm keeps the initial one
        width = network.config.num_features
        norm = {"head.norm.weight": torch.ones(width), "head.norm.bias": torch.zeros(width)}
        return norm | theirs
    return theirs


def hub() -> contextlib.AbstractContextManager[None]:
    """Return a context in which only the hub's cache is used if the hub does not answer."""
    return contextlib.nullcontext() if _hub_answers() else _offline()


def _hub_answers() -> bool:
    """Whether the hub answers one request; its client would retry for a minute."""
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
        f"{name} has no pretrained weights: use pretrained=False, {_OWN_FILE}, or use a model with "
        f"weights: {', '.join(with_weights)}"
    )


def _source(cfg: PretrainedCfg) -> str:
    return str(cfg.file or cfg.hf_hub_id or cfg.url or "state_dict")


def _failure(cfg: PretrainedCfg, error: Exception) -> str:
    if cfg.file and isinstance(error, FileNotFoundError):
        return f"{cfg.file} does not exist: {_OWN_FILE}"
    where = f"the weights {_source(cfg)}"
    status = _status(error)
    if status in (401, 403, 404):
        return (
            f"{where} could not be downloaded (HTTP status {status}): check the name; for a "
            f"private or gated repository, request access and log in to the hub; or {_OWN_FILE}"
        )
    if status:
        return (
            f"{where} could not be downloaded (HTTP status {status}): try again later, or "
            f"{_OWN_FILE}"
        )
    if isinstance(error, FileNotFoundError | ConnectionError | URLError | HTTPError):
        return f"{where} could not be downloaded: check the connection, or {_OWN_FILE}"
    reason = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    again = "save or copy it again" if cfg.file else "delete it from the cache"
    return f"{where} cannot be read ({reason}): if the file is damaged, {again}; or {_OWN_FILE}"


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status of ``error`` or of its causes, or None."""
    while error:
        status = getattr(getattr(error, "response", error), "status_code", None)
        if status or isinstance(error, URLError):
            return status or getattr(error, "code", None)
        error = error.__cause__
    return None
