"""Batched cropping, resizing, erasing and mixing beside Pillow, torchvision and timm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.mixup import Mixup
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.functional import InterpolationMode, normalize, to_tensor

from roadmap.train.data import augment, in_memory, sampling

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(count: int, height: int, width: int) -> np.ndarray:
    """Not so bright that a bicubic filter leaves 0 to 255, where Pillow cuts off between passes."""
    return np.random.default_rng(0).integers(60, 190, (count, height, width, 3), dtype=np.uint8)


def packed(images: np.ndarray) -> torch.Tensor:
    """As the store has them: (N, H, 3, W)."""
    return torch.from_numpy(images.transpose(0, 1, 3, 2).copy())


def unpacked(crops: torch.Tensor) -> np.ndarray:
    return crops.permute(0, 2, 3, 1).numpy().astype(int)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [5, 24, 61])  # shrinking, about the same, growing
def test_random_crop_equals_pillow(interpolation, size):
    images = noise(5, 32, 40)
    box = np.array([[0, 0, 32, 40], [3, 5, 20, 17], [31, 39, 1, 1], [0, 7, 32, 3], [9, 0, 8, 40]])
    flip = np.array([False, True, False, True, False])
    ours = augment.resample(
        packed(images), torch.from_numpy(box), torch.from_numpy(box), torch.from_numpy(flip),
        size, interpolation,
    )  # fmt: skip
    for crop, image, (top, left, height, width), mirrored in zip(
        unpacked(ours), images, box, flip, strict=True
    ):
        part = Image.fromarray(image).crop((left, top, left + width, top + height))
        wanted = np.asarray(part.resize((size, size), RESAMPLING[interpolation])).astype(int)
        wanted = wanted[:, ::-1] if mirrored else wanted
        assert np.abs(crop - wanted).max() <= 1  # Pillow rounds between rows and columns


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (33, 20), (40, 40), (1, 1)])
@pytest.mark.parametrize(("resize", "crop"), [(36, 32), (24, 24), (57, 50)])
def test_test_crop_equals_torchvision(interpolation, height, width, resize, crop):
    images = noise(2, height, width)
    sizes = np.array([[height, width]] * 2)
    whole = torch.tensor([[0, 0, height, width]] * 2)
    # Padded on the right and below, as beside larger images in the store.
    store = torch.zeros(2, height + 3, 3, width + 5, dtype=torch.uint8)
    store[:, :height, :, :width] = packed(images)
    box = torch.from_numpy(in_memory.central_box(sizes, resize, crop))
    ours = augment.resample(store, box, whole, torch.zeros(2, dtype=bool), crop, interpolation)
    mode = InterpolationMode(interpolation)
    for found, image in zip(unpacked(ours), images, strict=True):
        wanted = CenterCrop(crop)(Resize(resize, mode)(Image.fromarray(image)))
        assert np.abs(found - np.asarray(wanted).astype(int)).max() <= 2


def test_normalize_equals_torchvision():
    images = noise(3, 8, 8)
    ours = augment.normalize(torch.from_numpy(images).permute(0, 3, 1, 2))
    wanted = torch.stack([normalize(to_tensor(i), augment.MEAN, augment.STD) for i in images])
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=0)


def reversed_pairs(batch: torch.Tensor) -> torch.Tensor:
    """timm pairs i with N - 1 - i, we pair neighbors: ours in timm's order."""
    return torch.cat([batch[0::2], batch[1::2].flip(0)])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixing_equals_timms_pair_mode(monkeypatch, mixup, cutmix):
    """The same draws into timm's Mixup give the same images and targets."""
    count, size, classes = 8, 16, 5
    drawn = sampling.draw_mixing(np.random.default_rng(1), count, size, mixup, cutmix)
    images, labels = torch.randn(count, 3, size, size), torch.arange(count) % classes
    ours, targets = augment.mix(images.clone(), augment.soft_targets(labels, classes, 0.1), drawn)

    theirs = Mixup(mixup, cutmix, mode="pair", label_smoothing=0.1, num_classes=classes)
    lam, cut = drawn.share[::2].copy(), drawn.cut[::2]
    monkeypatch.setattr(theirs, "_params_per_elem", lambda _: (lam, cut))
    boxes = iter(zip(drawn.box[::2][cut], lam[cut], strict=True))

    def given_box(*_args, **_kwargs):
        (top, left, bottom, right), share = next(boxes)
        return (top, bottom, left, right), share

    monkeypatch.setattr("timm.data.mixup.cutmix_bbox_and_lam", given_box)
    wanted, wanted_targets = theirs(reversed_pairs(images).clone(), reversed_pairs(labels))
    torch.testing.assert_close(reversed_pairs(ours), wanted)
    torch.testing.assert_close(reversed_pairs(targets), wanted_targets)


