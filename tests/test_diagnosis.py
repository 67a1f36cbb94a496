"""Diagnosis: planted faults are found where they are and nothing else is, healthy networks give no finding, nothing is changed."""

import copy
import json
import math
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import actlab
from actlab.diagnosis import Thresholds, diagnose, watch, words
from actlab.diagnosis._streams import effective_rank
from actlab.errors import OwnCodeError, UsageError
from actlab.records import Diagnosis
from networks import HEALTHY, Encoder, Functional, Recurrent, Residual, cnn, mlp, pictures, rows, sequences
from planted import PLANTED, Tokens
from planted import words as sentences


def grave(found):
    return [one for one in found.findings if one.severity != "note"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_gives_its_own_rule(name):
    make, data, look, rule, layer = PLANTED[name]
    torch.manual_seed(0)
    found = look(make(), data())
    said = [words.sentence(one).en for one in grave(found)]
    assert {one.rule for one in grave(found)} == {rule}, said
    if layer is not None:
        assert {one.layer for one in grave(found)} == ({layer} if isinstance(layer, str) else set(layer)), said
    for one in found.findings:
        assert one.explained_by or one.severity == "note" or one.rule == rule
        assert all(words.sentence(one)) and all(words.remedy(one)) and one.samples >= 0
        assert "{" not in "".join((*words.sentence(one), *words.remedy(one), *words.evidence(one)))
        assert math.isnan(one.value) or one.threshold == 0.0 or one.value != one.threshold
    ratios = [one for one in grave(found) if one.rule in ("signal-at-init", "exploding", "vanishing", "loss-sanity")]
    for one in ratios:  # value and threshold are of one unit: what grew is above it, what shrank below
        shrank = one.rule == "vanishing" or (one.rule == "signal-at-init" and one.value < 1)
        assert (one.value < one.threshold) == shrank, words.evidence(one).en
    text = found.model_dump_json()
    assert Diagnosis.model_validate_json(text).model_dump_json() == text


def test_a_mask_of_the_padding_ends_the_finding():
    torch.manual_seed(0)
    assert not grave(diagnose(Tokens(), sentences()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_gives_no_finding(name, seed):
    make, data = HEALTHY[name]
    torch.manual_seed(seed)
    found = diagnose(make(), data(seed))
    assert not grave(found), [words.sentence(one).en for one in grave(found)]
    assert not found.unseen
    shares = [site.dead / site.units for site in found.sites if site.units >= 32]
    assert max(shares, default=0.0) < 0.3


@pytest.mark.parametrize("kind", ["MLP", "CNN", "Transformer", "LSTM"])
def test_healthy_training_gives_no_finding(kind):
    torch.manual_seed(0)
    make, data = {"MLP": (mlp, rows), "CNN": (cnn, pictures), "Transformer": (Encoder, sequences), "LSTM": (Recurrent, sequences)}[kind]  # fmt: skip
    model, batches = make(), data()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with actlab.watch(model, every=5) as w:
        for x, y in batches * 2:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            w.loss(loss)
    assert not grave(w.diagnosis())
    assert all(layer.update is None or 1e-5 < layer.update < 0.2 for layer in w.diagnosis().layers)


def losses(model, data, look):
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    found = []
    for x, y in data:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
        if look is not None:
            look.loss(loss)
    return found


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(
    ("make", "data"),
    [(cnn, pictures), (Residual, pictures), (Encoder, sequences), (Recurrent, sequences), (lambda: mlp(nn.RReLU), rows), (Functional, rows)],
    ids=["CNN in place", "shared module", "Transformer with dropout", "LSTM", "random activation", "functions"],
)  # fmt: skip
def test_watching_changes_no_bit(make, data, every):
    torch.manual_seed(0)
    model = make()
    twin = copy.deepcopy(model)
    plain = losses(twin, data(), None)
    with watch(model, every=every) as w:
        watched = losses(model, data(), w)
    assert watched == plain
    assert all(map(torch.equal, model.state_dict().values(), twin.state_dict().values()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert w.diagnosis().sites or isinstance(model, Recurrent)


def test_diagnosing_changes_nothing():
    torch.manual_seed(0)
    model = cnn()
    before, state = {name: one.clone() for name, one in model.state_dict().items()}, torch.get_rng_state()
    diagnose(model, pictures())
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters()) and model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(state, torch.get_rng_state()), "nor are the random numbers that come next"


def test_the_users_random_numbers_stay():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    diagnose(Encoder(), sequences())
    torch.manual_seed(5)
    Encoder()  # drew its own start
    expected = torch.get_rng_state()
    torch.set_rng_state(state)
    model = Encoder()
    diagnose(model, sequences())
    assert torch.equal(torch.get_rng_state(), expected), "dropout and the trials draw from a stream of their own"


def test_overhead_of_watching():
    """Ratios side by side, interleaved: at most 15 % at the default sampling is asked of a quiet machine, here twice that."""
    torch.manual_seed(0)
    data = [(torch.randn(64, 256), torch.randint(0, 4, (64,))) for _ in range(40)]
    took: dict[str, list[float]] = {"plain": [], "watched": []}
    for _ in range(5):
        for kind, found in took.items():
            model = mlp(nn.ReLU, 3, 512, 256)
            w = watch(model) if kind == "watched" else None
            began = time.process_time()
            if w is None:
                losses(model, data, None)
            else:
                with w:
                    losses(model, data, None)
            found.append(time.process_time() - began)
    assert min(took["watched"]) < 1.3 * min(took["plain"]), took


def test_sites_of_every_kind_are_seen():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(20, 8), nn.Linear(8, 8), nn.Linear(8, 4)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.act(self.a(x))
            x = self.act(self.b(x))
            x = torch.tanh(x) + F.gelu(x) + x.sigmoid()
            return self.c(F.relu_(F.linear(x, self.b.weight)))

    found = diagnose(Mixed(), rows(), trials=False)
    assert [(one.name, one.activation) for one in found.sites] == [
        ("act", "relu"), ("act:2", "relu"), ("tanh", "tanh"), ("gelu", "gelu"), ("sigmoid", "sigmoid"), ("relu", "relu"),
    ]  # fmt: skip
    assert [one.name for one in found.layers] == ["a", "b", "linear", "c"]
    first = found.sites[0]
    assert first.count == 16 * 64 * 8 and first.units == 8 and abs(first.off - 0.5) < 0.2


def test_statistics_are_those_of_the_inputs():
    class Only(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.act = nn.Tanh()

        def forward(self, x):
            return self.act(self.scale * x)

    draw = torch.Generator().manual_seed(0)
    inputs = [3 * torch.randn(50, 6, generator=draw) + 1 for _ in range(4)]
    found = diagnose(Only(), [(x, torch.zeros(50, 6)) for x in inputs], trials=False).sites[0]
    z = torch.cat(inputs)
    assert found.mean == pytest.approx(float(z.mean()), abs=1e-4)
    assert found.deviation == pytest.approx(float(z.std()), rel=1e-3)
    assert found.flat == pytest.approx(float((1 - z.tanh() ** 2 < 1e-3).double().mean()), abs=1e-9)
    assert sum(found.counts) == z.numel()
    inside = [count for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False) if low >= 0 and high <= 2]  # fmt: skip
    assert sum(inside) == pytest.approx(int(((z >= 0) & (z < 2)).sum()), abs=12)
    slopes = {round(z, 2): slope for z, _, slope in found.curve}
    assert slopes[0.0] == 1.0 and slopes[1.0] == pytest.approx(1 - math.tanh(1) ** 2, rel=1e-5)


def test_attention_entropy_is_that_of_the_weights():
    torch.manual_seed(0)
    model = Encoder(1).eval()
    batch = sequences()[0]
    found = diagnose(model, [batch], trials=False).attention["encoder.layers.0.self_attn"]
    x = model.inputs(batch[0])
    _, weights = model.encoder.layers[0].self_attn(x, x, x, average_attn_weights=False)
    entropy = -(weights * weights.log()).sum(-1) / math.log(12)
    torch.testing.assert_close(torch.tensor(found), entropy.mean((0, 2)), atol=1e-5, rtol=0)


def test_effective_rank():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=draw)
    assert effective_rank(x, 1) == pytest.approx(5, abs=0.2)
    assert effective_rank(x[:, :1] @ torch.randn(1, 7, generator=draw), 1) == pytest.approx(1, abs=1e-6)
    assert effective_rank(torch.ones(10, 4), 1) == 0.0


def test_modes_precision_and_odd_calls():
    x, y = rows()[0]
    model = torch.compile(mlp(), backend="eager")
    assert not grave(diagnose(model, rows()))
    with pytest.raises(UsageError, match="before it is compiled"):
        watch(model)

    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.inner(x)

    assert not grave(diagnose(Casting(), rows()))

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(20, 4), nn.Linear(20, 4)

        def forward(self, x, z):
            return torch.relu(self.a(x)) + self.b(z)

    assert not grave(diagnose(Two(), [((x, x), y) for x, y in rows()]))
    assert not grave(diagnose(Two(), [({"x": x, "z": x}, y) for x, y in rows()]))
    assert diagnose(mlp(), [(x, y)], trials=False).samples == 64


def test_thresholds_can_be_set():
    torch.manual_seed(0)
    found = diagnose(mlp(nn.Tanh), rows(), limits=Thresholds(flat_share=-1.0), trials=False)
    assert {one.rule for one in grave(found)} == {"saturated"} and grave(found)[0].threshold == -1.0


class Broken(nn.Module):
    def forward(self, x):
        return x @ torch.zeros(3, 3)


def failing():
    yield rows()[0]
    raise OSError("disk gone")


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: diagnose(mlp(), []), UsageError, "expected at least one batch"),
        (lambda: diagnose(mlp(), [rows()[0][0]]), UsageError, r"expected batches \(inputs, targets\); got Tensor"),
        (lambda: diagnose(mlp(), [(1, 2, 3)]), UsageError, "got 3 values"),
        (lambda: diagnose(mlp(), failing()), OwnCodeError, "the data failed: OSError: disk gone"),
        (lambda: diagnose(Broken(), rows()), OwnCodeError, "the network failed: RuntimeError"),
        (lambda: diagnose(mlp(), rows(), lambda o, y: o), UsageError, r"one number; got \(64, 4\): take its mean"),
        (lambda: diagnose(mlp(), rows(), lambda o, y: 3.0), UsageError, "one number; got float"),
        (lambda: diagnose(mlp(), rows(), lambda o, y: 1 / 0), OwnCodeError, "the loss failed: ZeroDivisionError"),
        (lambda: diagnose(F.relu, rows()), UsageError, "expected a network"),
        (lambda: watch(mlp(), every=0), UsageError, "every must be at least 1"),
        (lambda: diagnose(mlp(), [(x, [1]) for x, _ in rows()]), UsageError, "expected a loss"),
    ],
)  # fmt: skip
def test_bad_input(call, error, said):
    with pytest.raises(error, match=said):
        call()


