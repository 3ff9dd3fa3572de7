"""Each operation beside the one of timm or torchvision, on real Pillow images."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment as timm_ops
from torchvision.transforms import InterpolationMode, autoaugment

from roadmap.train.data import operations, policies
from roadmap.train.data.policies import Op, Operations

FILL = (124, 116, 104)


def pictures(count: int = 6, size: int = 40) -> np.ndarray:
    """Smooth random pictures with an edge in them, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    large = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in small
    ]
    pixels = np.stack([np.asarray(image) for image in large]).copy()
    pixels[:, size // 3 :, : size // 4] = rng.integers(0, 256, (count, 1, 1, 3))
    pixels[-1] = pixels[-1] // 3 + 60  # low contrast
    return pixels


def apply_one(pixels: np.ndarray, operation: Op, argument, fill=FILL) -> np.ndarray:
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    argument = np.broadcast_to(np.asarray(argument, dtype=np.float32), len(pixels))
    drawn = Operations(np.full((len(pixels), 1), operation), argument[:, None].copy())
    return operations.apply(images.clone(), drawn, fill).permute(0, 2, 3, 1).numpy()


def compare(ours: np.ndarray, theirs: list[Image.Image], differing: float) -> None:
    """Within 1 everywhere but in a small share of the pixels."""
    difference = np.abs(ours.astype(int) - np.stack([np.asarray(image) for image in theirs]))
    assert (difference > 1).mean() <= differing


KEYWORDS = {"resample": Image.Resampling.BILINEAR, "fillcolor": FILL}


@pytest.mark.parametrize(
    ("operation", "function", "arguments"),
    [
        (Op.SHEAR_X, timm_ops.shear_x, (-0.27, 0.3)),
        (Op.SHEAR_Y, timm_ops.shear_y, (-0.27, 0.3)),
        (Op.TRANSLATE_X, timm_ops.translate_x_abs, (-13.5, 16.0)),
        (Op.TRANSLATE_Y, timm_ops.translate_y_abs, (-13.5, 16.0)),
        (Op.ROTATE, timm_ops.rotate, (-27.0, 12.5, 135.0)),
        (Op.BRIGHTNESS, timm_ops.brightness, (0.1, 0.7, 1.9)),
        (Op.CONTRAST, timm_ops.contrast, (0.1, 0.7, 1.9)),
        (Op.COLOR, timm_ops.color, (0.1, 0.7, 1.9)),
        (Op.SHARPNESS, timm_ops.sharpness, (0.1, 0.7, 1.9)),
        (Op.POSTERIZE, timm_ops.posterize, (1, 4, 8)),
        (Op.SOLARIZE, timm_ops.solarize, (0, 26, 128, 256)),
        (Op.SOLARIZE_ADD, timm_ops.solarize_add, (0, 99, 110)),
        (Op.AUTOCONTRAST, timm_ops.auto_contrast, (None,)),
        (Op.EQUALIZE, timm_ops.equalize, (None,)),
        (Op.INVERT, timm_ops.invert, (None,)),
    ],
)
def test_operation_equals_timm(operation, function, arguments):
    pixels = pictures()
    for argument in arguments:
        given = () if argument is None else (argument,)
        theirs = [function(Image.fromarray(image), *given, **KEYWORDS) for image in pixels]
        ours = apply_one(pixels, operation, 0.0 if argument is None else argument)
        # A pixel whose source lies on the very edge may fall on either side of it.
        compare(ours, theirs, 0.003 if operation in policies.GEOMETRIC else 0.0)


def test_flat_images_stay():
    flat = np.full((2, 9, 9, 3), 77, dtype=np.uint8)
    for operation in (Op.EQUALIZE, Op.AUTOCONTRAST):
        assert (apply_one(flat, operation, 0.0) == 77).all()


def test_one_pixel_images():
    one = np.full((2, 1, 1, 3), 77, dtype=np.uint8)
    for operation in Op:
        assert apply_one(one, operation, 1.0).shape == one.shape


def test_only_the_images_that_drew_it_change_and_layers_follow_each_other():
    pixels = pictures(4)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    code = np.array([[0, 0], [Op.INVERT, 0], [Op.INVERT, Op.SOLARIZE], [0, Op.SOLARIZE]])
    argument = np.array([[0, 0], [0, 0], [0, 128], [0, 128]], dtype=np.float32)
    result = operations.apply(images.clone(), Operations(code, argument), FILL)
    inverted = 255 - pixels
    solarized = [np.where(image < 128, image, 255 - image) for image in (inverted[2], pixels[3])]
    wanted = np.stack([pixels[0], inverted[1], *solarized])
    assert (result.permute(0, 2, 3, 1).numpy() == wanted).all()


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("level", [0.0, 3.3, 9.0, 10.0])
def test_strengths_equal_timms(monkeypatch, increasing, level):
    hparams = {"translate_pct": 0.45}
    for sign, uniform in ((1.0, 0.4), (-1.0, 0.6)):
        monkeypatch.setattr(random, "random", lambda uniform=uniform: uniform)
        for name in timm_ops.rand_augment_choices("", increasing):
            function = timm_ops.LEVEL_TO_ARG[name]
            if function is None:
                continue
            (theirs,) = function(level, hparams)
            if "Translate" in name:
                theirs = theirs * 64
            _, strength = policies.RAND_AUGMENT_OPS[name]
            ours = strength(np.array([level / 10]), np.array([sign]), 64)
            assert ours[0] == pytest.approx(theirs), name


def test_rand_augment_draws_as_timm_counts():
    policy = policies.policy("rand-m9-mstd0.5-inc1")
    drawn = policy.draw(np.random.default_rng(0), 20_000, 64)
    assert drawn.code.shape == (20_000, 2)
    share = np.bincount(drawn.code.ravel(), minlength=16) / drawn.code.size
    assert share[Op.IDENTITY] == pytest.approx(0.5, abs=0.01)
    assert share[1:] == pytest.approx(np.full(15, 0.5 / 15), abs=0.005)
    angle = drawn.argument[drawn.code == Op.ROTATE]
    assert np.abs(angle).mean() == pytest.approx(27, abs=0.3)
    assert (angle > 0).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    "text",
    [
        "rand",
        "rand-m9-mstd0.5-inc1",
        "rand-m7-mstd0.5",
        "rand-n3-p0.3-mmax20-m15",
        "rand-mstd101-inc0",
        "rand-mstd100-mmax0",
    ],
)
def test_rand_augment_is_read_as_timm_reads_it(text):
    ours, theirs = policies.policy(text), timm_ops.rand_augment_transform(text, {"x": 0})
    first = theirs.ops[0]
    assert ours.names == tuple(operation.name for operation in theirs.ops)
    assert (ours.layers, ours.applied) == (theirs.num_layers, first.prob)
    assert (ours.magnitude, ours.deviation) == (first.magnitude, first.magnitude_std)
    assert ours.most == (first.magnitude_max or 10)


