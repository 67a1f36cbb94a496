"""Looking into networks: fields of units against brute force and the table of layers, feature maps against hooks, attention against torch."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.errors import OwnCodeError, UnknownName, UsageError
from actlab.inspection import features, filters, heads, receptive
from actlab.models import AlexNet, GraphAttention, ImageAttention, LeNet, summarise
from networks import cnn


class Branches(nn.Module):
    """What makes a field hard to tell: branches, dilation, in-place ReLU, maxima as modules and as functions, holes, ceil_mode."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.wide = nn.Conv2d(3, 4, 3, padding=2, dilation=2)
        self.narrow = nn.Conv2d(3, 4, 1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Conv2d(4, 2, (1, 3), stride=(2, 1))
        self.out = nn.Linear(2, 3)

    def forward(self, x):
        x = self.pool(self.first(x))
        x = F.max_pool2d(F.relu_(self.norm(self.wide(x) + self.narrow(x))), 3, 1, padding=1, dilation=1)
        return self.out(self.last(x).amax((2, 3)))


class Dilated(nn.Module):
    """Max-pooling with dilation and a maximum of two, which leave holes in the field."""

    def __init__(self):
        super().__init__()
        self.conv, self.end = nn.Conv2d(1, 2, (3, 1), dilation=(3, 1)), nn.Identity()

    def forward(self, x):
        x = F.max_pool2d(self.conv(x), kernel_size=2, stride=1, dilation=3)
        return self.end(torch.max(x[..., 2:], x[..., :-2]))


def positive(model, seed=0):
    """All weights above zero: then a large value at a pixel reaches wherever a path does."""
    torch.manual_seed(seed)
    for one in model.parameters():
        nn.init.uniform_(one, 0.1, 1.0)
    return model.eval()


def reached(model, layer, index, x):
    """Pixels that change the unit when they alone become very large."""
    found, mask = [], torch.zeros(x.shape[2:], dtype=torch.bool)
    handle = model.get_submodule(layer).register_forward_hook(lambda _, __, out: found.append(out.clone()))
    with torch.no_grad():
        model(x)
        for row, column in np.ndindex(*mask.shape):
            changed = x.clone()
            changed[..., row, column] = 1e4
            model(changed)
            mask[row, column] = found[-1][0][index] != found[0][0][index]
    handle.remove()
    return mask


@pytest.mark.parametrize(
    ("make", "layer", "at"),
    [
        (Branches, "first.1", (4, 0)),
        (Branches, "pool", (5, 6)),
        (Branches, "wide", (2, 3)),
        (Branches, "last", (1, 2)),
        (Branches, "out", None),
        (Dilated, "end", (1, 3)),
        (lambda: cnn(norm=False), "4", (3, 3)),
        (lambda: cnn(), "7", (1, 0)),
    ],
)
def test_reach_is_what_brute_force_finds(make, layer, at):
    model, x = positive(make()), 0.1 * torch.rand(1, 1, *((11, 13) if make in (Branches, Dilated) else (14, 14)))
    found = receptive(model, x, layer, channel=1, at=at)
    truth = reached(copy.deepcopy(model), layer, (1, *(at or ())), x)
    assert torch.equal(found.reach, truth), f"{found.reach.int()}\n{truth.int()}"


def test_holes_of_a_dilated_layer_are_seen():
    found = receptive(Dilated(), torch.rand(1, 1, 14, 14), "end", channel=0, at=(1, 3))
    top, left, bottom, right = found.box
    assert found.reach.sum() < (bottom - top) * (right - left)


@pytest.mark.parametrize(
    ("model", "shape", "layers"),
    [
        (LeNet(), (1, 28, 28), ("features.0", "features.2", "features.3", "features.5")),
        (LeNet(activation="relu", pooling="max"), (1, 28, 28), ("features.3", "features.5")),
        (AlexNet().features, (1, 224, 224), ("0", "6")),
    ],
    ids=["LeNet", "LeNet with maxima", "AlexNet"],
)
def test_side_is_that_of_the_table_of_layers(model, shape, layers):
    facts = {one.name: one for one in summarise(model, shape).layers}
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    for name in layers:
        middle = tuple(side // 2 for side in facts[name].output_shape[1:])
        found = receptive(model, x, name, channel=0, at=middle)
        top, left, bottom, right = found.box
        assert (bottom - top, right - left) == (facts[name].receptive_field,) * 2
        assert not found.cut
        assert shape[1] < 224 or name != "0" or found.box[2] - found.box[0] == 11


def test_gradient_is_that_of_autograd():
    torch.manual_seed(0)
    model, x = LeNet(activation="tanh").eval(), torch.randn(1, 1, 28, 28)
    found = receptive(model, x, "features.3", channel=2, at=(4, 5))
    given = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(model.features[:4](given)[0, 2, 4, 5], given)
    torch.testing.assert_close(found.gradient.float(), truth[0].abs().sum(0))
    assert torch.equal(found.gradient > 0, (found.gradient > 0) & found.reach)


def test_default_unit_is_the_largest_response():
    torch.manual_seed(0)
    model, x = LeNet(), torch.randn(1, 1, 28, 28)
    out = features(model, x, "features.3").values
    found = receptive(model, x)
    assert found.layer == "features.3" and found.value == pytest.approx(float(out.max()))
    assert receptive(model, x, channel=5).value == pytest.approx(float(out[5].max()))
    assert receptive(model, x, at=(1, 2)).value == pytest.approx(float(out[:, 1, 2].max()))


def test_sizes_of_a_known_gradient():
    """A mean over 4 x 4 pixels: flat, its middle quarter holds a quarter, its centre lies between the pixels."""
    model = nn.Sequential(nn.AvgPool2d(4))
    found = receptive(model, torch.rand(1, 1, 8, 8), "0", channel=0, at=(1, 0))
    assert found.box == (4, 0, 8, 4) and found.cut
    assert found.middle_share == pytest.approx(0.25)
    assert found.centre == pytest.approx((5.5, 1.5))
    assert found.radius == pytest.approx(4.5**0.5)


def test_silent_unit_has_a_box_but_no_gradient():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    nn.init.constant_(model[0].bias, -100.0)
    found = receptive(model, torch.rand(1, 1, 6, 6), "1", channel=0, at=(1, 1))
    assert found.box == (1, 1, 4, 4) and found.radius is None and found.middle_share is None
    json.dumps(found.facts(), allow_nan=False)


def test_unit_that_sees_padding_alone():
    found = receptive(nn.Sequential(nn.Conv2d(1, 1, 1, padding=2)), torch.rand(1, 1, 4, 4), "0", channel=0, at=(0, 0))
    assert found.box == (0, 0, 0, 0) and found.radius is None


def test_lazy_layers_behind_do_not_matter():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    assert receptive(model, torch.rand(1, 1, 6, 6), "0").reach.sum() == 9


def test_feature_maps_are_what_a_hook_sees_and_silent_channels_are_found():
    torch.manual_seed(0)
    model, x = cnn(norm=False), torch.randn(1, 1, 14, 14)
    nn.init.constant_(model[0].weight[3], 0.0)
    nn.init.constant_(model[0].bias[3:4], -1.0)
    seen = []
    handle = model[1].register_forward_hook(lambda _, __, out: seen.append(out.detach().clone()))
    model.eval()(x)
    handle.remove()
    found = features(model, x, "1")
    assert torch.equal(found.values, seen[0][0]) and found.silent == [3]
    rows = found.facts()["channels"]
    assert rows[0]["mean"] == pytest.approx(float(seen[0][0, 0].mean())) and rows[3]["max"] == 0
    assert (features(model, x, "0").values < 0).any(), "before the ReLU in place"
    assert features(model, x, "7").values.shape == (4,)


def test_filters_of_any_network():
    assert filters(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 3))).weights.shape == (4, 8, 3, 3)
    assert filters(nn.Sequential(nn.Flatten(), nn.Linear(784, 5))).weights.shape == (5, 1, 28, 28)
    assert filters(LeNet(), "features.3").weights.shape == (16, 6, 5, 5)
    model = cnn()
    nn.init.constant_(model[0].weight[2], 1e-6)
    assert filters(model).faint == [2]


