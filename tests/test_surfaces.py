"""The loss around the weights, the network with two weights, and back-propagation step by step."""

import copy
import json
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab import activations
from actlab.diagnosis.diagnosing import default_loss
from actlab.errors import ActlabError, OwnCodeError, UnknownName, UsageError
from actlab.inspection import backpropagate, loss_surface, two_weights
from actlab.inspection.steps import as_lists, steps
from actlab.inspection.surface import direction
from networks import Recurrent as RecurrentNetwork
from networks import cnn, mlp, pictures, rows, sequences


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make()


def plain_loss(model, batches):
    """The mean over the examples, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return sum(len(x) * float(default_loss(model(x), y)) for x, y in batches) / sum(len(x) for x, _ in batches)


# The surface


def test_a_direction_has_the_filters_norms_and_leaves_biases_and_gains():
    model = seeded(cnn)
    weights = [one.detach().clone() for one in model.parameters()]
    weights[0][2] = 0  # a filter of zeros stays one
    found = direction(weights, torch.Generator().manual_seed(3))
    for weight, moved in zip(weights, found, strict=True):
        if weight.dim() > 1:
            torch.testing.assert_close(moved.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
        else:
            assert not moved.any()
    again = direction(weights, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize(("make", "data"), [(mlp, rows), (lambda: cnn(False), pictures), (RecurrentNetwork, sequences)])
def test_the_centre_is_the_plain_loss(make, data):
    model, batches = seeded(make), data(batches=3)
    batches[-1] = (batches[-1][0][:5], batches[-1][1][:5])  # a mean over examples, not over batches
    found = loss_surface(model, batches, points=3)
    assert found.centre == pytest.approx(plain_loss(model, batches), rel=1e-6)
    assert found.examples == sum(len(x) for x, _ in batches) and found.batches == 3 and found.by_batch == 0
    assert found.lowest[0] <= found.centre <= found.highest[0] and found.not_finite == 0


def test_dropout_is_off_and_a_random_network_draws_alike_everywhere():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(20, 4)

        def forward(self, x):
            return self.out(x * 0) + torch.randn(len(x), 4)

    batches = rows(batches=2)
    drop = seeded(lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 4)))
    assert loss_surface(drop, batches, points=3).centre == pytest.approx(plain_loss(drop, batches), rel=1e-6)
    assert loss_surface(Noisy(), batches, points=3).losses.unique().numel() == 1


def test_a_quadratic_model_has_its_paraboloid():
    """C = mean of (w x - y)^2 is quadratic in w, hence on every plane: c + g.u + u.H.u / 2."""
    torch.manual_seed(1)
    model = nn.Linear(3, 2, bias=False).double()
    x, y = torch.randn(40, 3).double(), torch.randn(40, 2).double()
    found = loss_surface(model, [(x, y)], span=0.5, points=5, seed=7)
    draw = torch.Generator().manual_seed(7)
    first, second = (direction([model.weight.detach()], draw)[0] for _ in range(2))
    rest, a, b = x @ model.weight.detach().T - y, x @ first.T, x @ second.T
    u = found.offsets
    assert u.tolist() == [-0.5, -0.25, 0.0, 0.25, 0.5]
    expected = torch.tensor([[float(((rest + i * a + j * b) ** 2).mean()) for i in u] for j in u], dtype=torch.float64)
    torch.testing.assert_close(found.losses, expected)
    hessian = 2 * torch.stack([(a * a).mean(), (a * b).mean(), (a * b).mean(), (b * b).mean()]).reshape(2, 2)
    torch.testing.assert_close(
        torch.tensor(found.curvatures, dtype=torch.float64).flip(0), torch.linalg.eigvalsh(hessian), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("scale", [4.0, 1 / 16, 3.0])
def test_scaling_a_layer_and_unscaling_the_next_leaves_the_picture(scale):
    model, batches = seeded(mlp), rows(batches=2)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[2].weight *= scale
        other[2].bias *= scale
        other[4].weight /= scale
    one, two = (loss_surface(net, batches, points=5) for net in (model, other))
    torch.testing.assert_close(one.losses, two.losses, rtol=1e-4, atol=1e-5)
    assert one.highest[0] > 1.05 * one.centre  # there is a picture


def test_batchnorm_uses_the_batch_and_nothing_of_the_network_changes():
    model, batches = seeded(cnn), pictures(batches=2)
    model[1].running_mean += 5  # running statistics that do not fit: they do not count
    before = copy.deepcopy(model.state_dict())
    given = [(x.clone(), y.clone()) for x, y in batches]
    handle = model.register_forward_hook(lambda *_: None)
    state = torch.get_rng_state()
    found = loss_surface(model, batches, points=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.by_batch == 2 and found.not_finite == 0
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.training and all(one.training for one in model.modules()) and len(model._forward_hooks) == 1
    assert all(one.grad is None and one.requires_grad for one in model.parameters())
    assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(batches, given, strict=True))
    handle.remove()
    with torch.no_grad():
        trained = sum(float(F.cross_entropy(model(x), y)) for x, y in batches) / 2
    assert found.centre == pytest.approx(trained, rel=1e-6)


def test_a_frozen_batchnorm_keeps_its_running_statistics():
    model, batches = seeded(cnn), pictures(batches=2)
    model[1].eval()
    assert loss_surface(model, batches, points=3).by_batch == 1
    assert loss_surface(model.eval(), batches, points=3).by_batch == 2  # a network in evaluation mode is not frozen


def test_batches_that_the_network_works_on_in_place_stay():
    model = seeded(lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(20, 4)))
    batches = rows(batches=1)
    before = batches[0][0].clone()
    loss_surface(model, batches, points=3)
    assert torch.equal(batches[0][0], before)


def test_points_that_are_not_finite_are_counted():
    def steep(outputs, targets):
        value = F.cross_entropy(outputs, targets)
        return value if value < 1.9 else value * math.inf

    model, batches = seeded(mlp), rows(batches=2)
    found = loss_surface(model, batches, steep, span=2.0, points=7)
    assert 0 < found.not_finite < 49 and math.isfinite(found.highest[0]) and found.highest[0] < 1.9
    none = loss_surface(model, batches, lambda o, t: o.sum() * math.nan, points=3)
    assert none.not_finite == 9 and math.isnan(none.lowest[0]) and math.isnan(none.curvatures[0])


def test_progress_tells_every_point():
    seen = []
    loss_surface(seeded(mlp), rows(batches=1), points=3, progress=seen.append)
    assert seen == list(range(1, 10))


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(20, 4)

    def forward(self, x):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"points": 20}, UsageError, "odd number of points, 3 or more.*got 20: take 21"),
        ({"points": 1}, UsageError, "got 1: take 3"),
        ({"span": 0.0}, UsageError, "a span above 0; got 0"),
        ({"span": -1.0}, UsageError, "got -1"),
        ({"span": math.nan}, UsageError, "got nan"),
        ({"batches": []}, UsageError, "at least one batch"),
        ({"batches": [1]}, UsageError, r"batches \(inputs, targets\); got int"),
        ({"model": Failing()}, OwnCodeError, "the network failed: RuntimeError: shapes do not fit"),
        ({"model": nn.BatchNorm1d(20)}, UsageError, "only biases and gains"),
        ({"model": lambda x: x}, UsageError, "expected a network"),
        ({"loss": lambda o, t: o}, UsageError, "the loss to be one number"),
    ],
)
def test_bad_input_to_the_surface(how, error, words):
    given = {"model": seeded(mlp), "batches": rows(batches=1), "loss": None, "points": 3, **how}
    with pytest.raises(error, match=words) as raised:
        loss_surface(given.pop("model"), given.pop("batches"), given.pop("loss"), **given)
    assert "\n" not in str(raised.value)


# The network with two weights


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_two_weights_follow_the_closed_formula(loss, target):
    found = two_weights("sigmoid", loss, x=0.7, target=target, span=4.0, points=21)
    for row, column in ((0, 0), (3, 17), (20, 20), (10, 4)):
        w1, w2 = float(found.weights[column]), float(found.weights[row])
        y = 1 / (1 + math.exp(-w2 / (1 + math.exp(-w1 * 0.7))))
        cross = -target * math.log(y) - (1 - target) * math.log(1 - y)
        assert float(found.losses[row, column]) == pytest.approx((y - target) ** 2 if loss == "squared" else cross)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "softsign", "exponential"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_two_weights_have_autograds_gradients(name, loss):
    found = two_weights(name, loss, x=0.7, target=1.0, span=3.0, points=9)
    first = found.weights.expand(9, 9).clone().requires_grad_()
    second = found.weights[:, None].expand(9, 9).clone().requires_grad_()
    z = second * activations.get(name)(0.7 * first)
    value = (z.sigmoid() - 1) ** 2 if loss == "squared" else F.binary_cross_entropy_with_logits(z, torch.ones_like(z), reduction="none")  # fmt: skip
    torch.testing.assert_close(found.losses, value.detach())
    value.sum().backward()
    torch.testing.assert_close(found.gradients, torch.hypot(first.grad, second.grad))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_only_the_squared_error_has_plateaus_and_neither_is_convex(name):
    squared, cross = (two_weights(name, loss) for loss in ("squared", "cross-entropy"))
    assert squared.plateau > 0.05 and cross.plateau == 0
    assert squared.flat > cross.flat and min(squared.bent, cross.bent) > 0.2
    assert not (squared.is_plateau & ~squared.is_flat).any()


def test_the_other_target_is_the_mirror_picture():
    one, other = two_weights(target=0.0), two_weights(target=1.0)
    torch.testing.assert_close(one.losses, other.losses.flip(0))
    assert one.plateau == pytest.approx(other.plateau)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"activation": "sigmoit"}, UnknownName, "did you mean 'sigmoid'"),
        ({"activation": "softmax"}, UsageError, "softmax is a function of whole vectors"),
        ({"loss": "hinge"}, UnknownName, "no loss 'hinge'"),
        ({"target": 1.5}, UsageError, r"target in \[0, 1\].*got 1.5"),
        ({"span": -4.0}, UsageError, "span above 0; got 1 and -4"),
        ({"points": 2}, UsageError, "3 points or more; got 2"),
    ],
)
def test_bad_input_to_two_weights(how, error, words):
    with pytest.raises(error, match=words):
        two_weights(**how)


# Back-propagation

MADE_UP = {"straight_through_step", "sigmoid_surrogate_step"}  # whose slope is not their derivative
SMOOTH = [name for name in activations.names(vectors=False) if not (activations.get(name).kinks or activations.get(name).jumps)]  # fmt: skip
DEPTHS = [(1, 1), (2, 3, 1), (3, 3, 2, 2), (2, 2, 3, 2, 2), (1, 2, 2, 2, 2, 1)]  # one to five layers


@pytest.mark.parametrize("name", SMOOTH)
def test_error_terms_are_autograds(name):
    cases = [(layers, "squared") for layers in DEPTHS] + [(DEPTHS[0], "cross-entropy"), (DEPTHS[2], "cross-entropy")]
    for layers, loss in cases:
        found = backpropagate(layers, name, loss, seed=len(layers))
        assert found.autograd_difference < 1e-12 and found.numerical_difference < 1e-7


def test_error_terms_are_those_of_a_torch_network():
    """Independent of the catalogue: torch's own sigmoid, layers and loss."""
    found = backpropagate((3, 4, 2), "sigmoid", "squared", inputs=[0.5, -1, 2], targets=[1, 0.2])
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2), nn.Sigmoid()).double()
    with torch.no_grad():
        for layer, terms in zip((model[0], model[2]), found.layers, strict=True):
            layer.weight.copy_(terms.weight)
            layer.bias.copy_(terms.bias)
    cost = ((model(found.inputs) - found.targets) ** 2).sum() / 2
    cost.backward()
    assert found.cost == pytest.approx(cost.item())
    for layer, terms in zip((model[0], model[2]), found.layers, strict=True):
        torch.testing.assert_close(terms.weight_gradient, layer.weight.grad)
        torch.testing.assert_close(terms.bias_gradient, layer.bias.grad)
        assert torch.equal(terms.bias_gradient, terms.delta)


