"""Modules without their calls: the same numbers, and never where somebody would notice."""

import pytest
import torch
from torch import nn

from actlab.layers import Attention, Dropout, Recurrent
from actlab.layers._plain import plain
from actlab.models.transformer import Transformer


def transformer(**given):
    torch.manual_seed(0)
    return Transformer(11, 13, width=8, heads=2, layers=2, hidden=12, **given).eval()


def numbers(*shape, top=11):
    return torch.randint(5, top, shape, generator=torch.Generator().manual_seed(1))


NETWORKS = {
    "linear": (lambda: nn.Linear(3, 4), lambda: torch.randn(2, 3)),
    "one module twice": (lambda: (lambda one: nn.Sequential(one, nn.Tanh(), one))(nn.Linear(3, 3)), lambda: torch.randn(2, 3)),
    "none in place of a module": (lambda: Transformer(11, 13, width=8, heads=2, layers=1, hidden=12, gated=False), lambda: (numbers(2, 5), numbers(2, 4, top=13))),
    "transformer": (lambda: transformer(gated=True, activation="swish", neighbours=1, positions="rotary", norm="post"), lambda: (numbers(2, 5), numbers(2, 4, top=13))),
    "recurrent": (lambda: Recurrent("lstm", 3, 4), lambda: torch.randn(2, 5, 3)),
    "parametrised": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), lambda: torch.randn(2, 3)),
    "torch's own": (lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), lambda: torch.randn(2, 3, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_the_same_numbers_and_follows_the_weights(name):
    make, given = NETWORKS[name]
    model, x = make().eval(), given()
    bare = plain(model)
    assert bare is not model
    assert isinstance(bare, type(model))
    for _ in range(2):
        with torch.no_grad():
            expected, found = model(x), bare(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)  # in place: both hold the same weights


def test_the_network_itself_is_as_it_was():
    model = transformer()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    names = [name for name, _ in model.named_modules()]
    plain(model)((numbers(2, 5), numbers(2, 4, top=13)))
    assert [name for name, _ in model.named_modules()] == names
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(
        type(one) in (nn.Linear, nn.LayerNorm) for one in model.modules() if isinstance(one, (nn.Linear, nn.LayerNorm))
    )
    model.train()((numbers(2, 5), numbers(2, 4, top=13))).sum().backward()
    assert all(one.grad is not None for one in model.parameters())


class Counting(nn.Module):
    """Writes into itself."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.seen = self.seen + x.sum()
        return x + self.seen


def test_what_forward_writes_stays_with_the_one_that_ran():
    model, bare = Counting().eval(), plain(Counting().eval())
    x = torch.ones(2)
    for _ in range(2):
        torch.testing.assert_close(bare(x), model(x))
    model = Counting().eval()
    plain(model)(x)
    assert (model.calls, model.seen.item()) == (0, 0)


def test_a_forward_changed_later_is_taken_up(monkeypatch):
    model, x = nn.Sequential(nn.Linear(3, 3)).eval(), torch.ones(2, 3)
    plain(model)(x)
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x + 1)
    assert torch.equal(plain(model)(x), x + 1)


class Doubled(nn.Linear):
    def __call__(self, x):
        return 2 * super().__call__(x)


def own_forward():
    model = nn.Sequential(nn.Linear(3, 3))
    model[0].forward = lambda x: x + 1
    return model


def compiled():
    model = nn.Sequential(nn.Linear(3, 3))
    model[0].compile(backend="eager")
    return model


def hooked(name):
    model = nn.Sequential(nn.Linear(3, 3), Attention(3))
    getattr(model[0], name)(lambda *given: None)
    return model


NOTICED = {
    "training": lambda: nn.Sequential(nn.Linear(3, 3), Dropout(0.5)).train(),
    "one module training": lambda: nn.Sequential(nn.Linear(3, 3).eval(), Dropout(0.5)),
    "hook": lambda: hooked("register_forward_hook"),
    "hook before": lambda: hooked("register_forward_pre_hook"),
    "hook of gradients": lambda: hooked("register_full_backward_hook"),
    "hook of gradients before": lambda: hooked("register_full_backward_pre_hook"),
    "compiled": compiled,
    "scripted": lambda: nn.Sequential(torch.jit.script(nn.Linear(3, 3))),
    "a call of its own": lambda: nn.Sequential(Doubled(3, 3)),
    "a forward of its own": own_forward,
}


@pytest.mark.parametrize("name", NOTICED)
def test_what_somebody_would_notice_stays_as_it_is(name):
    model = NOTICED[name]()
    if "training" not in name:
        model.eval()
    elif name == "one module training":
        model.training = False
        assert model[1].training
    assert plain(model) is model


def test_a_hook_of_every_module_is_noticed():
    model = nn.Linear(3, 3).eval()
    handle = nn.modules.module.register_module_forward_hook(lambda *given: None)
    try:
        assert plain(model) is model
    finally:
        handle.remove()
    assert plain(model) is not model