def test_attention_is_that_of_the_layer():
    torch.manual_seed(0)
    model, x = ImageAttention(3, layers=2).eval(), torch.randn(1, 1, 28, 28)
    kept = []
    model.attention(F.unfold(x, 4, stride=4).transpose(1, 2), weights=kept)
    for number in range(2):
        found = heads(model, lambda net: net(x), f"attention.layers.{number}.attention")
        torch.testing.assert_close(found.weights, kept[number][0].detach())
    assert heads(model, lambda net: net(x)).layer == "attention.layers.1.attention"


def test_attention_of_torchs_encoder():
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    found = heads(model, lambda net: net(torch.randn(1, 5, 8)), "layers.0.self_attn")
    assert found.weights.shape == (2, 5, 5)
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(2, 5))


@pytest.mark.parametrize("look", ["receptive", "features", "heads"])
def test_nothing_is_left_behind(look):
    torch.manual_seed(0)
    model, x = ImageAttention(3, layers=1), torch.randn(1, 1, 28, 28)
    if look != "heads":
        model = cnn()
        model[4].eval()
        x = torch.randn(1, 1, 14, 14)
        model[0].weight.requires_grad_(False)
    model(torch.cat([x, x])).sum().backward()
    model.register_forward_hook(lambda *_: None)

    def state():
        return (
            [one.clone() for one in model.state_dict().values()],
            [one.grad if one.grad is None else one.grad.clone() for one in model.parameters()],
            [one.requires_grad for one in model.parameters()],
            [(one.training, len(one._forward_hooks), len(one._forward_pre_hooks)) for one in model.modules()],
            torch.get_rng_state(),
        )

    before = state()
    if look == "receptive":
        receptive(model, x, "4")
    elif look == "features":
        features(model, x, "4")
    else:
        heads(model, lambda net: net(x))
    after = state()
    assert all(map(torch.equal, before[0], after[0])) and torch.equal(before[4], after[4])
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    assert before[2:4] == after[2:4] and not x.requires_grad