def test_numbers_of_a_network_by_hand():
    weights = [(torch.tensor([[2.0]]), torch.tensor([1.0])), (torch.tensor([[3.0]]), torch.tensor([-1.0]))]
    found = backpropagate((1, 1, 1), "identity", inputs=[0.5], targets=[4], weights=weights)
    first, last = found.layers
    assert [float(one) for one in (first.z, last.z, last.delta, first.delta)] == [2.0, 5.0, 1.0, 3.0]
    assert float(last.weight_gradient) == 2.0 and float(first.weight_gradient) == 1.5 and found.cost == 0.5


def test_cross_entropy_ends_in_a_sigmoid_and_bp1_comes_to_a_minus_y():
    found = backpropagate((2, 3, 2), "tanh", "cross-entropy", targets=[0.25, 1])
    last = found.layers[-1]
    assert [one.activation for one in found.layers] == ["tanh", "sigmoid"]
    torch.testing.assert_close(last.delta, last.a - found.targets)
    torch.testing.assert_close(last.back * last.slope, last.delta)


def test_numerical_differences_disagree_with_a_made_up_slope():
    for name in MADE_UP:
        found = backpropagate((2, 3, 1), name)
        assert found.autograd_difference <= 1e-12 and found.numerical_difference > 0.01


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"layers": (3,)}, UsageError, "2 to 9 layer sizes from 1 to 16.*got 3"),
        ({"layers": (2, 0, 1)}, UsageError, "got 2,0,1"),
        ({"layers": (2, 17)}, UsageError, "got 2,17"),
        ({"layers": (2, 1.5)}, UsageError, "got 2,1.5"),
        ({"layers": (1,) * 10}, UsageError, "2 to 9"),
        ({"activation": "sigmoit"}, UnknownName, "did you mean 'sigmoid'"),
        ({"activation": "softmax"}, UsageError, "whole vectors; expected one with a derivative"),
        ({"loss": "hinge"}, UnknownName, "no loss 'hinge'"),
        ({"inputs": [1.0]}, UsageError, "2 finite inputs.*got 1"),
        ({"inputs": [1.0, math.nan]}, UsageError, "got 1,nan"),
        ({"targets": [1.0, 0.0]}, UsageError, "1 finite targets.*got 1,0"),
        ({"loss": "cross-entropy", "targets": [1.5]}, UsageError, r"targets in \[0, 1\].*got 1.5"),
        ({"weights": []}, UsageError, "expected weights"),
        ({"activation": "exponential", "inputs": [3000.0, 0.0]}, UsageError, "expected finite values"),
    ],
)
def test_bad_input_to_back_propagation(how, error, words):
    with pytest.raises(error, match=words) as raised:
        backpropagate(**how)
    assert "\n" not in str(raised.value)


