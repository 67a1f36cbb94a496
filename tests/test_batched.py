"""Many trainings as one batch, against `fit` one after another: the same rows, the same weights, and refusals in one sentence."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab import _language
from actlab.activations import Activation, get, names
from actlab.comparison.batched import NotBatched, train_batched, why_not, worth
from actlab.models.lenet import LeNet
from actlab.models.mlp import MLP
from actlab.train import Diverged, Parts, Settings, TensorPart, change, fit

CLOSE = {torch.float32: 1e-5, torch.float64: 1e-10}
BASE = Settings(steps=25, batch_size=16, learning_rate=0.1, momentum=0.9, device="cpu", keep_memory=False)


def points(count, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return inputs.to(dtype), (inputs.prod(1) > 0).long()


def plane(dtype=torch.float32, **others):
    """Fifty training examples: an epoch of 16 a step ends with a smaller batch."""
    return Parts(*(TensorPart(*points(count, dtype, count)) for count in (50, 20, 30)), **others)


def networks(make, count=3, dtype=torch.float32):
    torch.manual_seed(5)
    return [make().to(dtype) for _ in range(count)]


def small(activation="tanh"):
    return MLP(2, inputs=2, hidden=(8, 8), activation=activation)


def several(count=3, **changes):
    """Settings that differ in seed and rate."""
    base = change(BASE, changes)
    return [change(base, {"seed": 3 + n, "learning_rate": base.learning_rate * (1 + n / 4)}) for n in range(count)]


def assert_same_weights(found, expected, tolerance):
    for (name, one), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(
            one, other, rtol=tolerance, atol=tolerance * float(other.detach().abs().max()), msg=lambda m, n=name: f"{n}: {m}"
        )  # fmt: skip


def assert_same_as_fit(models, parts, settings, *, loss=None, dtype=torch.float32, tolerance=None):
    """Rows, test result and weights."""
    tolerance = tolerance or CLOSE[dtype]
    alone = copy.deepcopy(models)
    outcomes = train_batched(models, parts, settings=settings, loss=loss)
    for model, other, own, outcome in zip(models, alone, settings, outcomes, strict=True):
        run = fit(other, parts, settings=own, loss=loss)
        assert_same_weights(model, other, tolerance)
        assert (outcome.steps, outcome.stopped, len(outcome.epochs)) == (run.steps, "", len(run.epochs))
        for found, expected in zip(outcome.epochs, run.epochs, strict=True):
            for name, value in expected.model_dump().items():
                # `fit` evaluates in float32, whatever the network has
                close = max(tolerance, 1e-5) if name.startswith("validation") else tolerance
                assert getattr(found, name) == (pytest.approx(value, rel=close) if isinstance(value, float) else value)
        if run.test is None:
            assert outcome.test is None
            continue
        assert (outcome.test.count, outcome.test.accuracy) == (run.test.count, run.test.accuracy)
        assert outcome.test.loss == pytest.approx(run.test.loss, rel=1e-5)
    return outcomes


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": 0.0},
        {"nesterov": True, "weight_decay": 0.05, "schedule": "onecycle"},
        {"schedule": "cosine", "clip_norm": 0.1},
        {"schedule": "triangular", "clip_norm": 0.2, "clip_value": 0.03, "label_smoothing": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 0.01, "schedule": "cosine"},
        {"epochs": 3},
        {"steps": 0},
        {"batch_size": 500},
    ],
    ids=lambda changes: "+".join(f"{key}={value}" for key, value in changes.items()) or "plain",
)
def test_the_numbers_are_those_of_fit(changes, dtype):
    assert_same_as_fit(networks(small, dtype=dtype), plane(dtype), several(**changes), dtype=dtype)


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
def test_convolutions_are_right(dtype):
    images, labels = torch.randn(40, 1, 28, 28, dtype=dtype), torch.arange(40) % 10
    part = TensorPart(images, labels)
    models = networks(lambda: LeNet(activation="gelu"), 2, dtype)
    assert_same_as_fit(models, Parts(part, test=part), several(2, steps=12, learning_rate=0.02), dtype=dtype)


def test_bytes_are_prepared_for_every_network():
    images = torch.randint(256, (60, 1, 28, 28), dtype=torch.uint8)
    part = TensorPart(images, torch.arange(60) % 10)
    parts = Parts(part, test=part, prepare=lambda inputs, training: inputs.float() / 255)
    assert_same_as_fit(networks(lambda: MLP(hidden=(16,))), parts, several(steps=15))


POINTWISE = [name for name in names() if isinstance(get(name), Activation) and not get(name).jumps and name != "rrelu"]


@pytest.mark.parametrize("name", POINTWISE)
def test_every_activation_trains_as_it_does_alone(name):
    models = networks(lambda: small(name), 2, torch.float64)
    for weight in (weight for model in models for weight in model.parameters() if weight.dim() > 1):
        weight.data *= 0.5  # two exponentials, one upon the other, overflow otherwise
    parts = Parts(TensorPart(*points(50, torch.float64)))
    assert_same_as_fit(models, parts, several(2, steps=10, learning_rate=0.005), dtype=torch.float64)


@pytest.mark.parametrize("name", ["prelu", "swish", "gelu", "snake"])
def test_learnable_activations_in_single_precision(name):
    models = networks(lambda: small(name))
    before = copy.deepcopy(models[0].state_dict())
    assert_same_as_fit(models, plane(), several(weight_decay=0.1))
    changed = [key for key, value in models[0].state_dict().items() if not torch.equal(value, before[key])]
    assert len(changed) == len(before)


def test_a_loss_of_ones_own():
    inputs, _ = points(50)
    part = TensorPart(inputs, inputs.sum(1, keepdim=True).sin())
    models = networks(lambda: MLP(1, inputs=2, hidden=(8,), activation="tanh"))
    outcomes = assert_same_as_fit(models, Parts(part, test=part), several(), loss=F.mse_loss)
    assert outcomes[0].test.accuracy is None


def test_unknown_targets_are_left_out_of_the_mean():
    inputs, targets = points(50)
    targets[::3] = -100
    assert_same_as_fit(networks(small), Parts(TensorPart(inputs, targets)), several(label_smoothing=0.1, batch_size=25))


class Tied(nn.Module):
    """One matrix under two names, one that does not learn, and one that is never used."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.idle = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.again.weight = self.first.weight
        self.fixed = nn.Linear(2, 2).requires_grad_(False)
        self.norm = nn.BatchNorm1d(2).eval()

    def forward(self, inputs):
        return self.again(self.norm(self.fixed(torch.tanh(self.first(inputs)))))