def test_cutmix_share_is_the_area_kept():
    drawn = sampling.draw_mixing(np.random.default_rng(0), 200, 24, 0.0, 1.0)
    top, left, bottom, right = drawn.box.T
    assert drawn.share == pytest.approx(1 - (bottom - top) * (right - left) / 24**2)
    assert drawn.box.min() >= 0
    assert drawn.box.max() <= 24


def test_mixing_draws_both_kinds_alike_and_betas():
    drawn = sampling.draw_mixing(np.random.default_rng(0), 20_000, 32, 0.8, 1.0)
    assert drawn.cut.mean() == pytest.approx(0.5, abs=0.02)
    share = drawn.share[~drawn.cut]
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.005)  # of Beta(0.8, 0.8)


def test_erasing_blanks_rectangles_and_nothing_else():
    drawn = sampling.draw_erasing(np.random.default_rng(0), 400, 32, 0.25)
    images = torch.full((400, 3, 32, 32), 7.0)
    erased = augment.erase(images.clone(), drawn, None)
    blank = (erased == 0).all(1)
    top, left, bottom, right = drawn.box.T
    assert (blank.sum((1, 2)).numpy() == (bottom - top) * (right - left)).all()
    assert ((erased == 0) | (erased == 7)).all()
    chosen = blank.any(2).any(1).numpy()
    assert chosen.mean() == pytest.approx(0.25, abs=0.06)
    share = blank.float().mean((1, 2)).numpy()[chosen]
    assert share.min() > 0.01
    assert share.max() < 0.37
    assert share.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.03)


def test_erasing_with_noise_is_normal():
    drawn = sampling.draw_erasing(np.random.default_rng(0), 64, 32, 1.0)
    images = torch.full((64, 3, 32, 32), 7.0)
    erased = augment.erase(images, drawn, augment.noise_bank(torch.device("cpu")))
    values = erased[erased != 7.0]
    assert values.mean() == pytest.approx(0, abs=0.05)
    assert values.std() == pytest.approx(1, abs=0.05)


def test_soft_targets():
    targets = augment.soft_targets(torch.tensor([2, 0]), 4, 0.1)
    wanted = [[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]
    torch.testing.assert_close(targets, torch.tensor(wanted))


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (2, 300), (300, 2), (1, 7)])
def test_crops_stay_inside_any_image(size):
    sizes = np.array([size] * 500)
    crops = sampling.draw_crops(np.random.default_rng(0), sizes, (0.08, 1.0), True)
    top, left, height, width = crops.box.T
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) >= 1
    assert (top + height).max() <= size[0]
    assert (left + width).max() <= size[1]
    assert crops.flip.mean() == pytest.approx(0.5, abs=0.1)


def test_crops_cover_the_area_and_ratios_asked_for():
    sizes = np.array([(100, 100)] * 20_000)
    crops = sampling.draw_crops(np.random.default_rng(0), sizes, (0.08, 1.0), False)
    _, _, height, width = crops.box.T
    assert (height * width / 1e4).min() == pytest.approx(0.08, abs=0.01)
    assert (width / height).min() == pytest.approx(3 / 4, abs=0.03)
    assert (width / height).max() == pytest.approx(4 / 3, abs=0.05)
    assert not crops.flip.any()
