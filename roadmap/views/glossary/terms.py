"""The terms of the glossary: name, definition, forms in text, drawing and source, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from roadmap.steps import INVERTED, KERNEL, MACRO, MICRO, RESNEXT, SOURCES
from roadmap.views.glossary.pictures import (
    blocks,
    convolutions,
    images,
    measures,
    networks,
    training,
    values,
)

RECIPE = "Liu et al. 2022, Section 2.1 and Table 5"
RESNET = "He et al. 2016"


@dataclass(frozen=True)
class Term:
    """A term; ``forms`` are its spellings in text besides the name, without plurals and capitals.

    ``step`` is the step of ResNet-50's roadmap whose operation shows the idea.
    """

    key: str
    name: str
    definition: str
    draw: Callable[[], str]
    forms: tuple[str, ...] = ()
    source: str = ""
    step: str = ""


GROUPS: dict[str, tuple[Term, ...]] = {
    "Convolutions": (
        Term(
            "convolution",
            "Convolution",
            "A layer that slides kernels over its input: each output value is the sum of a window "
            "of inputs times the kernel's weights, over the input channels.",
            convolutions.convolution,
        ),
        Term(
            "kernel",
            "Kernel",
            "The weights that a convolution multiplies with each window; with kernel size 7, the "
            "window has 7×7 positions.",
            convolutions.kernel,
            ("kernel size", "filter"),
            SOURCES[KERNEL],
            "kernel_7",
        ),
        Term(
            "stride",
            "Stride",
            "The distance between neighboring windows in pixels; stride 2 halves the height and "
            "width of the output.",
            convolutions.stride,
        ),
        Term(
            "padding",
            "Padding",
            "Zeros around the input, so that windows at its border are complete and the output "
            "keeps the input's size.",
            convolutions.padding,
        ),
        Term(
            "channel",
            "Channel",
            "One of the values that a layer gives at every position; each channel responds to its "
            "own pattern.",
            convolutions.channel,
            ("input channel", "output channel"),
        ),
        Term(
            "feature-map",
            "Feature map",
            "The output of a layer in one channel at all positions: where its pattern occurs in "
            "the picture.",
            convolutions.feature_map,
        ),
        Term(
            "grouped-convolution",
            "Grouped convolution",
            "A convolution whose channels are split into groups; each output channel reads only "
            "the input channels of its group.",
            convolutions.grouped_convolution,
            (),
            "Xie et al. 2017",
            "depthwise_conv",
        ),
        Term(
            "depthwise-convolution",
            "Depthwise convolution",
            "A convolution with one kernel per channel: it mixes positions, but not channels.",
            convolutions.depthwise_convolution,
            ("depthwise layer", "depthwise"),
            SOURCES[RESNEXT],
            "depthwise_conv",
        ),
        Term(
            "pointwise-convolution",
            "1×1 convolution",
            "A convolution with kernel size 1 (pointwise): it mixes the channels of each position, "
            "but not positions.",
            convolutions.pointwise_convolution,
            ("1×1 layer", "pointwise convolution"),
            SOURCES[RESNEXT],
            "depthwise_conv",
        ),
        Term(
            "max-pooling",
            "Max pooling",
            "A layer that keeps the largest value of each window, channel by channel.",
            convolutions.max_pooling,
            ("max pool",),
            RESNET,
        ),
    ),
    "Blocks": (
        Term(
            "block",
            "Block",
            "A few layers with a shortcut around them; a network repeats it in every stage.",
            blocks.block,
            ("residual block",),
            RESNET,
        ),
        Term(
            "shortcut",
            "Shortcut",
            "The residual connection: a block's input is added to the output of its layers.",
            blocks.shortcut,
            ("residual connection", "residual branch"),
            RESNET,
        ),
        Term(
            "bottleneck",
            "Bottleneck",
            "A block that is narrow in the middle: a 1×1 convolution reduces the channels before "
            "the 3×3 convolution, and another restores them.",
            blocks.bottleneck,
            (),
            RESNET,
        ),
        Term(
            "inverted-bottleneck",
            "Inverted bottleneck",
            "A block that is wide in the middle, between narrow ends, like the MLP of a "
            "transformer.",
            blocks.inverted_bottleneck,
            ("inverted block",),
            SOURCES[INVERTED],
            "inverted_bottleneck",
        ),
        Term(
            "expansion-ratio",
            "Expansion ratio",
            "Channels in the middle of a block, divided by those at its ends.",
            blocks.expansion_ratio,
            (),
            SOURCES[INVERTED],
            "inverted_bottleneck",
        ),
        Term(
            "layer-scale",
            "Layer scale",
            "A learned factor per channel, small at first, on the output of a block's layers.",
            blocks.layer_scale,
            ("LayerScale",),
            "Touvron et al. 2021",
        ),
        Term(
            "stochastic-depth",
            "Stochastic depth",
            "In training, the layers of a block are skipped at random, in later blocks more often.",
            blocks.stochastic_depth,
            (),
            RECIPE,
        ),
    ),
    "Networks": (
        Term(
            "stem",
            "Stem",
            "The first layers of a network, which reduce the picture to a quarter of its height "
            "and width.",
            networks.stem,
            (),
            SOURCES[MACRO],
            "patchify_stem",
        ),
        Term(
            "patchify-stem",
            "Patchify stem",
            "A stem of one 4×4 convolution with stride 4, whose windows do not overlap.",
            networks.patchify_stem,
            ("patchify", "non-overlapping patch", "patches that do not overlap"),
            SOURCES[MACRO],
            "patchify_stem",
        ),
        Term(
            "stage",
            "Stage",
            "The blocks that work at one resolution; the next stage has half the height and width.",
            networks.stage,
            (),
            SOURCES[MACRO],
        ),
        Term(
            "stage-ratio",
            "Stage ratio",
            "How the blocks are distributed over the stages.",
            networks.stage_ratio,
            ("blocks per stage",),
            SOURCES[MACRO],
            "stage_ratio",
        ),
        Term(
            "downsampling",
            "Downsampling",
            "Reducing height and width between stages: by the stride of a block's layers, or by a "
            "layer of its own.",
            networks.downsampling,
            ("separate downsampling",),
            SOURCES[MICRO],
            "separate_downsampling",
        ),
        Term(
            "global-average-pooling",
            "Global average pooling",
            "The mean of each channel over all positions, which the classifier reads.",
            networks.global_average_pooling,
        ),
        Term(
            "receptive-field",
            "Receptive field",
            "The input pixels that can influence one output position.",
            networks.receptive_field,
            ("theoretical receptive field",),
            "Luo et al. 2016",
            "kernel_7",
        ),
        Term(
            "effective-receptive-field",
            "Effective receptive field",
            "The input pixels that influence one output position noticeably: those near the middle "
            "of the receptive field.",
            networks.effective_receptive_field,
            (),
            "Luo et al. 2016",
            "kernel_7",
        ),
    ),
    "Norms and activations": (
        Term(
            "batch-norm",
            "Batch norm",
            "Each channel is normalized to mean 0 and variance 1 over all positions of all images "
            "of the batch, then scaled and shifted.",
            values.batch_norm,
            ("BatchNorm", "batch normalization"),
            "Ioffe and Szegedy 2015",
            "layer_norm",
        ),
        Term(
            "layer-norm",
            "Layer norm",
            "Each position is normalized to mean 0 and variance 1 over its channels, then scaled "
            "and shifted.",
            values.layer_norm,
            ("LayerNorm", "layer normalization"),
            SOURCES[MICRO],
            "layer_norm",
        ),
        Term(
            "response-norm",
            "Global response normalization (GRN)",
            "Each channel is scaled by its strength relative to the mean strength of all channels.",
            values.response_norm,
            ("global response normalization", "global response norm", "GRN"),
            "Woo et al. 2023, Section 3",
        ),
        Term(
            "activation",
            "Activation",
            "A function between layers that acts on each value alone, such as ReLU or GELU.",
            values.activation,
            ("activation function",),
            SOURCES[MICRO],
            "gelu",
        ),
        Term(
            "relu",
            "ReLU",
            "An activation that sets negative values to zero.",
            values.relu_curve,
            (),
            SOURCES[MICRO],
            "gelu",
        ),
        Term(
            "gelu",
            "GELU",
            "A smooth activation: x times the probability that a standard normal value is below x.",
            values.gelu_curve,
            (),
            "Hendrycks and Gimpel 2016",
            "gelu",
        ),
    ),
    "Training": (
        Term(
            "sgd",
            "SGD",
            "Stochastic gradient descent: each step moves the weights against the gradient of a "
            "batch.",
            training.sgd,
        ),
        Term(
            "adamw",
            "AdamW",
            "An optimizer that divides each weight's step by the typical size of its gradient, and "
            "applies weight decay separately.",
            training.adamw,
            (),
            "Loshchilov and Hutter 2019",
        ),
        Term(
            "cosine-schedule",
            "Cosine schedule",
            "The learning rate falls along half a cosine, slowly at both ends.",
            training.cosine_schedule,
            ("cosine",),
            "Loshchilov and Hutter 2017",
        ),
        Term(
            "warm-up",
            "Warm-up",
            "The first epochs, in which the learning rate grows linearly from almost zero.",
            training.warm_up,
            ("linear warm-up",),
            RECIPE,
        ),
        Term(
            "weight-decay",
            "Weight decay",
            "Every step makes all weights smaller by a small share, which favors simple solutions.",
            training.weight_decay,
            (),
            RECIPE,
        ),
        Term(
            "ema",
            "Weight averaging (EMA)",
            "The exponential moving average of the weights over the steps is evaluated instead of "
            "the last weights.",
            training.weight_average,
            (
                "exponential moving average",
                "moving average",
                "weight averaging",
                "weight average",
                "averaged weight",
                "EMA",
            ),
            RECIPE,
        ),
        Term(
            "label-smoothing",
            "Label smoothing",
            "A part of the target probability, such as 0.1, is spread evenly over all classes.",
            training.label_smoothing,
            (),
            "Szegedy et al. 2016",
        ),
        Term(
            "mixup",
            "Mixup",
            "Two images are blended, and their labels in the same proportion.",
            images.mixup,
            (),
            "Zhang et al. 2018",
        ),
        Term(
            "cutmix",
            "CutMix",
            "A rectangle of one image replaces that of another; labels are mixed in proportion to "
            "the area.",
            images.cutmix,
            (),
            "Yun et al. 2019",
        ),
        Term(
            "rand-augment",
            "RandAugment",
            "A fixed number of random operations per image, such as rotation or shear, of one "
            "strength.",
            images.rand_augment,
            (),
            "Cubuk et al. 2020",
        ),
        Term(
            "trivial-augment",
            "TrivialAugment",
            "One random operation per image, at a random strength.",
            images.trivial_augment,
            ("TrivialAugmentWide",),
            "Müller and Hutter 2021",
        ),
        Term(
            "random-erasing",
            "Random erasing",
            "A random rectangle of an image is replaced by noise or by the mean color.",
            images.random_erasing,
            (),
            "Zhong et al. 2020",
        ),
    ),
    "Measures": (
        Term(
            "top-1",
            "Top-1",
            "The share of validation images whose most probable class is correct.",
            measures.top1,
        ),
        Term(
            "gflops",
            "GFLOPs",
            "10⁹ multiply-adds, the cost of a network for one image, as the paper counts it.",
            measures.gflops,
            ("multiply-add",),
        ),
        Term(
            "parameters",
            "Parameters",
            "All values that training learns: kernels, and the scales and shifts of norms.",
            measures.parameters,
            ("parameter",),
        ),
        Term(
            "throughput",
            "Throughput",
            "How many images per second a network classifies or trains on, on a stated device.",
            measures.throughput,
            ("images/s", "images per second"),
        ),
        Term(
            "interval",
            "95% interval",
            "A range computed from a few runs; of many such ranges, 95% contain the true value.",
            measures.interval,
        ),
    ),
}
TERMS: dict[str, Term] = {term.key: term for terms in GROUPS.values() for term in terms}
