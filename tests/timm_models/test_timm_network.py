"""The networks as timm's own test suite looks at its models (its tests/test_models.py)."""

import copy
import fnmatch
import pickle

import pytest
import timm
import torch
from timm.models import (
    FeatureDictNet,
    FeatureGraphNet,
    FeatureInfo,
    FeatureListNet,
    get_notrace_modules,
    group_parameters,
)
from timm.optim import create_optimizer_v2
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

import models
import roadmap.timm_models  # noqa: F401 - the names below
from models import ConfigError, ModelConfig, ModernResNet
from models.files import weights_content
from roadmap import ROADMAPS

NAMES = timm.list_models("roadmap_*")
SHORT = {"depths": [1, 2, 1], "width": 16, "layer_scale": 0.5}
#: The stems, kinds of norm, positions of the depthwise convolution and ways of downsampling.
KINDS = [
    f"roadmap_resnet50_{step}"
    for step in (
        *("baseline", "depthwise_conv", "kernel_7", "layer_norm", "separate_downsampling"),
        "global_response_norm",
    )
]


def short(name: str, **arguments) -> torch.nn.Module:
    torch.manual_seed(0)
    network = timm.create_model(name, **SHORT, **arguments)
    for key, parameter in network.named_parameters():
        if key.endswith("grn.weight"):  # 0 at first, when the layer does nothing
            torch.nn.init.constant_(parameter, 0.5)
    return network