def test_steps_are_written_out_with_their_numbers():
    weights = [(torch.tensor([[2.0, -1.0]]), torch.tensor([1.0])), (torch.tensor([[3.0]]), torch.tensor([-1.0]))]
    text = "\n".join(steps(backpropagate((2, 1, 1), "identity", inputs=[0.5, -2], targets=[4], weights=weights)))
    assert "z1 = 2·0.5 - 1·(-2) + 1 = 4   a1 = f(z1) = 4   f'(z1) = 1" in text
    assert "δ1 = (11 - 4) · 1 = 7" in text and "δ1 = (3·7) · 1 = 21" in text
    assert "dC/dW1 = 21 · (0.5, -2) = (10.5, -42)   dC/db1 = 21" in text
    assert "δ(1) = (W(2)ᵀ δ(2)) * f'(z(1))" in text


def test_lists_for_json_hold_everything():
    found = backpropagate()
    listed = json.loads(json.dumps(as_lists(found)))
    assert listed["sizes"] == [2, 3, 1] and listed["layers"][1]["delta"] == found.layers[1].delta.tolist()
    assert set(listed["layers"][0]) == set(found.layers[0].__dataclass_fields__)


# The commands

OWN = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))

def data():
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(20, 4, generator=draw)
    for _ in range(3):
        x = torch.randn(32, 20, generator=draw)
        yield x, (x @ rule).argmax(1)