OWN = '''
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))

def dead():
    net = model()
    net[0].bias.data -= 20
    return net

def broken():
    return nn.Linear(3, 3)

def data():
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(20, 4, generator=draw)
    for _ in range(8):
        x = torch.randn(64, 20, generator=draw)
        yield x, (x @ rule).argmax(1)

def nothing():
    return []

def failing():
    yield from data()
    raise OSError("disk gone")

def vector(outputs, targets):
    return outputs
'''  # fmt: skip


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own_network.py").write_text(OWN)
    return tmp_path / "own_network.py"


def test_command_on_a_network_of_ones_own(cli, own, tmp_path):
    sound = cli("diagnose", f"{own}:model", "--data", f"{own}:data", "--out", tmp_path / "a", "--fail-on", "warning")
    assert sound.code == 0 and "nothing wrong" in sound.out
    outcome = cli("diagnose", f"{own}:dead", "--data", f"{own}:data", "--out", tmp_path / "b", "--fail-on", "error")
    assert outcome.code == 1 and "64 of 64 units of relu in 1 are dead" in outcome.out
    page = (tmp_path / "b" / "diagnosis.html").read_text()
    assert "死亡单元" in page and "dead units" in page and page.count("<svg") >= 3
    assert 'src="http' not in page
    found = json.loads((tmp_path / "b" / "findings.json").read_text())
    assert found["findings"][0]["rule"] == "dead-unit" and found["findings"][0]["layer"] == "1"
    plain = cli("diagnose", f"{own}:dead", "--data", f"{own}:data", "--out", tmp_path / "c", "--json")
    assert plain.code == 0 and json.loads(plain.out)["findings"][0]["severity"] == "error"


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (("{own}:nobody", "--data", "{own}:data"), "no name in", 2),
        (("{own}:model",), "expected batches", 2),
        (("{own}:model", "--data", "{own}:nothing"), "at least one batch", 2),
        (("{own}:model", "--data", "{own}:data", "--loss", "{own}:vector"), "one number", 2),
        (("{own}:model", "--data", "{own}:data", "--fail-on", "notes"), "no severity 'notes'", 2),
        (("nowhere",), "does not exist", 2),
        (("nowhere.py:model", "--data", "{own}:data"), "does not exist", 2),
    ],
)
def test_command_with_bad_input(cli, own, tmp_path, options, said, code):
    options = [one.format(own=own) for one in options]
    assert said in cli("diagnose", *options, "--out", tmp_path / "out").complaint(code)


