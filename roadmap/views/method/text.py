"""What the page on methods says: definitions, commands, sources, open questions."""

from __future__ import annotations

DEFINITIONS = (
    (
        "Multiply-adds, GFLOPs",
        "One multiplication with its addition counts once, in convolutions, linear layers and "
        "matrix products; norms, activations, additions and pooling do not count. The paper calls "
        "10⁹ of them a GFLOP, and so do we. Whoever counts multiplication and addition apart "
        "prints twice as many FLOPs.",
    ),
    (
        "Parameters",
        "Everything that training learns, the statistics of batch norm left out.",
    ),
    (
        "Activations",
        "Output elements of convolutions, linear layers and matrix products for one image "
        "(Radosavovic et al. 2020). They tell memory and speed better than multiply-adds do.",
    ),
    (
        "Receptive field",
        "The side of the square of input pixels that one position of the last stage can see, by "
        "the arithmetic of kernels and strides. Most of it has little influence: the effective "
        "receptive field is smaller (Luo et al. 2016).",
    ),
    (
        "Speed",
        "Images a second: the median over repetitions, random images on the device, no data "
        "loading. Training is forward, loss, backward and optimizer.",
    ),
    (
        "Peak memory",
        "On CUDA the most bytes in tensors at one time; on a CPU the growth of the process's "
        "resident memory since before the network was built. In 10⁹ bytes.",
    ),
    (
        "Top-1",
        "The share of validation images whose most probable class is the right one. None of the "
        "ImageNet figures was trained here.",
    ),
)
PROFILE = "python -m roadmap profile --roadmap resnet50 --save"
BENCHMARK = (
    "python -m roadmap benchmark --roadmap resnet50 --device cuda --dtype bf16 \\\n"
    "    --batch-size 256 --repetitions 20 --save    # and with --compile, ROADMAP_DEPTHWISE=torch"
)
MEMORY = "python benchmarks/memory.py"
AUDIT = "python -m roadmap audit"
TRAINING = "python benchmarks/training.py --data PATH --image-size 128 --batch-size 512 --compile"
LATENCY = "python benchmarks/app_latency.py"
LOAD = "python benchmarks/app_load.py"
LOAD_TEXT = (
    "Sessions that each change a control or open a page every one to three seconds, with the "
    "server on one core and the clients on another: until all that the page draws has arrived. "
    "What a browser takes to draw it comes on top."
)
#: Of ``app_load``, for people.
WHAT = {"step": "another step", "control": "the answer to a control", "page": "another page"}
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
    "Accuracy of the steps as built here: ImageNet was not trained. The networks have the "
    "paper's parameters and multiply-adds and give the published weights' logits; that training "
    "them reaches the published top-1 is likely, and not shown.",
    "Which differences between neighboring steps are real: the paper gives three seeds for "
    "ResNet-50's roadmap and one for ResNet-200's, and differences of 0.1 are within its own "
    "standard deviations.",
    "How far speeds carry over: they are of one kind of GPU and one machine's CPU, with the "
    "versions above. Our depthwise kernels have run on no other GPU; PyTorch's of 9 and 11 take a "
    "slow path there, and those figures say little about the arithmetic.",
    "Why Table 10's last GFLOPs are shifted: the counts show that they are, not how it happened.",
    "The orders that were not tried: every gain is of a change on top of those before it, and "
    "another order would share them out differently.",
)
