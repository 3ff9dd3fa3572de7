"""The terms of networks: convolutions, blocks, stages, norms and activations, as data."""

from __future__ import annotations

from roadmap.steps import INVERTED, KERNEL, MACRO, MICRO, RESNEXT, SOURCES
from roadmap.views.glossary.pictures import blocks, convolutions, networks, values
from roadmap.views.glossary.term import RECIPE, Term

RESNET = "He et al. 2016"
NETWORK: dict[str, tuple[Term, ...]] = {
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
}