def empty():
    return []

def broken(outputs, targets):
    return outputs.no_such_thing()

def steep(outputs, targets):
    value = nn.functional.cross_entropy(outputs, targets)
    return value if value < 1.5 else value * float("inf")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_surface.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return ("inspect", "surface", "own_surface.py:network", "--data", "own_surface.py:data", "--points", "5")


def test_surface_command(cli, own, tmp_path):
    outcome = cli(*own, "--plot", "out.png", "--csv", "grid.csv")
    assert outcome.code == 0 and outcome.err == "", outcome
    assert "loss at the weights" in outcome.out and "curvature" in outcome.out and "statistics of each batch" in outcome.out  # fmt: skip
    assert (tmp_path / "out.png").stat().st_size > 10_000
    table = (tmp_path / "grid.csv").read_text().splitlines()
    assert table[0] == "first,second,loss" and len(table) == 26
    found = json.loads(cli(*own, "--json").out)
    assert found["centre"] == found["losses"][2][2] and found["examples"] == 96 and found["seed"] == 0
    first, second, loss = map(float, table[2].split(","))
    assert (first, second, loss) == (found["offsets"][1], found["offsets"][0], found["losses"][0][1])
    assert json.loads(cli(*own, "--json", "--seed", "1").out)["losses"] != found["losses"]


