"""Diagnosis of networks and loops that are not of the common kind: nothing is raised into them, nothing is missed or made up."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from actlab.diagnosis import diagnose, watch
from actlab.diagnosis._probe import Probe
from actlab.errors import UsageError
from networks import mlp, pictures, rows, sequences


def grave(found):
    return [(one.rule, one.layer) for one in found.findings if one.severity != "note"]


def steps(model, batches, rate=0.05, w=None, optimizer=torch.optim.SGD):
    optimizer = optimizer(model.parameters(), lr=rate)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize(("channels", "side", "dims"), [(12, 8, 2), (8, 8, 2), (12, 9, 1), (9, 9, 1)])
def test_dead_channels_are_those_of_all_batches(channels, side, dims):
    """By hand: the channels whose pre-activations are never above 0."""
    torch.manual_seed(0)
    conv, pool = (nn.Conv2d, nn.AdaptiveAvgPool2d) if dims == 2 else (nn.Conv1d, nn.AdaptiveAvgPool1d)
    model = nn.Sequential(
        conv(1, channels, 3, padding=1), nn.ReLU(), pool(2), nn.Flatten(), nn.Linear(channels * 2**dims, 4)
    )
    with torch.no_grad():
        model[0].bias[:4] -= 1.2
    data = [torch.randn(16, 1, *[side] * dims) * (0.3 + 0.3 * number) for number in range(6)]
    probe = Probe(model)
    for x in data:
        model(x)
    probe.close()
    with torch.no_grad():
        works = torch.stack([(model[0](x) > 0).transpose(0, 1).flatten(1).any(1) for x in data]).any(0)
    assert probe.sites["1"].units == channels
    assert probe.sites["1"].silent == tuple((~works).nonzero().flatten().tolist())


@pytest.mark.parametrize("seed", range(2))
def test_half_of_the_channels_dead(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Linear(256, 4),
    )  # fmt: skip
    with torch.no_grad():
        model[2].bias[:8] -= 20
    assert grave(diagnose(model, pictures(seed, side=16))) == [("dead-unit", "3")]


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Sequential(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20)), nn.Linear(20, 4)

    def forward(self, x):
        return self.out(checkpoint(self.body, x.requires_grad_(), use_reentrant=False))


def test_checkpointing_is_let_be():
    torch.manual_seed(0)
    model = Checkpointed()
    with watch(model, every=1) as w:
        steps(model, rows(batches=4))
    assert "body.1" in {one.name for one in w.diagnosis().sites}
    assert not grave(diagnose(Checkpointed(), rows()))


def test_gradients_of_single_samples_are_let_be():
    torch.manual_seed(0)
    model = mlp()
    weights = {name: one.detach() for name, one in model.named_parameters()}
    x, y = rows(batches=1)[0]

    def loss(given, one, target):
        return F.cross_entropy(torch.func.functional_call(model, given, (one[None],)), target[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    plain = each(weights, x, y)
    with watch(model, every=1) as w:
        seen = each(weights, x, y)
    assert all(map(torch.equal, plain.values(), seen.values()))
    assert w.diagnosis().unseen


class Named(nn.Module):
    """Everything called by keyword."""

    def __init__(self):
        super().__init__()
        self.recurrent, self.out = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 4)

    def forward(self, x):
        return self.out(F.gelu(input=self.recurrent(input=x)[0].mean(1)))


def test_calls_by_keyword_are_seen():
    torch.manual_seed(0)
    found = diagnose(Named(), sequences())
    assert not grave(found) and [one.activation for one in found.sites] == ["gelu"]
    assert {one.name for one in found.layers} == {"recurrent", "out"}


def test_units_that_die_while_it_is_watched():
    torch.manual_seed(0)
    model, data = mlp(), rows() * 13
    with watch(model) as w:
        steps(model, data[:20])
        with torch.no_grad():
            model[2].bias -= 30
        steps(model, data[20:200])
    assert ("dead-unit", "3") in grave(w.diagnosis())


class TinyGPT(nn.Module):
    """The start of GPT-2: 0.02 everywhere, less on the way into the residual stream."""

    def __init__(self, width=128, layers=2, words=65):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(32, width)
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            parts = {"n1": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)}
            parts |= {"n2": nn.LayerNorm(width), "fc": nn.Linear(width, 4 * width), "back": nn.Linear(4 * width, width)}
            self.blocks.append(nn.ModuleDict(parts))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        for name, one in self.named_parameters():
            if one.dim() == 2:
                nn.init.normal_(one, std=0.02 / (2 * layers) ** 0.5 if "proj" in name or "back" in name else 0.02)
        self.head.weight = self.words.weight

    def forward(self, x):
        h = self.words(x) + self.places(torch.arange(x.shape[1]))
        for one in self.blocks:
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in one["qkv"](one["n1"](h)).chunk(3, -1))
            h = h + one["proj"](F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            h = h + one["back"](F.gelu(one["fc"](one["n2"](h))))
        return self.head(self.norm(h))


@pytest.mark.parametrize("seed", range(2))
def test_a_start_as_of_gpt_2_is_healthy(seed):
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    data = []
    for _ in range(12):
        first = torch.randint(0, 65, (12, 1), generator=draw)
        text = (first + 3 * torch.arange(33)) % 65
        data.append((text[:, :-1], text[:, 1:]))
    assert not grave(diagnose(TinyGPT(), data))


@pytest.mark.parametrize(("depth", "width"), [(5, 64), (8, 32), (3, 16)])
@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6])
def test_dead_units_of_a_deep_network_as_torch_starts_it_are_noted(depth, width, kind):
    torch.manual_seed(0)
    found = diagnose(mlp(kind, depth, width), rows())
    assert not [one for one in grave(found) if one[0] == "dead-unit"]


class Halved(nn.Module):
    """A layer that is left out of every other pass."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out, self.turn = nn.Linear(20, 32), nn.Linear(32, 32), nn.Linear(32, 4), 0

    def forward(self, x):
        self.turn += 1
        h = torch.relu(self.a(x))
        return self.out(h + torch.relu(self.b(h)) if self.turn % 2 else h)


