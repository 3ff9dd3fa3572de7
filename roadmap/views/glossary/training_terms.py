"""The terms of training and of measures, as data."""

from __future__ import annotations

from roadmap.views.glossary.pictures import images, measures, training
from roadmap.views.glossary.term import RECIPE, Term

TRAINING: dict[str, tuple[Term, ...]] = {
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
