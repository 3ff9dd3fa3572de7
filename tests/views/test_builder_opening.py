"""Names in timm that the builder opens: each is the network that timm builds."""

import pytest
import timm
import torch

from models import ModernResNet
from models.config import ConfigError
from models.variants import FURTHER
from models.weights import convert_state_dict
from roadmap.views.builder.opening import from_name


@pytest.mark.parametrize("name", FURTHER)
def test_timms_weights_fit_each_further_network(name):
    chosen = from_name(f"timm:{name}.some_tag")
    with torch.device("meta"):
        theirs = timm.create_model(name).state_dict()
        ours = ModernResNet(chosen.config).state_dict()
    found = convert_state_dict(theirs, chosen.config)
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in ours.items()
    }


def test_the_smallest_one_computes_what_timms_does():
    theirs = timm.create_model("convnextv2_atto").eval()
    config = from_name("convnextv2_atto").config
    ours = ModernResNet(config).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), config))
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        # timm computes GELU in another format, and therefore rounds otherwise.
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_a_network_of_another_kind_is_refused_with_the_names_that_work():
    with pytest.raises(ConfigError, match=r"swin_tiny.*convnextv2_nano"):
        from_name("swin_tiny_patch4_window7_224")
