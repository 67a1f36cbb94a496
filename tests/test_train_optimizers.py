"""Who is decayed, and Muon on convolutions."""

import pytest
import torch
from torch import nn

from actlab.errors import UsageError
from actlab.train.optimizers import ConvolutionMuon, build, decayed, hidden_convolutions
from actlab.train.settings import Settings


class Slope(nn.Module):
    """An activation of one's own whose parameter is a matrix."""

    decays = False

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(3, 4))
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x) * self.table[0]


def names(model, parameters):
    known = {parameter: name for name, parameter in model.named_parameters()}
    return {known[parameter] for parameter in parameters}


SPARED = {
    "linear bias": (nn.Linear(3, 2), {"bias"}),
    "convolution bias": (nn.Conv2d(3, 2, 3), {"bias"}),
    "batch norm": (nn.BatchNorm2d(3), {"weight", "bias"}),
    "layer norm of one axis": (nn.LayerNorm(3), {"weight", "bias"}),
    "layer norm of three axes": (nn.LayerNorm((3, 4, 4)), {"weight", "bias"}),
    "group norm": (nn.GroupNorm(1, 3), {"weight", "bias"}),
    "rms norm of two axes": (nn.RMSNorm((3, 4)), {"weight"}),
    "prelu": (nn.PReLU(5), {"weight"}),
    "lstm biases": (nn.LSTM(3, 2), {"bias_ih_l0", "bias_hh_l0"}),
    "attention biases": (nn.MultiheadAttention(4, 2, add_bias_kv=True), {"in_proj_bias", "out_proj.bias", "bias_k", "bias_v"}),
    "a module that says so": (Slope(), {"table", "inner.bias"}),
}  # fmt: skip


@pytest.mark.parametrize("case", SPARED)
def test_weight_decay_leaves_alone(case):
    model, expected = SPARED[case]
    shrunk, spared = decayed(model)
    assert names(model, spared) == expected
    assert names(model, shrunk) == {name for name, _ in model.named_parameters()} - expected


def test_a_prelu_reshaped_to_a_matrix_is_spared():
    prelu = nn.PReLU(4)
    prelu.weight = nn.Parameter(torch.full((4, 1), 0.25))
    assert names(prelu, decayed(prelu)[1]) == {"weight"}


def test_shared_and_frozen_parameters_count_once_and_not_at_all():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    first.bias.requires_grad_(False)
    model = nn.Sequential(first, second)
    shrunk, spared = decayed(model)
    assert [len(shrunk), len(spared)] == [1, 1]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_decay_shrinks_exactly_the_weights(optimizer):
    """With gradients of zero a step is decay alone: by rate * decay, and nothing for those left alone."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.PReLU(2), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2)
    )
    nn.init.normal_(model[3].weight)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    settings = Settings(optimizer=optimizer, learning_rate=0.1, muon_learning_rate=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for one in build(model, settings):
        one.step()
    for name, parameter in model.named_parameters():
        shrinks = name in ("0.weight", "2.weight", "5.weight")
        torch.testing.assert_close(parameter.detach(), before[name] * (0.95 if shrinks else 1.0))


def convolutions(layout):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3), nn.Conv2d(16, 8, 5)).to(memory_format=layout)
    return model, [layer.weight for layer in model]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_muon_is_torchs_on_the_matrices(layout, decay):
    _, weights = convolutions(layout)
    matrices = [nn.Parameter(weight.detach().contiguous().flatten(1).clone()) for weight in weights]
    start = [matrix.detach().clone() for matrix in matrices]
    ours = ConvolutionMuon(weights, lr=0.02, momentum=0.9, weight_decay=decay, ns_steps=4)
    theirs = torch.optim.Muon(matrices, lr=0.02, momentum=0.9, weight_decay=decay, nesterov=True, ns_steps=4)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for weight, matrix in zip(weights, matrices, strict=True):
            gradient = torch.randn(weight.shape, generator=generator)
            weight.grad = gradient.to(memory_format=layout)
            matrix.grad = gradient.flatten(1).clone()
        ours.step()
        theirs.step()
    for weight, matrix, old in zip(weights, matrices, start, strict=True):
        found = weight.detach().contiguous().flatten(1)
        if layout == torch.contiguous_format:
            assert torch.equal(found, matrix.detach())
        else:  # Newton-Schulz runs in bfloat16, and sums over permuted columns round differently: 8 bits of each of the updates
            moved = (matrix.detach() - old).abs().max().item()
            torch.testing.assert_close(found, matrix.detach(), rtol=0, atol=moved * 2**-5)
        assert not torch.equal(found, old)


def test_muon_updates_the_weights_in_place_and_forgets_their_gradients():
    model, weights = convolutions(torch.channels_last)
    addresses = [weight.data_ptr() for weight in weights]
    muon = ConvolutionMuon(weights, lr=0.02, momentum=0.9, weight_decay=0.0, ns_steps=4)
    model(torch.randn(2, 3, 12, 12)).sum().backward()
    muon.step()
    muon.zero_grad()
    assert [weight.data_ptr() for weight in weights] == addresses
    assert all(weight.grad is None for weight in weights)


def test_muon_trains_every_convolution_but_the_first_and_sgd_the_rest():
    model, weights = convolutions(torch.contiguous_format)
    assert list(map(id, hidden_convolutions(model))) == list(map(id, weights[1:]))
    muon, rest = build(model, Settings(optimizer="muon"))
    assert isinstance(muon, ConvolutionMuon)
    others = {parameter for group in rest.param_groups for parameter in group["params"]}
    assert others == set(model.parameters()) - set(weights[1:])


@pytest.mark.parametrize(
    ("model", "settings", "word"),
    [
        (nn.Linear(2, 2), {"optimizer": "muon"}, "convolutions"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)), {"optimizer": "muon", "precision": "fp16"}, "fp16"),
        (nn.Flatten(), {}, "trainable"),
    ],
    ids=["muon without convolutions", "muon in fp16", "nothing to train"],
)
def test_refused(model, settings, word):
    with pytest.raises(UsageError, match=word):
        build(model, Settings(**settings))


@pytest.mark.parametrize("name", ["prelu", "swish", "snake", "star_relu", "xielu"])
def test_parameters_of_the_catalogues_activations_are_never_decayed(name):
    """Even one for each element, which has the shape of a weight."""
    from actlab import activations

    layer = activations.get(name).module(size=(4, 4))
    shrunk, spared = decayed(nn.Sequential(nn.Linear(4, 4), layer))
    assert len(shrunk) == 1
    assert {id(parameter) for parameter in layer.parameters()} <= {id(parameter) for parameter in spared}
