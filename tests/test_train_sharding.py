"""Which weights strategy fsdp gathers together, and what it refuses; training with it is in test_cli_processes.py."""

import pytest
import torch
from torch import nn

from actlab.errors import UsageError
from actlab.train import sharding


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """One process that takes itself for a group."""
    store = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)  # reads the weight of its `out_proj` itself

    def forward(self, x):
        return x + self.attention(x, x, x)[0]


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.heads = nn.ModuleDict({"words": nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5, bias=False))})
        self.heads["words"][1].weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.heads["words"](x)


def cut(model):
    from torch.distributed.fsdp import FSDPModule

    return {name for name, module in model.named_modules() if isinstance(module, FSDPModule)}


def test_members_of_containers_are_gathered_one_by_one(mesh):
    """Blocks as a whole, for they may read the weights of their parts; members with a shared weight stay with the model."""
    assert cut(sharding.shard(Transformer(), mesh)) == {"", "blocks.0", "blocks.1", "heads.words.0"}


def test_a_cut_model_computes_the_same(mesh):
    torch.manual_seed(0)
    model, tokens = Transformer(), torch.arange(5).repeat(2, 1)
    model(tokens).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    expected = model(tokens)
    model.zero_grad()
    sharding.shard(model, mesh)
    found = model(tokens)
    found.square().mean().backward()
    torch.testing.assert_close(found, expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(sharding.gathered(parameter.grad), gradients[name])


def test_whole_and_cut_undo_each_other(mesh):
    model = sharding.shard(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), mesh)
    state = model.state_dict()
    kept = sharding.whole({"model": state, "step": 3, "rates": [0.1]}, True)
    assert all(type(tensor) is torch.Tensor for tensor in kept["model"].values())
    assert (kept["step"], kept["rates"]) == (3, [0.1])
    assert sharding.whole(state, False)["0.weight"] is None
    again = sharding.cut_like(kept["model"], state)
    assert {name: type(tensor) for name, tensor in again.items()} == {name: type(t) for name, t in state.items()}
    model.load_state_dict(again)
    assert sharding.gathered(model[0].weight).equal(kept["model"]["0.weight"])


def test_a_recurrent_layer_is_refused(mesh):
    with pytest.raises(UsageError, match=r"cannot cut layer '0' \(LSTM\); use --strategy ddp"):
        sharding.shard(nn.Sequential(nn.LSTM(2, 3)), mesh)
