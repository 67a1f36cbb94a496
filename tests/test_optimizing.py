"""`optimize`: the same network with fused activations, proved equal and measured."""

import copy
import random
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import actlab
from actlab import kernels
from actlab.activations import Gated, Pointwise, get
from actlab.errors import UsageError
from actlab.models import build
from actlab.optimizing import bytes_kept

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


class SiLUActivation(nn.Module):
    """As Hugging Face's, by its formula."""

    def forward(self, x):
        return F.silu(x)


class GatedBlock(nn.Module):
    """The feed-forward block of language models: down(act(gate(x)) * up(x))."""

    def __init__(self, width=32, inner=96):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.act_fn = SiLUActivation()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class Packed(nn.Module):
    """timm's GluMlp: one projection, cut in half."""

    def __init__(self, activation, gate_last=True, dim=-1):
        super().__init__()
        self.fc1, self.fc2, self.act, self.gate_last, self.dim = (
            nn.Linear(8, 64),
            nn.Linear(32, 8),
            activation,
            gate_last,
            dim,
        )

    def forward(self, x):
        x1, x2 = self.fc1(x).chunk(2, dim=self.dim)
        return self.fc2(x1 * self.act(x2) if self.gate_last else self.act(x1) * x2)


class Called(nn.Module):
    """diffusers' GEGLU: the function called."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 64)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate, approximate="tanh")


class Excite(nn.Module):
    """Squeeze and excite: the activation of something of another shape, and a mean that is used twice."""

    def __init__(self):
        super().__init__()
        self.fc, self.gate = nn.Linear(8, 8), nn.Sigmoid()

    def forward(self, x):
        return x * self.gate(self.fc(x.mean(1, keepdim=True)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("build_block", "new"),
    [
        (GatedBlock, "fused gated silu"),
        (lambda: Packed(nn.SiLU(), gate_last=False), "fused gated silu"),
        (lambda: Packed(nn.GELU()), "fused gated gelu"),
        (Called, "fused gated gelu_tanh"),
        (lambda: nn.Sequential(nn.Linear(8, 64), nn.GLU(), nn.Linear(32, 8)), "fused glu"),
        (lambda: nn.Sequential(nn.Linear(8, 64), get("maxout").module(pieces=4), nn.Linear(16, 8)), "fused maxout"),
        (Excite, "fused gated sigmoid"),
    ],
)
def test_gated_units_are_exchanged_whole(build_block, new, dtype):
    torch.manual_seed(0)
    block = build_block()
    width = block.gate_proj.in_features if isinstance(block, GatedBlock) else 8
    inside = nn.ModuleDict({"norm": nn.LayerNorm(width), "block": block}).to(dtype)
    x = torch.randn(4, 16, width).to(dtype)
    expected = block(x)
    names = set(inside.state_dict())
    done = actlab.optimize(inside, None)
    assert [found for _, _, found in done.exchanged] == [new] and done.exchanged[0][0].startswith("block")
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(done.model["block"](x), expected, rtol=8 * unit, atol=8 * unit)
    assert set(done.model.state_dict()) == names
    with pytest.raises(UsageError, match="no activation that a fused one could replace"):
        actlab.optimize(done.model, None)  # what is there now stays
    x.requires_grad_()
    done.model["block"](x).float().square().sum().backward()
    assert x.grad.isfinite().all() and all(one.grad is not None for one in inside["block"].parameters())


def test_a_gated_block_keeps_less_and_computes_the_same():
    torch.manual_seed(0)
    model = GatedBlock()
    model.inner = 96  # what other code may read
    x = torch.randn(64, 32)
    expected = model(x)
    done = actlab.optimize(model, x)
    assert done.exchanged == (("GatedBlock", "product with silu", "fused gated silu"),)
    assert done.after.bytes_kept < 0.8 * done.before.bytes_kept and done.difference < 1e-6
    torch.testing.assert_close(done.model(x), expected)
    assert all(one.grad is None for one in model.parameters())
    assert done.model.inner == 96 and type(done.model).__name__ == "GatedBlock" and not hasattr(done.model, "act_fn")
    assert done.model.up_proj is model.up_proj


def test_products_that_are_not_gates_stay_so():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.own = nn.Linear(8, 8), nn.SiLU(), nn.PReLU()

        def forward(self, x):
            y = self.act(self.first(x))  # read twice
            return y * x + y + 2 * torch.tanh(x) + self.own(x) * x

    model, x = Odd(), torch.randn(5, 8)
    expected = model(x)
    done = actlab.optimize(model, x)
    assert not any("product" in old for _, old, _ in done.exchanged)
    torch.testing.assert_close(done.model(x), expected)


def test_calls_and_modules_in_place_beside_a_gated_block_are_exchanged_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.block, self.last = nn.Linear(8, 32), GatedBlock(), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.last(self.block(F.gelu(self.first(x))))

    model, x = Net(), torch.randn(5, 8)
    expected = model(x)
    done = actlab.optimize(model, x)
    assert sorted(new for _, _, new in done.exchanged) == ["fused gated silu", "fused gelu", "fused relu"]
    assert not done.left and isinstance(done.model.last, Pointwise)  # none that copies into its input
    torch.testing.assert_close(done.model(x), expected)


class InPlace(nn.Module):
    """What the activation has read changes before the product."""

    def __init__(self, write):
        super().__init__()
        self.fc, self.inner, self.write = nn.Linear(8, 8), nn.ReLU(inplace=True), [write]

    def forward(self, x):
        h = self.fc(x)
        gate = torch.sigmoid(h)
        h = self.write[0](self, h)
        return gate * h


def doubled(_, h):
    h *= 2
    return h


class ShiftsIts(nn.Module):
    def forward(self, h):
        return h.add_(1)


@pytest.mark.parametrize(
    "write", [doubled, lambda _, h: h.mul_(2), lambda own, h: own.inner(h), lambda _, h: F.relu(h, inplace=True), lambda own, h: own.shifts(h)]
)  # fmt: skip
def test_a_product_of_what_was_written_into_is_left(write):
    model, x = InPlace(write), torch.randn(5, 8)
    model.shifts = ShiftsIts()
    expected = model(x)
    done = actlab.optimize(model)
    rebound = write is doubled  # in a graph that is a tensor of its own
    assert any("product" in old for _, old, _ in done.exchanged) == rebound
    torch.testing.assert_close(done.model(x), expected)


class Keeps(GatedBlock):
    """Weights and modules that its own forward pass does not use."""

    def __init__(self, how):
        super().__init__()
        if how == "activation of the parent":
            self.out_act = nn.PReLU()
        elif how == "weight of a loss":
            self.log_var = nn.Parameter(torch.zeros(3))
        elif how == "buffer that is not saved":
            self.register_buffer("mask", torch.ones(32), persistent=False)
        elif how == "list of modules":
            self.experts = nn.ModuleList([nn.Linear(32, 32), nn.Linear(32, 32)])

    def forward(self, x):
        if hasattr(self, "mask"):
            x = x * self.mask
        return super().forward(self.experts[0](x) if hasattr(self, "experts") else x)


@pytest.mark.parametrize(
    "how", ["activation of the parent", "weight of a loss", "buffer that is not saved", "list of modules"]
)
def test_nothing_that_a_block_holds_is_lost(how):
    model, x = nn.Sequential(nn.Linear(32, 32), Keeps(how)), torch.randn(5, 32)
    expected, weights = model(x), {name: id(one) for name, one in model.named_parameters()}
    buffers = [name for name, _ in model.named_buffers()]
    done = actlab.optimize(model, x)
    assert {name: id(one) for name, one in done.model.named_parameters() if "out_act" not in name} == {
        name: one for name, one in weights.items() if "out_act" not in name
    }
    assert [name for name, _ in done.model.named_buffers()] == buffers
    assert hasattr(done.model[1], "out_act") == (how == "activation of the parent")
    torch.testing.assert_close(done.model(x), expected)


def test_blocks_that_draw_or_scale_by_a_size_compute_what_they_did():
    class Skips(GatedBlock):
        def forward(self, x):
            return x if random.random() < 0.5 else super().forward(x)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            h = self.fc(x)
            return torch.sigmoid(h) * h.shape[-1] ** -0.5

    model = nn.ModuleDict({"skips": Skips(), "scaled": Scaled()})
    x = torch.randn(5, 8)
    expected = model["scaled"](x)
    done = actlab.optimize(model)
    assert type(done.model["skips"]) is Skips
    torch.testing.assert_close(done.model["scaled"](x), expected)


def test_the_network_is_as_it_was_after_any_error(monkeypatch):
    model, x = nn.Sequential(nn.Linear(32, 32), GatedBlock()), torch.randn(5, 32)
    parts = dict(model.named_modules())

    def fails(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("actlab.optimizing._measure", fails)
    with pytest.raises(MemoryError):
        actlab.optimize(model, x)
    assert dict(model.named_modules()) == parts


def test_another_activation_in_a_fused_product_and_hooks_on_it():
    model, x = nn.Sequential(nn.Linear(32, 32), GatedBlock()), torch.randn(5, 32)
    done = actlab.optimize(model)
    (gated,) = (one for one in done.model.modules() if isinstance(one, Gated))
    seen = []
    handle = gated.gate.register_forward_hook(lambda *_: seen.append(1))
    before = done.model(x)
    handle.remove()
    assert seen == [1]
    torch.testing.assert_close(done.model(x), before)
    actlab.swap(done.model, "relu")
    block, inner = done.model[1], done.model[0](x)
    torch.testing.assert_close(done.model(x), block.down_proj(F.relu(block.gate_proj(inner)) * block.up_proj(inner)))


def test_alexnet():
    torch.manual_seed(0)
    model = build("alexnet")
    x = torch.randn(2, 1, 224, 224)
    done = actlab.optimize(model, x)
    assert {new for _, _, new in done.exchanged} == {"fused relu"} and done.difference < 1e-5


def test_calls_of_functions_and_parameters_are_kept():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.act = nn.Linear(4, 8), nn.Linear(8, 3), nn.LeakyReLU(0.3)

        def forward(self, x):
            return F.leaky_relu(self.second(self.act(F.gelu(self.first(x)))), 0.2)

    model, x = Functional(), torch.randn(5, 4)
    expected = model(x)
    done = actlab.optimize(model, x)
    assert [old for _, old, _ in done.exchanged] == ["leaky_relu", "gelu"]  # the call with a number of its own stays
    torch.testing.assert_close(done.model(x), expected)


def test_learnt_parameters_stay_the_same_objects():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.PReLU(6), nn.Conv2d(6, 6, 3), nn.PReLU(), get("swish").module(size=6))
    x = torch.randn(2, 1, 9, 9)
    weights = [model[1].weight, model[3].weight, model[4].b]
    expected = copy.deepcopy(model)
    done = actlab.optimize(model, x)
    assert [model[1].a, model[3].a, model[4].b] == weights and all(
        isinstance(model[one], Pointwise) for one in (1, 3, 4)
    )
    for network in (model, expected):
        network(x).square().sum().backward()
    for a, b in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    assert len(done.exchanged) == 3


def test_what_cannot_be_exchanged_is_refused_and_a_wrong_network_too():
    with pytest.raises(UsageError, match="found no activation that a fused one could replace"):
        actlab.optimize(nn.Linear(2, 2), torch.ones(1, 2))

    class Counting(nn.Module):
        """Not a function of its input alone."""

        def __init__(self):
            super().__init__()
            self.act, self.register = nn.Tanh(), 0

        def forward(self, x):
            return self.act(x) + torch.rand(x.shape)

    model = Counting()
    with pytest.raises(UsageError, match="the outputs differ by"):
        actlab.optimize(model, torch.ones(3, 2, requires_grad=True))
    assert isinstance(model.act, nn.Tanh)  # as it was


def test_without_a_sample_nothing_is_measured():
    done = actlab.optimize(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    assert done.difference is None and "nothing was measured" in str(done)


def test_the_report_says_what_it_brought():
    model = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)).bfloat16()
    text = str(actlab.optimize(model, torch.randn(32, 16).bfloat16()))
    for words in (
        "1 activation exchanged",
        "1: gelu -> fused gelu",
        "outputs differ by at most",
        "MB before",
        "ms before",
    ):
        assert words in text


def test_bytes_kept_counts_storages_once():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(10, 4)
    assert bytes_kept(lambda: model(x), model) == (10 * 4 + 10 * 8) * 4


def test_a_sample_leaves_no_trace():
    model = nn.Sequential(nn.LeakyReLU(0.3, inplace=True), nn.BatchNorm1d(4), nn.Dropout(), nn.Tanh())
    x = torch.randn(8, 4)
    before, state = x.clone(), torch.get_rng_state()
    actlab.optimize(model, x)
    assert torch.equal(x, before) and int(model[1].num_batches_tracked) == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_parameters_beside_those_that_learn_and_functions_that_only_look_alike():
    model = nn.Sequential(nn.Linear(3, 3), get("xielu").module(beta=3.0), nn.Softplus(1.0, 1.0), nn.Hardshrink(0.3))
    x = torch.randn(50, 3)
    expected = model(x)
    done = actlab.optimize(model, x, save="output")
    torch.testing.assert_close(model(x), expected)
    assert [old for _, old, _ in done.exchanged] == ["xielu", "hard_shrink"]


def test_arguments_left_out_stay_none():
    class Skipping(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)

        def forward(self, x, skip=None):
            h = F.gelu(self.first(x))
            return h if skip is None else h * 0

    model, x = Skipping(), torch.randn(4, 3)
    expected = model(x)
    torch.testing.assert_close(actlab.optimize(model, x).model(x), expected)


def test_hooks_with_keywords_and_weights_of_their_own_type_survive():
    class ToFloat(nn.Module):
        def forward(self, x):
            return x.float()

    model = nn.Sequential(nn.Linear(3, 3).bfloat16(), ToFloat(), nn.PReLU())
    seen = []
    model[2].register_forward_hook(lambda module, args, kwargs, output: seen.append(1), with_kwargs=True)
    weight = model[2].weight
    actlab.optimize(model, torch.randn(2, 3).bfloat16())
    seen.clear()
    model(torch.randn(2, 3).bfloat16())
    assert seen and weight.dtype == torch.float32


class TinyTransformer(nn.Module):
    """A language model of characters: two pre-norm blocks."""

    def __init__(self, letters: int, save: str, width: int = 48):
        super().__init__()
        self.embed, self.read = nn.Embedding(letters, width), nn.Linear(width, letters)
        self.blocks = nn.ModuleList(
            [
                nn.ModuleDict({"mix": nn.MultiheadAttention(width, 4, batch_first=True), "first": nn.LayerNorm(width), "second": nn.LayerNorm(width),
                               "up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width), "act": get("gelu").module(fused=True, save=save)})
                for _ in range(2)
            ]
        )  # fmt: skip

    def forward(self, letters):
        x = self.embed(letters)
        later = nn.Transformer.generate_square_subsequent_mask(letters.shape[1])
        for block in self.blocks:
            inner = block["first"](x)
            x = x + block["mix"](inner, inner, inner, attn_mask=later, need_weights=False)[0]
            x = x + block["down"](block["act"](block["up"](block["second"](x))))
        return self.read(x)


def losses(seed: int, save: str) -> torch.Tensor:
    """Of 200 steps under bfloat16 autocast, on this project's own README."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    letters = sorted(set(text))
    data = torch.tensor([letters.index(one) for one in text])
    torch.manual_seed(seed)
    network = TinyTransformer(len(letters), save)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    found = []
    for _ in range(200):
        rows = torch.stack([data[start : start + 33] for start in torch.randint(len(data) - 33, (8,)).tolist()])
        with torch.autocast("cpu", torch.bfloat16):
            guesses = network(rows[:, :-1])
        loss = F.cross_entropy(guesses.float().flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.detach())
    return torch.stack(found)


def test_a_transformer_learns_from_outputs_as_it_does_from_inputs():
    """The loss curves differ by less than those of other seeds."""
    exact, lean, other = losses(0, "input"), losses(0, "output"), losses(1, "input")
    assert exact[-20:].mean() < 0.75 * exact[:5].mean(), "it did not learn"
    blocks = lambda curve: curve.view(10, 20).mean(1)  # noqa: E731
    assert (blocks(lean) - blocks(exact)).abs().max() < 0.5 * (blocks(other) - blocks(exact)).abs().max()