def test_shared_frozen_and_idle_weights():
    def make():
        model = Tied()
        model.norm.eval()
        return model

    models = networks(make)
    assert_same_as_fit(models, plane(), several(weight_decay=0.1))
    assert models[0].training and not models[0].norm.training


def test_one_network_is_a_batch_too():
    assert_same_as_fit(networks(small, 1), plane(), several(1))


def test_the_order_of_the_list_changes_nothing():
    settings, forward = several(4), networks(small, 4)
    backward = copy.deepcopy(forward)[::-1]
    first = train_batched(forward, plane(), settings=settings)
    second = train_batched(backward, plane(), settings=settings[::-1])[::-1]
    for one, other, outcome, again in zip(forward, backward[::-1], first, second, strict=True):
        assert_same_weights(one, other, 1e-6)
        assert outcome.epochs[-1].train_loss == pytest.approx(again.epochs[-1].train_loss, rel=1e-6)


def test_twice_is_the_same_bit_for_bit():
    found = []
    for _ in range(2):
        models = networks(small)
        found.append((train_batched(models, plane(), settings=several()), [model.state_dict() for model in models]))
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("why", ["not finite", "ran away", "no gradient"])
def test_a_diverging_network_disturbs_nobody(why):
    activation = "relu" if why == "no gradient" else "identity"
    models, settings = networks(lambda: small(activation), 4), several(4, steps=60, learning_rate=0.01)
    healthy = copy.deepcopy(models)
    if why == "no gradient":
        with torch.no_grad():
            for model in (models[1], healthy[1]):
                model.layers[3].bias.fill_(-100.0)
    else:
        settings[1] = change(settings[1], {"learning_rate": 1e30 if why == "not finite" else 2.0})
        if why == "ran away":
            models[1].layers[1].weight.data *= 30
            healthy[1].layers[1].weight.data *= 30
            settings = [change(one, {"divergence": 1.5, "steps": 60}) for one in settings]
            settings[1] = change(settings[1], {"learning_rate": 1e-2})
    outcomes = train_batched(models, plane(), settings=settings)
    assert [outcome.diverged for outcome in outcomes] == [False, True, False, False]
    assert outcomes[1].stopped == why
    with pytest.raises(Diverged, match=f"step {outcomes[1].steps}[: ]"):
        fit(healthy[1], plane(), settings=settings[1])
    assert outcomes[1].test is None
    assert all(bool(weight.isfinite().all()) for weight in models[1].parameters())
    for place in (0, 2, 3):
        run = fit(healthy[place], plane(), settings=settings[place])
        assert_same_weights(models[place], healthy[place], 1e-5)
        assert outcomes[place].test.loss == pytest.approx(run.test.loss, rel=1e-5)


def test_when_all_diverge_nothing_is_left_to_do():
    outcomes = train_batched(networks(small), plane(), settings=several(learning_rate=1e38))
    assert all(outcome.diverged for outcome in outcomes)