def test_command_keeps_the_users_traceback(cli, own, tmp_path):
    outcome = cli("diagnose", f"{own}:broken", "--data", f"{own}:data", "--out", tmp_path / "out")
    assert outcome.code == 1 and outcome.err.startswith("actlab: the network failed: RuntimeError")
    assert "Traceback" in outcome.err


def test_command_says_what_failed_in_the_data(cli, own, tmp_path):
    outcome = cli("diagnose", f"{own}:model", "--data", f"{own}:failing", "--out", tmp_path / "out")
    assert outcome.code == 1 and outcome.err.startswith("actlab: the data failed: OSError: disk gone")
    assert "Traceback" in outcome.err


def test_command_on_a_run(cli, trained, tmp_path):
    outcome = cli("diagnose", trained, "--out", tmp_path / "out", "--batches", "4")
    assert outcome.code == 0 and (tmp_path / "out" / "diagnosis.html").exists()
    assert json.loads((tmp_path / "out" / "findings.json").read_text())["model"] == "lenet"
    assert cli("diagnose", trained, "--initial", "--out", tmp_path / "start", "--batches", "4").code == 0
    assert "leave out --data" in cli("diagnose", trained, "--data", "x.py:y").complaint(2)


def test_memory_does_not_grow_with_the_steps():
    values = list(range(10))
    from actlab.diagnosis._streams import kept

    for number in range(10, 5000):
        kept(values, number, 10)
    assert len(values) <= 1000 and values[:10] == list(range(10)) and values[-1] == 4999