def test_surface_of_a_run_and_in_chinese(cli, trained, tmp_path):
    how = ("inspect", "surface", trained, "--points", "3", "--batches", "1")
    assert "lenet: 9 points" in cli(*how).out
    assert "a run has its own data" in cli(*how, "--data", "a.py:b").complaint(2)
    outcome = cli(*how, "--lang", "zh", "--plot", tmp_path / "out.svg")
    assert outcome.code == 0 and "权重处的损失" in outcome.out and (tmp_path / "out.svg").exists(), outcome


def test_points_that_are_not_finite_are_null_and_crosses(cli, own, tmp_path):
    how = (*own, "--loss", "own_surface.py:steep", "--span", "2")
    found = json.loads(cli(*how, "--json", "--plot", "out.svg").out)
    assert found["not_finite"] == sum(one is None for row in found["losses"] for one in row) > 0
    assert f"{found['not_finite']} of 25 points are not finite" in cli(*how).out


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--points", "4"], 2, "take 5"),
        (["--span", "0"], 2, "a span above 0"),
        (["--data", "own_surface.py:empty"], 2, "at least one batch"),
        (["--plot", "out.jpg"], 2, "expected a file ending in .png or .svg; got 'out.jpg'"),
        (["--plot", "nowhere/out.png"], 1, "could not write 'nowhere/out.png'"),
    ],
)
def test_surface_complaints(cli, own, more, code, words):
    assert words in cli(*own, *more).complaint(code)


def test_complaint_about_the_picture_is_the_plots_own(cli, own, tmp_path):
    from actlab.plot import two_weights_picture

    with pytest.raises(UsageError) as raised:
        two_weights_picture([two_weights(points=5)], tmp_path / "out.jpg")
    wanted = re.sub(r"'[^']*'", "'out.jpg'", str(raised.value))
    assert cli(*own, "--plot", "out.jpg").complaint(2) == wanted


def test_the_users_traceback_is_kept(cli, own):
    outcome = cli(*own, "--loss", "own_surface.py:broken")
    assert outcome.code == 1 and "no_such_thing" in outcome.err and 'own_surface.py", line' in outcome.err
    assert "name them with --data" in cli("inspect", "surface", "own_surface.py:network").complaint(2)


def test_two_weights_command(cli, tmp_path):
    outcome = cli("inspect", "two-weights", "--activation", "tanh", "--points", "41", "--plot", tmp_path / "out.png")
    assert outcome.code == 0 and outcome.out.count("plateaus") == 2 and (tmp_path / "out.png").exists(), outcome
    found = json.loads(cli("inspect", "two-weights", "--loss", "squared", "--json").out)
    assert [one["loss"] for one in found] == ["squared"] and found[0]["plateau"] > 0
    assert "no loss 'hinge'" in cli("inspect", "two-weights", "--loss", "hinge").complaint(2)
    assert "whole vectors" in cli("inspect", "two-weights", "--activation", "softmax").complaint(2)
    assert "高原" in cli("inspect", "two-weights", "--points", "21", "--lang", "zh").out
    assert "没有名为“hinge”的损失函数" in cli("inspect", "two-weights", "--loss", "hinge").complaint(2)


def test_backprop_command(cli, tmp_path):
    how = ("inspect", "backprop", "--layers", "2,3,1", "--inputs", "-0.5,-1", "--targets", "1")
    outcome = cli(*how, "--plot", tmp_path / "out.png")
    assert outcome.code == 0 and "BP1" in outcome.out and "BP4" in outcome.out and (tmp_path / "out.png").exists()
    assert float(re.search(r"from autograd +(\S+)", outcome.out).group(1)) < 1e-12
    assert json.loads(cli(*how, "--json").out)["inputs"] == [-0.5, -1.0]
    assert "误差项" in cli(*how, "--lang", "zh", "--loss", "cross-entropy").out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--layers", "2,three"], "--layers to be numbers with commas between them, such as 2,3,1; got '2,three'"),
        (["--layers", "5"], "2 to 9 layer sizes"),
        (["--inputs", "1,2,3"], "2 finite inputs"),
        (["--targets", ""], "--targets to be numbers"),
        (["--loss", "cross-entropy", "--targets", "2"], "use --loss squared"),
        (["--activation", "softmax"], "whole vectors"),
    ],
)
def test_backprop_complaints(cli, more, words):
    assert words in cli("inspect", "backprop", *more).complaint(2)


def test_a_network_that_cannot_be_copied_is_said_so():
    class Stuck(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("held")

    with pytest.raises(ActlabError, match="cannot be copied"):
        loss_surface(Stuck(20, 4), rows(batches=1), points=3)
