"""Texts of the Method page: definitions, commands, sources, open questions."""

from __future__ import annotations

DEFINITIONS = (
    (
        "GFLOPs",
        "10⁹ multiply-adds, as the paper counts them: one multiplication with its addition counts "
        "once, in convolutions, linear layers and matrix products. Norms, activations, additions "
        "and pooling do not count. Sources that count multiplications and additions separately "
        "report twice as many FLOPs.",
    ),
    (
        "Parameters",
        "All learned values; the running statistics of batch norm are not included.",
    ),
    (
        "Activations",
        "Output elements of convolutions, linear layers and matrix products for one image "
        "(Radosavovic et al. 2020). They predict memory and speed better than GFLOPs.",
    ),
    (
        "Receptive field",
        "The side of the square of input pixels that can influence one position of the last stage, "
        "computed from kernel sizes and strides. Most of these pixels have little influence: the "
        "effective receptive field is smaller (Luo et al. 2016).",
    ),
    (
        "Speed",
        "Images/s: the median over repetitions, with random images already on the device "
        "and no data loading. A training step is forward pass, loss, backward pass and optimizer.",
    ),
    (
        "Peak memory",
        "On CUDA, the most bytes held by tensors at one time; on a CPU, the growth of the "
        "process's resident memory from before the network was built. 1 GB is 10⁹ bytes.",
    ),
    (
        "Top-1",
        "The share of validation images whose most probable class is correct. No ImageNet model "
        "was trained here; those figures are published ones.",
    ),
)
PROFILE = "python -m roadmap profile --roadmap resnet50 --save"
BENCHMARK = (
    "python -m roadmap benchmark --roadmap resnet50 --device cuda --dtype bf16 \\\n"
    "    --batch-size 256 --repetitions 20 --save    # and with --compile, ROADMAP_DEPTHWISE=torch"
)
MEMORY = "python benchmarks/memory.py    # in a checkout of this project"
AUDIT = "python -m roadmap audit"
TRAINING = (
    "python benchmarks/training.py --data PATH --image-size 128 --batch-size 512 --compile    "
    "# in a checkout of this project"
)
SOURCES = (
    (
        "Liu et al. 2022, A ConvNet for the 2020s",
        "https://arxiv.org/abs/2201.03545",
        "top-1 and GFLOPs of every step (Tables 10 and 11), sizes and speeds (Tables 1 and 12), "
        "the ConvNeXt recipe (Table 5)",
    ),
    (
        "The ConvNeXt repository",
        "https://github.com/facebookresearch/ConvNeXt",
        "the authors' network and its initialization",
    ),
    (
        "timm, results tables",
        "https://github.com/huggingface/pytorch-image-models/tree/main/results",
        "top-1 of pretrained networks on ImageNet and five harder test sets",
    ),
    (
        "PyTorch blog 2021, How to Train State-Of-The-Art Models",
        "https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/",
        "the TorchVision recipe and the top-1 after each of its changes",
    ),
    (
        "Wightman et al. 2021, ResNet strikes back",
        "https://arxiv.org/abs/2110.00476",
        "recipe A1",
    ),
    (
        "He et al. 2016, Deep Residual Learning",
        "https://arxiv.org/abs/1512.03385",
        "the network that the roadmap starts from, and its recipe",
    ),
)
UNKNOWN = (
    "Accuracy on ImageNet of the steps as built here: no network was trained on ImageNet. The "
    "networks have the paper's parameters and GFLOPs, and with the published weights they give the "
    "published logits. Training them would probably reach the published top-1, but this was not "
    "tested.",
    "Which differences between consecutive steps are real: the paper reports three seeds for "
    "ResNet-50's roadmap and one for ResNet-200's, and a difference of 0.1 is within its own "
    "standard deviations.",
    "How well the speeds transfer: they were measured on one GPU model and one CPU, with the "
    "versions above. Our depthwise kernels have not run on any other GPU. PyTorch's kernels of "
    "size 9 and 11 take a slow path there, so those figures say little about the architecture.",
    "Why the last GFLOPs of Table 10 are shifted: the counts show the shift but not its cause.",
    "The effect of other orders: each gain is measured on top of the changes before it, and "
    "another order would divide the total differently.",
)