def test_a_layer_used_in_some_passes_is_used():
    torch.manual_seed(0)
    assert not grave(diagnose(Halved(), rows()))


def test_not_a_number_in_the_inputs_is_said_of_the_inputs():
    torch.manual_seed(0)
    data = rows()
    data[2][0][5] = torch.nan
    found = diagnose(mlp(), data)
    assert grave(found) == [("not-finite", "")] and found.findings[0].details == {"what": "input", "batch": 3}


def test_a_network_that_is_frozen_throughout():
    torch.manual_seed(0)
    assert grave(diagnose(mlp().requires_grad_(False), rows())) == [("wrong-mode", "")]


class Packed(nn.Module):
    def __init__(self, bias=0.0):
        super().__init__()
        self.recurrent, self.out = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 4)
        with torch.no_grad():
            self.recurrent.bias_ih_l0[32:64] = bias

    def forward(self, x):
        packed = pack_padded_sequence(x, torch.full((len(x),), x.shape[1] - 2), batch_first=True)
        return self.out(self.recurrent(packed)[1][0][0])


def test_packed_sequences_are_looked_into():
    torch.manual_seed(0)
    healthy, forgetful = diagnose(Packed(), sequences()), diagnose(Packed(-12.0), sequences())
    assert not grave(healthy) and "recurrent" in {one.name for one in healthy.layers}
    assert grave(forgetful) == [("recurrent", "recurrent")]


def test_a_watch_that_saw_nothing_says_so_and_is_over_after_its_block():
    model = mlp()
    w = watch(model)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules()), "nothing before `with`"
    with w:
        for x, y in rows(batches=4):
            F.cross_entropy(model[6](model[5](model[4](model[3](model[2](model[1](model[0](x))))))), y).backward()
    assert "forward was never called" in w.diagnosis().unseen[0]
    with pytest.raises(UsageError, match=r"this watch is over: make a new one by actlab\.watch\(model\)"), w:
        pass


def test_steps_are_measured_through_accumulated_gradients():
    torch.manual_seed(0)
    model, data = mlp(nn.GELU), rows() * 25
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model) as w:
        for number, (x, y) in enumerate(data):
            F.cross_entropy(model(x), y).backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    updates = [one.update for one in w.diagnosis().layers]
    assert all(update is not None and 1e-5 < update < 0.2 for update in updates)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.LazyLinear(4)

    def forward(self, x):
        return self.out(x)


@pytest.mark.parametrize(
    ("make", "loss", "said"),
    [
        (mlp, lambda out, y: F.cross_entropy(out, y).detach(), "the loss does not depend on the weights: it was detached, or computed under no_grad"),
        (Lazy, None, "'out.weight' has no values yet: run the network on one batch first"),
        (lambda: mlp().to("meta"), None, "'0.weight' lies on the device 'meta', which holds no values: put the network on a real one"),
    ],
    ids=["detached", "lazy", "meta"],
)  # fmt: skip
def test_what_cannot_be_diagnosed(make, loss, said):
    with pytest.raises(UsageError) as caught:
        diagnose(make(), rows(), loss)
    assert str(caught.value) == said


def test_a_trial_that_fails_is_said_and_the_rest_stands():
    class Sparse(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(20, 16, sparse=True), nn.Linear(16, 4)

        def forward(self, x):
            return self.out(self.words(x).mean(1))

    draw = torch.Generator().manual_seed(0)
    data = [(x, x[:, 0] % 4) for x in torch.randint(0, 20, (8, 64, 6), generator=draw)]
    found = diagnose(Sparse(), data)
    assert not grave(found) and "the trial failed" in found.unseen[0]


def test_copies_in_a_transposed_convolution_are_units_that_put_out():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (5, 2, 2)), nn.ConvTranspose2d(5, 16, 2), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)
    )
    with torch.no_grad():
        model[1].weight[:] = model[1].weight[:, :1].clone()
        model[1].bias.zero_()
    assert grave(diagnose(model, rows())) == [("constant-units", "1")]
