"""The recipes and networks are those of the notes and the papers."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from actlab import activations, models, recipes
from actlab.cli.training import changed
from actlab.data import images
from actlab.models import AlexNet, LeNet, TwoStreamAlexNet, summarise
from actlab.recipes.run import build_model, input_shape, preparation


@pytest.fixture(scope="module")
def sample():
    return images.load("sample", validation=0, limit=20)


@pytest.fixture(scope="module")
def alexnet():
    return AlexNet()


def test_classic_settings_are_the_notes():
    plan = recipes.plan("alexnet", "classic")
    s = plan.settings
    assert (s.optimizer, s.learning_rate, s.momentum, s.weight_decay, s.batch_size) == ("sgd", 0.01, 0.0, 0.0, 128)
    assert (s.schedule, s.clip_norm, s.label_smoothing, s.ema, s.patience, s.precision) == (
        "constant",
        None,
        0.0,
        None,
        None,
        "fp32",
    )
    assert s.epochs == 10 and s.steps is None
    assert s.report_test, "the notes look at the test images after every epoch"
    assert plan.data.validation == 0 and plan.data.limit is None and not plan.data.normalise
    assert (plan.data.flip, plan.data.crop, plan.data.erase, plan.data.colour) == (0, 0, 0, 0)
    assert plan.model.arguments == {"dropout": 0.5} and plan.model.activation == "relu"


def test_classic_sees_all_training_images(sample):
    every = images.load("sample", validation=0)
    held = images.load("sample", validation=5000)
    assert (len(every.validation), len(every.train)) == (0, len(held.train) + len(held.validation))


def test_classic_pixels_are_pillows(sample):
    """The recipe's own preparation: bit for bit PIL's bilinear resize, then division by 255."""
    plan = recipes.plan("alexnet", "classic")
    with torch.device("meta"):  # its shape is asked for, not its weights
        model = AlexNet()
    shape = input_shape(model, sample.facts())
    assert shape == (1, 224, 224)
    prepare = preparation(plan.data, sample.facts(), shape, augment=True)
    raw = sample.train.images[:6]
    expected = np.stack(
        [np.array(Image.fromarray(one[0].numpy()).resize((224, 224), Image.Resampling.BILINEAR)) for one in raw]
    )
    for training in (True, False):
        found = prepare(raw.clone(), training)
        assert found.dtype == torch.float32
        assert torch.equal(found[:, 0], torch.from_numpy(expected.astype(np.float32) / np.float32(255)))


def test_classic_weights_are_xaviers_and_biases_torchs(sample):
    plan = recipes.plan("alexnet", "classic")
    torch.manual_seed(0)
    model = build_model(plan.model, sample.facts())
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5]
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
            bound = math.sqrt(6 / (fan_in + fan_out))
            largest, deviation = module.weight.abs().max().item(), module.weight.std().item()
            assert 0.99 * bound < largest <= bound * (1 + 1e-6)  # rounded to float32
            # Of n uniform draws the deviation is known to about 1 in sqrt(n); the smallest layer has 11,616.
            assert deviation == pytest.approx(bound / math.sqrt(3), rel=0.03)
            bias_bound = 1 / math.sqrt(fan_in)
            assert module.bias.abs().max().item() <= bias_bound
            assert module.bias.std().item() > 0.3 * bias_bound, "torch's default biases are uniform, not zero"


def test_he_weights():
    torch.manual_seed(0)
    model = models.initialise(LeNet(), "he")
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in, _ = nn.init._calculate_fan_in_and_fan_out(module.weight)
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.1)
            assert not module.bias.any()


def test_default_weights_are_torchs():
    torch.manual_seed(0)
    expected = LeNet().state_dict()
    torch.manual_seed(0)
    for name, tensor in models.initialise(LeNet(), "default").state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_alexnet_layer_by_layer(alexnet):
    summary = summarise(alexnet, (1, 224, 224))
    shapes = [
        layer.output_shape for layer in summary.layers if layer.kind in ("Conv2d", "MaxPool2d", "Flatten", "Linear")
    ]
    assert shapes == [
        (96, 54, 54), (96, 26, 26), (256, 26, 26), (256, 12, 12), (384, 12, 12), (384, 12, 12), (256, 12, 12), (256, 5, 5),
        (6400,), (4096,), (4096,), (10,),
    ]  # fmt: skip
    assert summary.parameters == 46_764_746 == sum(layer.parameters for layer in summary.layers)
    # Output positions times the weights of one output, by hand.
    expected = (
        96 * 54**2 * 11**2 + 256 * 26**2 * 96 * 5**2 + 384 * 12**2 * 256 * 3**2 + 384 * 12**2 * 384 * 3**2
        + 256 * 12**2 * 384 * 3**2 + 6400 * 4096 + 4096**2 + 4096 * 10
    )  # fmt: skip
    assert summary.multiply_adds == expected
    assert round(expected / 1e6, 3) == 938.146


def test_receptive_fields():
    """By the recurrence r + (k - 1) * jump, jump * stride, done by hand."""
    with torch.no_grad():
        alexnet = summarise(AlexNet(), (1, 224, 224))
    fields = [(one.receptive_field, one.stride) for one in alexnet.layers if one.kind in ("Conv2d", "MaxPool2d")]
    assert fields == [(11, 4), (19, 8), (51, 8), (67, 16), (99, 16), (131, 16), (163, 16), (195, 32)]
    lenet = summarise(LeNet(), (1, 28, 28))
    fields = [(one.receptive_field, one.stride) for one in lenet.layers if one.kind in ("Conv2d", "AvgPool2d")]
    assert fields == [(5, 1), (6, 2), (14, 2), (16, 4)]
    assert all(one.receptive_field is None for one in lenet.layers if one.kind == "Linear")


def test_receptive_field_is_what_gradients_reach():
    """The middle output of LeNet's last pooling depends on exactly that many pixels."""
    torch.manual_seed(0)
    features = LeNet(activation="softplus").features.double()
    pixels = torch.randn(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    features(pixels)[0, :, 2, 2].sum().backward()
    rows = pixels.grad[0, 0].abs().sum(1).nonzero()
    assert (rows.max() - rows.min() + 1).item() == 16


def test_lenet_has_61706_parameters():
    summary = summarise(LeNet(), (1, 28, 28))
    assert summary.parameters == 61_706
    assert [one.output_shape for one in summary.layers if one.kind in ("Conv2d", "AvgPool2d")] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5),
    ]  # fmt: skip