def images(batch: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def assert_close(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    torch.testing.assert_close(list(ours), list(theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_keeps_timms_conventions(name):
    network = timm.create_model(name, depths=[1, 1, 1, 1], device="meta").eval()
    with torch.device("meta"):
        plain = ModernResNet(network.config).state_dict()
        x = torch.randn(1, *network.default_cfg["input_size"])
    assert {k: v.shape for k, v in network.state_dict().items()} == {
        k: v.shape for k, v in plain.items()
    }
    cfg = network.default_cfg
    assert cfg is network.pretrained_cfg
    assert cfg["architecture"] == name
    for layer in (cfg["classifier"], cfg["first_conv"]):
        assert f"{layer}.weight" in plain
    assert network.in_chans == cfg["input_size"][0]
    assert network.num_features == network.head_hidden_size == plain["head.fc.weight"].shape[1]

    last, features = network.forward_intermediates(x)
    assert last.shape == (1, network.num_features, *cfg["pool_size"])
    info = FeatureInfo(network.feature_info, len(features))
    assert [feature.shape[1] for feature in features] == info.channels()
    assert [x.shape[-1] // feature.shape[-1] for feature in features] == info.reduction()
    assert all(network.get_submodule(module) for module in info.module_name())

    pooled = network.forward_head(last, pre_logits=True)
    network.reset_classifier(0)
    assert network(x).shape == pooled.shape == (1, network.head_hidden_size)
    network.reset_classifier(0, "")
    assert network(x).shape == last.shape

    parameters = [parameter for parameter, _ in network.named_parameters()]
    for coarse in (False, True):
        groups = group_parameters(network, network.group_matcher(coarse), reverse=True)
        assert set(groups) == set(parameters)
        assert len(set(groups.values())) >= 5  # stem and four stages; the head where it has a norm
    assert all(fnmatch.filter(parameters, pattern) for pattern in network.no_weight_decay())


@pytest.mark.parametrize("name", KINDS)
def test_logits_and_gradients_are_those_of_the_plain_network(name):
    network = short(name, num_classes=42)
    plain = ModernResNet(network.config)
    plain.load_state_dict(network.state_dict())
    x = images()
    outputs = network(x)
    assert_close([outputs], [plain(x)])
    outputs.mean().backward()
    plain(x).mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert_close(
        [parameter.grad for parameter in network.parameters()],
        [parameter.grad for parameter in plain.parameters()],
    )


@pytest.mark.parametrize("name", KINDS)
def test_gradient_checkpointing_changes_memory_alone(name):
    network = short(name, drop_path_rate=0.2)
    again = copy.deepcopy(network)
    again.set_grad_checkpointing()
    x, results = images(), []
    for each in (network, again):
        torch.manual_seed(1)
        final, features = each.forward_intermediates(x)
        (each.forward_head(final).mean() + features[0].mean()).backward()
        results.append([final, *(p.grad for p in each.parameters())])
    assert_close(*results)
    again.set_grad_checkpointing(False)
    assert not any(stage.grad_checkpointing for stage in again.stages)


@pytest.mark.parametrize("name", KINDS)
def test_every_way_to_the_features_gives_the_same(name):
    x = images()
    network = short(name).eval()
    final, features = network.forward_intermediates(x)
    assert_close([final], [network.forward_features(x)])
    for kind in ("list", "dict", "hook", "getter", "fx"):
        wrapped = short(name, features_only=True, feature_cls=kind).eval()
        found = wrapped(x)
        assert_close(found.values() if kind == "dict" else found, features)
        assert wrapped.feature_info.channels() == [feature.shape[1] for feature in features]
    last = short(name, features_only=True, out_indices=(-1,)).eval()
    assert_close(last(x), features[-1:])


@pytest.mark.parametrize("name", KINDS)
def test_pruned_to_a_feature_the_network_ends_there(name):
    x = images()
    network = short(name).eval()
    features = network.forward_intermediates(x, intermediates_only=True)
    for index, feature in enumerate(features):
        early = network.forward_intermediates(x, [index], stop_early=True, intermediates_only=True)
        pruned = copy.deepcopy(network).train()
        assert pruned.prune_intermediate_layers([index], prune_norm=True) == [index]
        assert pruned.num_features == feature.shape[1]
        sum(f.sum() for f in pruned.forward_intermediates(x, [index])[1]).backward()
        assert all(parameter.grad is not None for parameter in pruned.parameters())
        pruned = copy.deepcopy(network)
        pruned.prune_intermediate_layers([index])
        assert_close([early[0], pruned.forward_features(x), pruned(x)], [feature] * 3)
        pruned.reset_classifier(5, "avg")
        assert pruned(x).shape == (2, 5)
    whole = copy.deepcopy(network)
    whole.prune_intermediate_layers([len(features) - 1], prune_head=False)
    assert_close([whole(x)], [network(x)])


@pytest.mark.parametrize("name", KINDS)
def test_a_pruned_network_has_the_config_of_what_it_is_or_none(name):
    features = len(short(name).feature_info)
    for index in range(features):
        for prune_head in (False, True):
            network = short(name)
            network.prune_intermediate_layers([index], prune_head=prune_head)
            if isinstance(network.config, ModelConfig):
                ModernResNet(network.config).load_state_dict(network.state_dict())
                assert index == features - 1
            else:
                assert index < features - 1 or prune_head
                for pruned in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
                    with pytest.raises(AttributeError, match="pruned, so no config describes"):
                        weights_content(pruned.state_dict(), pruned.config)


@pytest.mark.parametrize("stages", [1, 5])
def test_features_of_any_number_of_stages(stages):
    x = images(size=128)
    for name, stem in (("resnet50", [2]), ("convnext_tiny", [])):
        network = timm.create_model(
            f"roadmap_{name}", depths=[1] * stages, width=8, features_only=True
        )
        reductions = stem + [4 * 2**stage for stage in range(stages)]
        assert network.feature_info.reduction() == reductions
        assert [x.shape[-1] // feature.shape[-1] for feature in network(x)] == reductions


def test_pooling_and_classifier_can_be_changed():
    x = images()
    network = short(KINDS[-1], global_pool="max", num_classes=3).eval()
    features = network.forward_features(x)
    norm, maximum = network.head.norm, features.amax((2, 3), keepdim=True)
    pooled = network.forward_head(features, pre_logits=True)
    assert_close([pooled], [norm(maximum).flatten(1)])
    network.reset_classifier(5)
    assert_close([network.forward_head(features, pre_logits=True)], [pooled])
    assert network(x).shape == (2, 5)
    assert network.get_classifier().out_features == network.config.num_classes == 5
    mean = features.mean((2, 3), keepdim=True)
    for kind, expected in (("avgmax", (mean + maximum) / 2), ("fast", mean), ("avg", mean)):
        network.reset_classifier(5, kind)
        pooled = network.forward_head(features, pre_logits=True)
        assert_close([pooled], [norm(expected).flatten(1)])
    network.reset_classifier(5, "")
    maps = network(x)
    assert maps.shape == (2, 5, *features.shape[2:])
    assert_close([maps[:, :, 1, 0]], [network.get_classifier()(norm(features)[:, :, 1, 0])])


def test_a_new_classifier_follows_the_network():
    network = short(KINDS[-1]).to("meta", torch.float64).eval()
    network.reset_classifier(2)
    fc = network.get_classifier()
    assert (fc.weight.device.type, fc.weight.dtype) == ("meta", torch.float64)
    assert not any(module.training for module in network.modules())
    network = short(KINDS[-1])
    network.reset_classifier(2)
    assert network.get_classifier().bias.abs().max() == 0  # Table 5's initialization
    network.requires_grad_(False).reset_classifier(0, "")
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_drop_rates_and_fields_of_the_config_are_arguments():
    network = timm.create_model(
        "roadmap_resnet50_kernel_7", kernel_size=9, drop_rate=0.3, drop_path_rate=0.1, in_chans=1
    )
    assert network.config == ROADMAPS["resnet50"].config(
        "kernel_9", stochastic_depth=0.1, in_channels=1
    )
    x = torch.ones(1, 2048, 2, 2)[:, : network.num_features]
    assert network.forward_head(x, pre_logits=True).eq(0).any()
    network.eval()
    assert_close([network.forward_head(x, pre_logits=True)], [torch.ones(1, 768)])
    ours = timm.create_model(
        "roadmap_resnet50_kernel_7", kernel_size=9, stochastic_depth=0.1, in_channels=1
    )
    assert ours.config == network.config


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kernal_size": 9}, "did you mean 'kernel_size'"),
        ({"kernel_size": 8}, "an even kernel has no center"),
        ({"global_pool": "catavgmax"}, "global_pool is 'catavgmax'; use one of 'avg', "),
        ({"num_classes": -1}, "num_classes is -1; use a whole number"),
        ({"drop_path_rate": 0.1, "stochastic_depth": 0.1}, "use only one of them"),
        ({"in_chans": 1, "in_channels": 2}, "in_chans is timm's name for in_channels"),
        ({"config": {}}, "no field 'config': use one of depths, "),
        ({"model_cfg": {}}, "no field 'model_cfg': use one of depths, "),
    ],
)
def test_a_wrong_argument_gets_one_sentence(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        timm.create_model("roadmap_resnet50_kernel_7", **arguments)


def test_an_unknown_argument_is_a_type_error_too_as_in_timm():
    with pytest.raises(TypeError, match="no field 'not_a_model_arg'"):
        timm.create_model("roadmap_resnet50_kernel_7", not_a_model_arg=1)


def test_factors_a_channel_are_not_decayed():
    network = short("roadmap_convnext_tiny")
    groups = create_optimizer_v2(network, weight_decay=0.05).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = [name for name, parameter in network.named_parameters() if id(parameter) in decayed]
    assert len(decayed) == 1 + 2 + 3 * 4 + 1  # stem, downsampling, three a block, classifier
    assert not [name for name in names if not name.endswith(".weight") or "norm" in name]


@pytest.mark.parametrize("name", KINDS)
def test_copies_and_pickles(name):
    network, x = short(name).eval(), images()
    expected = network(x)
    copied, loaded = copy.deepcopy(network), pickle.loads(pickle.dumps(network))
    assert_close([copied(x), loaded(x)], [expected, expected])


@pytest.mark.parametrize("scriptable", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_scripts_and_traces(name, scriptable):
    x = images()
    network = short(name, scriptable=scriptable, drop_path_rate=0.1)
    leaves = {"tracer_kwargs": {"leaf_modules": get_notrace_modules(), "autowrap_functions": ()}}
    trained, nodes = get_graph_node_names(network, **leaves)
    ends = {"train_return_nodes": [trained[-1]], "eval_return_nodes": [nodes[-1]]}
    traced = create_feature_extractor(network, **ends, **leaves)
    scripts = torch.jit.script(network), torch.jit.script(traced)
    for module in (network, traced, *scripts):
        module.eval()
    for outputs in (traced(x).values(), [scripts[0](x)], scripts[1](x).values()):
        assert_close(outputs, [network(x)])


@pytest.mark.parametrize("name", KINDS)
def test_features_of_every_class_are_scripted(name):
    x = images()
    for kind in ("dict", "fx"):
        features = short(name, features_only=True, feature_cls=kind).eval()
        found = torch.jit.script(features)(x)
        assert_close(
            found.values() if kind == "dict" else found,
            short(name).eval().forward_intermediates(x, intermediates_only=True),
        )


def test_feature_cfg_is_taken_as_in_timm():
    def features(**arguments) -> torch.nn.Module:
        return short(KINDS[0], features_only=True, **arguments)

    assert isinstance(features(feature_cfg={"feature_cls": "fx"}), FeatureGraphNet)
    assert isinstance(features(feature_cfg={"feature_cls": FeatureDictNet}), FeatureDictNet)
    assert isinstance(features(feature_cfg=None), FeatureListNet)
    given = {"out_indices": (0, 2), "flatten_sequential": False}
    assert features(feature_cfg=given).feature_info.reduction() == [2, 8]
    assert given == {"out_indices": (0, 2), "flatten_sequential": False}
    over = features(feature_cfg={"out_indices": (0, 2)}, out_indices=(1,))
    assert over.feature_info.reduction() == [4]
    with pytest.raises(ConfigError, match="feature_cfg is 'fx'; use a dict such as"):
        features(feature_cfg="fx")


def test_only_the_output_stride_that_a_network_has_is_taken():
    assert short(KINDS[0], output_stride=16).num_features  # of three stages
    network = timm.create_model(KINDS[0], output_stride=32, device="meta")
    assert network.feature_info[-1]["reduction"] == 32
    for stride in (8, 16, "32"):
        with pytest.raises(ConfigError, match="use 32, since this network has no dilation"):
            timm.create_model(KINDS[0], output_stride=stride)


def test_the_names_are_every_size_and_every_step():
    sizes = {f"roadmap_{size}" for size in models.VARIANTS}
    steps = {
        f"roadmap_{roadmap}_{key}"
        for roadmap in ("resnet50", "resnet200")
        for key in ROADMAPS[roadmap].keys
    }
    assert set(NAMES) == sizes | steps
