"""ImageNet weights on the page Picture: from a local file, and what a download reports."""

from __future__ import annotations

import huggingface_hub
import pages
import pytest
import timm
import torch
from pages import view
from safetensors.torch import save_file

from roadmap import visitors
from roadmap.timm_models.weights import WeightsError
from roadmap.views.picture import imagenet, page


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """timm's ResNet-50, untrained, as the hub has it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / imagenet.FILE
    save_file(timm.create_model("resnet50").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def trained(weights):
    return imagenet.read("baseline", weights)


@pytest.fixture(autouse=True)
def forget():
    page._large.clear()
    yield
    page._large.clear()


def test_the_steps_with_weights_are_found():
    assert list(imagenet.with_weights()) == ["baseline", "separate_downsampling"]


def test_a_file_of_timms_is_read(weights, trained):
    assert (trained.image_size, len(trained.classes)) == (224, 1000)
    assert trained.classes[0] == "tench"
    theirs = timm.create_model("resnet50").eval()
    theirs.load_state_dict(timm.models.load_state_dict(str(weights)))
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(trained.network(image), theirs(image), rtol=1e-3, atol=1e-3)


def test_another_file_is_refused(weights):
    with pytest.raises(WeightsError, match="safetensors"):
        imagenet.read("separate_downsampling", weights)


def test_a_download_reports_its_progress(monkeypatch, weights):
    monkeypatch.setattr("roadmap.timm_models.weights._hub_answers", lambda: True)
    shares = []
    download = imagenet.WeightsDownload("baseline")

    def fetch(name, file, tqdm_class):
        assert (name, file) == ("timm/resnet50.a1_in1k", imagenet.FILE)
        with tqdm_class(total=8, initial=0, unit="B") as bar:
            for _ in range(4):
                bar.update(2)
                shares.append(download.share)
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    download.run()
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert (download.path, download.problem) == (str(weights), "")


def test_without_a_connection_the_page_says_so_and_shows_the_small_networks(monkeypatch):
    monkeypatch.setattr("roadmap.timm_models.weights._hub_answers", lambda: False)
    app = pages.opened("picture", weights="imagenet")
    assert "could not be downloaded. Showing the small networks instead." in pages.html(app)
    assert "% top-1" in view(app)
    monkeypatch.setattr(page, "_imagenet", lambda: pytest.fail("asked again"))
    pages.checked(app.run())


def test_a_public_explorer_downloads_nothing(monkeypatch):
    monkeypatch.setattr(visitors, "is_public", lambda: True)
    monkeypatch.setattr(imagenet, "WeightsDownload", lambda key: pytest.fail(key))
    assert "disabled on this public explorer" in pages.html(
        pages.opened("picture", weights="imagenet")
    )


def test_the_page_shows_full_size_networks(monkeypatch, trained):
    monkeypatch.setattr(imagenet, "with_weights", lambda: {"baseline": "ResNet"})
    page._large()["baseline"] = trained
    html = view(pages.opened("picture", weights="imagenet", a="baseline", b="baseline"))
    assert "56 × 56 × 256" in html
    assert "ImageNet, timm/resnet50" in html
