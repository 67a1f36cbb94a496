"""Who may look at whom: boolean masks (query, key), True where attention is allowed. They combine by `&`."""

import torch
from torch import Tensor


def padding(lengths: Tensor, time: int) -> Tensor:
    """(batch, 1, time): the keys that lie within each sequence."""
    return (torch.arange(time, device=lengths.device) < lengths[:, None])[:, None]


def causal(queries: int, keys: int | None = None, *, device: torch.device | None = None) -> Tensor:
    """(queries, keys): nothing later than oneself. With more keys than queries the queries are the last ones."""
    keys = queries if keys is None else keys
    place = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device) <= place


def window(time: int, before: int, after: int | None = None, *, device: torch.device | None = None) -> Tensor:
    """(time, time): so many steps back and ahead (as many as back by default): truncated attention, as for long speech."""
    after = before if after is None else after
    distance = torch.arange(time, device=device)[:, None] - torch.arange(time, device=device)
    return (distance <= before) & (distance >= -after)


def adjacency(edges: Tensor) -> Tensor:
    """(nodes, nodes) or (batch, nodes, nodes): one's neighbours and oneself. Attention by it is a graph attention network.

    Source: Velickovic et al. 2018, arXiv:1710.10903, with dot-product scores in place of theirs.
    """
    return (edges != 0) | torch.eye(edges.shape[-1], dtype=torch.bool, device=edges.device)