class Deciding(nn.Module):
    """Control flow by values."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, inputs):
        outputs = self.layer(inputs)
        return outputs if outputs.sum() > 0 else -outputs


class Noisy(Deciding):
    def forward(self, inputs):
        return self.layer(inputs + torch.rand_like(inputs))


class Counting(Deciding):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs):
        self.calls += 1
        return self.layer(inputs)


def normed():
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def scaled():
    """The same to read, but each with a scale of its own."""
    model, scale = Deciding(), float(torch.rand(())) + 1
    model.forward = lambda inputs: model.layer(inputs) * scale
    return model


def noise(inputs, training):
    return inputs + torch.randn_like(inputs) if training else inputs


REFUSED = {
    "precision": ("cannot have precision=bf16", small, {"precision": "bf16"}, {}),
    "ema": ("cannot have ema=0.9", small, {"ema": 0.9}, {}),
    "patience": ("cannot have patience=2", small, {"patience": 2}, {}),
    "muon": ("cannot have optimizer=muon", small, {"optimizer": "muon"}, {}),
    "compile": ("cannot have compile=True", small, {"compile": True}, {}),
    "dropout": (r"'layers.3' \(Dropout\) draws random", lambda: MLP(2, inputs=2, dropout=0.5), {}, {}),
    "rrelu": (r"'layers.2' \(Pointwise\) draws random", lambda: small(lambda: get("rrelu").module()), {}, {}),
    "norm": (r"'1' \(BatchNorm1d\) keeps running statistics", normed, {}, {}),
    "still": ("no trainable|it has none", lambda: small().requires_grad_(False), {}, {}),
    "control": ("cannot be computed for all weights at once", Deciding, {}, {}),
    "noise": ("network draws random numbers", Noisy, {}, {}),
    "buffer": ("changes its buffers", Counting, {}, {}),
    "other": ("computes something else", scaled, {}, {}),
    "augment": ("prepare augments", small, {}, {"prepare": noise}),
    "mixing": ("prepare augments", small, {}, {"prepare": lambda inputs, training: inputs - inputs.mean(0)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_be_exact_is_refused(name):
    sentence, make, changes, others = REFUSED[name]
    models, parts, settings = networks(make), plane(**others), several(**changes)
    before = [copy.deepcopy(model.state_dict()) for model in models]
    with pytest.raises(NotBatched, match=sentence) as caught:
        train_batched(models, parts, settings=settings)
    text = str(caught.value)
    assert text == why_not(models, settings, parts=parts) and "\n" not in text and not text.endswith(".")
    _language.choose("zh")
    assert any(ord(letter) > 0x4E00 for letter in why_not(models, settings, parts=parts) or "")
    for model, kept in zip(models, before, strict=True):
        assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([small("relu")], "network 1 has layer 'layers.2': ReLU, the first layer 'layers.2': Tanh"),
        (
            [small(get("elu").module), small(get("celu").module)],
            "network 1 has 'layers.2.activation': <activation celu",
        ),
        (
            [small(lambda: get("elu").module(a=0.5)), small(lambda: get("elu").module(a=0.7))],
            "'layers.2.a': 0.7, the first .*0.5",
        ),
        ([MLP(2, inputs=2, hidden=(8, 9), activation="tanh")], r"'layers.3.weight': \(9, 8\)"),
        ([MLP(2, inputs=2, hidden=(8,), activation="tanh")], "network 1 has"),
        ([small().double()], "float64"),
    ],
    ids=["activation", "entry", "alpha", "width", "depth", "type"],
)
def test_networks_differ_in_their_weights_alone(others, sentence):
    models = others if len(others) > 1 else [small(), *others]
    with pytest.raises(NotBatched, match=sentence):
        train_batched(models, plane(), settings=several(2))


def test_settings_and_lists_that_do_not_fit():
    one = small()
    assert "comes twice" in why_not([one, one], several(2))
    assert "1 networks and 2 settings" in why_not([one], several(2))
    assert "0 networks" in why_not([], [])
    settings = [BASE, change(BASE, {"momentum": 0.5})]
    assert "training 1 has momentum=0.5, the first 0.9" in why_not(networks(small, 2), settings)
    assert why_not(networks(small, 2), several(2)) is None


def test_a_dropout_that_is_off_is_no_hindrance():
    def make():
        model = MLP(2, inputs=2, hidden=(8,), activation="tanh", dropout=0.5)
        model.layers[3].eval()
        return model

    assert_same_as_fit(networks(make), plane(), several())


def test_progress_is_told_and_rules_are_known():
    seen = []
    train_batched(networks(small), plane(), settings=several(steps=5), after_step=lambda *place: seen.append(place))
    assert seen == [(step, 5) for step in range(1, 6)]
    assert worth(networks(small)) and not worth(networks(small, 1))
    assert not worth(networks(LeNet)) and worth(networks(LeNet), device="cuda")