def test_trivial_augment_has_torchvisions_space():
    """Every operation and strength that ours draws, torchvision has, and the other way round."""
    space = autoaugment.TrivialAugmentWide()._augmentation_space(31)
    drawn = policies.TrivialAugment().draw(np.random.default_rng(0), 100_000, 64)
    theirs = {
        "ShearX": Op.SHEAR_X,
        "TranslateY": Op.TRANSLATE_Y,
        "Rotate": Op.ROTATE,
        "Posterize": Op.POSTERIZE,
        "Solarize": Op.SOLARIZE,
    }
    assert len(space) == len(policies.TRIVIAL_OPS)
    for name, operation in theirs.items():
        magnitudes, signed = space[name]
        wanted = magnitudes.double().numpy()
        wanted = np.trunc(wanted + 1e-5) if name == "TranslateY" else wanted
        wanted = np.unique(np.concatenate([wanted, -wanted]) if signed else wanted)
        found = np.unique(drawn.argument[drawn.code == operation]).astype(float)
        assert found == pytest.approx(wanted, abs=1e-4), name
    factors = drawn.argument[drawn.code == Op.COLOR]
    assert factors.min() == pytest.approx(0.01, abs=1e-5)
    assert factors.max() == pytest.approx(1.99, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "operation", "magnitude", "argument"),
    [
        ("ShearX", Op.SHEAR_X, 0.4, 0.4),
        ("ShearY", Op.SHEAR_Y, -0.4, -0.4),
        ("Rotate", Op.ROTATE, 100.0, 100.0),
        ("TranslateX", Op.TRANSLATE_X, 7.0, -7.0),
        ("Sharpness", Op.SHARPNESS, 0.9, 1.9),
        ("Color", Op.COLOR, -0.9, 0.1),
    ],
)
def test_operation_equals_torchvision(name, operation, magnitude, argument):
    pixels = pictures()
    bilinear = InterpolationMode.BILINEAR
    theirs = [
        autoaugment._apply_op(Image.fromarray(image), name, magnitude, bilinear, None)
        for image in pixels
    ]
    compare(apply_one(pixels, operation, argument, (0, 0, 0)), theirs, 0.003)


@pytest.mark.parametrize(
    "text",
    [
        "randaugment",
        "rand-m9-tweights",
        "rand-mnine",
        "",
        "rand-t3a",
        "rand-m1.5",
        "rand-m9-m3",
        "rand-m9x",
    ],
)
def test_unknown_policy_is_refused(text):
    with pytest.raises(policies.DataError, match="auto_augment"):
        policies.policy(text)
