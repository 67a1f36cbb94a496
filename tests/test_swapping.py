"""`swap`: exchanging the activations of networks that exist."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab import define, swap
from actlab.activations import get
from actlab.errors import UnknownName, UsageError


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3), nn.Sigmoid())


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return torch.sigmoid(self.second(F.relu(self.first(x)).relu()))


class Branching(Functional):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


X = torch.linspace(-2, 2, 12).reshape(3, 4)


def test_all_hidden_activations_and_no_gate():
    model = plain()
    done = swap(model, "gelu")
    assert done.model is model
    assert done.exchanged == (("1", "relu", "gelu"), ("3", "tanh", "gelu"))
    assert [type(module) for module in model][1::2] == [nn.GELU, nn.GELU, nn.Sigmoid]
    assert done.left == (("5", "sigmoid is a gate or an output; name it to exchange it"),)


def test_only_those_named_by_any_of_their_names():
    model = plain()
    assert swap(model, {"relu": "snake", "logistic": "hard_sigmoid"}).exchanged == (
        ("1", "relu", "snake"),
        ("5", "sigmoid", "hard_sigmoid"),
    )
    torch.testing.assert_close(model[1](X), get("snake")(X))
    assert isinstance(model[3], nn.Tanh)


def test_the_same_module_in_two_places_stays_one():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), shared)
    assert len(swap(model, "prelu").exchanged) == 2
    assert model[1] is model[3]


def test_calls_of_functions_and_methods():
    model = Functional()
    expected = torch.sigmoid(model.second(F.gelu(F.gelu(model.first(X)))))
    done = swap(model, "gelu")
    assert [(old, new) for _, old, new in done.exchanged] == [("relu", "gelu"), ("relu", "gelu")]
    torch.testing.assert_close(done.model(X), expected)
    assert done.model.first.weight is model.first.weight


def test_what_cannot_be_traced_is_said():
    with pytest.raises(UsageError, match="Branching: calls of functions, if any, could not be reached"):
        swap(Branching(), "gelu")
    inside = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), inside)
    left = dict(swap(model, "gelu").left)
    assert "fixed in its code" in left["2"]


def test_matching_the_gain_keeps_the_size_of_activations():
    torch.manual_seed(0)
    x = torch.randn(4096, 64)
    sizes = {}
    for gain in ("keep", "match"):
        torch.manual_seed(1)
        model = nn.Sequential(
            *[part for _ in range(12) for part in (nn.Linear(64, 64, bias=False), nn.ReLU())],
            nn.Linear(64, 64, bias=False),
        )
        for layer in model[::2]:
            nn.init.kaiming_normal_(layer.weight)
        before = model(x).std()
        sizes[gain] = (swap(model, "gelu", gain=gain).model(x).std() / before).item()
    assert sizes["keep"] < 0.6 and 0.8 < sizes["match"] < 1.25


def test_a_users_own_activation_can_be_exchanged_too():
    own = define("own", "x * tanh(c * x)", c=1.5)
    for gain in ("keep", "match"):
        model = nn.Sequential(nn.Linear(4, 4), own.module(), nn.Linear(4, 4))
        assert swap(model, "gelu", gain=gain).exchanged == (("1", "own", "gelu"),)
    model = nn.Sequential(nn.Linear(4, 4), own.module(), nn.ReLU())
    assert swap(model, {"relu": "mish"}).exchanged == (("2", "relu", "mish"),)


def test_evaluation_mode_and_learnt_parameters_survive():
    model = plain().eval()
    swap(model, "rrelu")
    assert not model[1].training
    assert torch.equal(model(X), model(X))


@pytest.mark.parametrize(
    "new, kind, words",
    [
        ("siul", UnknownName, "no activation 'siul'; did you mean 'silu'?"),
        ({"relu": "siul"}, UnknownName, "'silu'"),
        ({"rleu": "silu"}, UnknownName, "'relu'"),
        ("softmax", UsageError, "softmax is a function of whole vectors"),
        ({"elu": "gelu"}, UsageError, "found no activation to exchange"),
    ],
)
def test_refusals(new, kind, words):
    with pytest.raises(kind) as raised:
        swap(plain(), new)
    assert words in str(raised.value)


class InPlace(Functional):
    def forward(self, x):
        x = self.first(x)
        F.relu(x, inplace=True)
        return self.second(x)


class Dropping(Functional):
    def forward(self, x):
        return F.dropout(F.relu(self.first(x)), 0.5, training=self.training)


def test_an_activation_in_place_whose_result_is_not_used_stays_in_effect():
    model = InPlace()
    expected = model.second(F.gelu(model.first(X)))
    torch.testing.assert_close(swap(model, "gelu").model(X), expected)


class InPlaceModule(Functional):
    """Ways to see that a module wrote into its input."""

    def __init__(self, kind="dropped", traceable=True):
        super().__init__()
        self.kind, self.traceable = kind, traceable
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        if not self.traceable and x.sum() > 1e9:
            return x
        x = self.first(x)
        if self.kind == "dropped":
            self.act(x)
            return self.second(x)
        if self.kind == "reused":
            return self.second(self.act(x) + x)
        if self.kind == "viewed":
            return self.second(self.act(x.view(-1, 8)) + x)
        y = self.second(self.act(x))
        y += self.second(torch.ones_like(y[:, :1]).expand(-1, 8))
        return self.act(y)


@pytest.mark.parametrize("traceable", [True, False])
@pytest.mark.parametrize("kind", ["dropped", "reused", "viewed", "plain"])
def test_modules_in_place_stay_so_where_it_shows(kind, traceable):
    model = InPlaceModule(kind, traceable)
    first = model.first(X)
    second = {
        "dropped": F.gelu(first),
        "reused": 2 * F.gelu(first),
        "viewed": 2 * F.gelu(first),
        "plain": F.gelu(first),
    }
    expected = model.second(second[kind])
    if kind == "plain":
        expected = F.gelu(expected + model.second(torch.ones(3, 8)))
    gradient = torch.autograd.grad(expected.square().sum(), model.first.weight)[0]
    done = swap(model, "gelu").model
    torch.testing.assert_close(done(X), expected)
    torch.testing.assert_close(torch.autograd.grad(done(X).square().sum(), done.first.weight)[0], gradient)
    plain = kind == "plain" and traceable
    assert isinstance(done.act, nn.GELU) == plain
    again = swap(done, {"gelu": "mish"}).model
    assert torch.isfinite(again(X)).all()


def test_a_function_is_not_exchanged_for_itself():
    for module, name in ((nn.SiLU(), "silu"), (nn.Hardswish(), "hardswish"), (nn.Tanh(), "tanh")):
        with pytest.raises(UsageError, match="found no activation"):
            swap(nn.Sequential(nn.Linear(2, 2), module), name)
    assert swap(nn.Sequential(nn.SiLU()), "swish").exchanged  # whose slope parameter learns


def test_names_of_ones_own_activations_can_be_asked_for():
    own = define("own_of_swap", "x * tanh(c * x)", c=1.5)
    model = nn.Sequential(nn.Linear(4, 4), own.module(), nn.ReLU())
    assert swap(model, {"own_of_swap": "gelu"}).exchanged == (("1", "own_of_swap", "gelu"),)


def test_code_that_differs_between_training_and_evaluation_is_left_alone():
    with pytest.raises(UsageError, match="differs between training and evaluation"):
        swap(Dropping(), "gelu")


def test_mode_type_hooks_and_unused_parts_survive_tracing():
    model = Functional().double().eval()
    model.spare = nn.Linear(2, 2)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    done = swap(model, {"relu": "star_relu"}).model
    done(X.double())
    assert calls and not done.training and "spare.weight" in done.state_dict()
    assert {parameter.dtype for name, parameter in done.named_parameters() if name.startswith("exchanged")} == {
        torch.float64
    }


def test_matching_the_gain_reaches_calls_of_functions():
    model = Functional()
    before = model.second.weight.clone()
    swap(model, {"relu": "tanh"}, gain="match")
    assert not torch.equal(model.second.weight, before)


def test_torchs_fast_path_of_a_transformer_layer_is_told():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=nn.GELU(), batch_first=True, dropout=0.0).eval()
    done = swap(layer, "mish").model
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        fast = done(x)
    torch.testing.assert_close(fast, done(x))


def test_the_name_of_an_entry_reaches_what_its_aliases_fix():
    model = nn.Sequential(nn.Linear(4, 4), nn.SiLU(), nn.ReLU6())
    assert swap(model, {"swish": "gelu", "clipped_relu": "tanh"}).exchanged == (
        ("1", "silu", "gelu"),
        ("2", "relu6", "tanh"),
    )


def test_parts_in_a_mode_of_their_own_stay_in_it():
    model = Functional().train()
    model.first.eval()
    done = swap(model, "gelu").model
    assert done.training and not done.first.training and done.second.training