X = torch.zeros(1, 1, 28, 28)


@pytest.mark.parametrize(
    ("look", "error", "words"),
    [
        (lambda: features(LeNet(), X, "features.33"), UnknownName, "did you mean 'features.3'"),
        (lambda: features(nn.Sequential(nn.Flatten()), X), UsageError, "no convolution: name a layer"),
        (lambda: features(ImageAttention(), X, "attention.norm"), UsageError, r"gives \(1, 49, 64\)"),
        (lambda: receptive(LeNet(), X, "features.3", channel=16), UsageError, "from 0 to 15 of 'features.3'; got 16"),
        (lambda: receptive(LeNet(), X, "features.3", at=(0, 10)), UsageError, "column from 0 to 9 .* got 0,10"),
        (lambda: receptive(LeNet(), X, "classifier.5", at=(0, 0)), UsageError, "have no row and column"),
        (lambda: receptive(LeNet(), X[0], "features.0"), UsageError, "expected one image"),
        (lambda: features(LeNet(), torch.zeros(1, 3, 28, 28)), OwnCodeError, r"fails on an input of shape \(1, 3, 28"),
        (lambda: filters(nn.Sequential(nn.Linear(7, 2))), UsageError, "expected a convolution larger"),
        (lambda: heads(LeNet(), lambda net: net(X)), UsageError, "LeNet has none"),
        (lambda: heads(ImageAttention(), lambda net: net(X), "attention.norm"), UnknownName, "no attention layer"),
        (lambda: heads(GraphAttention(), lambda net: None), UsageError, "does not run"),
    ],
)
def test_bad_input(look, error, words):
    with pytest.raises(error, match=words):
        look()


def test_layers_without_a_gradient_are_refused():
    class Rounded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3)

        def forward(self, x):
            return self.conv(x.detach())

    with pytest.raises(UsageError, match="none does from 'conv'"):
        receptive(Rounded().requires_grad_(False), X, "conv")
    with pytest.raises(UsageError, match="none does from 'conv'"):
        receptive(Rounded(), X, "conv")