def test_two_stream_alexnet_is_the_papers():
    with torch.device("meta"):
        model = TwoStreamAlexNet()
    assert sum(parameter.numel() for parameter in model.parameters()) == 60_965_224
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [(one.out_channels, one.kernel_size[0], one.stride[0], one.groups) for one in convolutions] == [
        (96, 11, 4, 1), (256, 5, 1, 2), (384, 3, 1, 1), (384, 3, 1, 2), (256, 3, 1, 2),
    ]  # fmt: skip
    assert model(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)
    assert model.features[:1](torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 96, 55, 55)


def test_local_response_normalisation_is_the_papers():
    """b = a / (k + alpha * sum of a^2 over five neighbouring channels)^beta, with k = 2, alpha = 1e-4, beta = 0.75; section 3.3."""
    with torch.device("meta"):
        layer = next(module for module in TwoStreamAlexNet().modules() if isinstance(module, nn.LocalResponseNorm))
    torch.manual_seed(0)
    a = torch.randn(1, 9, 1, 1, dtype=torch.float64) * 100
    expected = [
        a[0, i] / (2 + 1e-4 * sum(float(a[0, j]) ** 2 for j in range(max(0, i - 2), min(8, i + 2) + 1))) ** 0.75
        for i in range(9)
    ]
    torch.testing.assert_close(layer(a)[0], torch.stack(expected))


@pytest.mark.parametrize("name", activations.names(vectors=False))
def test_maximum_and_activation_commute_exactly_for_those_said_to(name):
    """On a grid that reaches into every bend; an activation that fell anywhere on it would be found out."""
    module = activations.get(name).module().eval()
    with torch.no_grad():
        values = module(torch.linspace(-12, 12, 4001))
    rises = bool((values.diff() >= 0).all())
    assert rises or name not in activations.NON_DECREASING


@pytest.mark.parametrize("name", sorted(activations.NON_DECREASING))
def test_pool_first_is_the_same_function(name):
    """On a narrow copy of the same order of layers, so that it costs little."""
    torch.manual_seed(0)
    image = torch.randn(2, 1, 21, 21)
    convolution, pool, act = nn.Conv2d(1, 4, 5), nn.MaxPool2d(3, 2), activations.get(name).module()
    with torch.no_grad():
        maps = convolution(image) * 3
        assert torch.equal(pool(act(maps)), act(pool(maps)))


def test_pool_first_of_the_whole_network():
    torch.manual_seed(0)
    plain, first = AlexNet(dropout=0.0), AlexNet(dropout=0.0, pool_first=True)
    order = [type(module).__name__ for module in first.features][:3]
    assert order == ["Conv2d", "MaxPool2d", "ReLU"]
    with torch.no_grad():
        for ours, theirs in zip(first.parameters(), plain.parameters(), strict=True):
            ours.copy_(theirs)
        images = torch.randn(1, 1, 224, 224)
        torch.testing.assert_close(first(images), plain(images))


@pytest.mark.parametrize("preset", ["fast", "accurate"])
@pytest.mark.parametrize("name", activations.names(vectors=False))
def test_pool_first_is_off_where_it_would_change_the_function(preset, name):
    plan = changed(recipes.plan("alexnet", preset), {"data": {}, "model": {"activation": name}, "settings": {}}, [])
    assert plan.model.arguments["pool_first"] == (name in activations.NON_DECREASING)


def test_every_recipe_has_a_default_and_valid_plans():
    for name, presets in recipes.names().items():
        assert recipes.plan(name) == recipes.plan(name, presets[0])
        for preset in presets:
            plan = recipes.plan(name, preset)
            assert (plan.recipe, plan.preset) == (name, preset)
            assert recipes.read(plan.model_dump(mode="json")) == plan


@pytest.mark.parametrize("name", models.names())
def test_activation_layers_are_not_shared(name):
    with torch.device("meta"):
        model = models.build(name, activation="prelu")
    layers = [module for module in model.modules() if isinstance(module, nn.PReLU)]
    once = name in (
        "character-lm",
        "lstm",
        "narx",
        "rnn",
        "tagger",
    )  # one layer of units, whose activation is the same at every step
    assert len(layers) == 1 if once else len(layers) > 1
    assert len({id(layer.weight) for layer in layers}) == len(layers)
