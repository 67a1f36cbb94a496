"""How far back a recurrent layer can learn: the gradient that reaches the state so many steps ago."""

import torch
from torch import Tensor, nn

from .recurrent import Recurrent


def gradient_by_lag(
    layer: Recurrent, x: Tensor, *, directions: int = 8, seed: int = 0, backwards: bool = False
) -> Tensor:
    """Root mean square over `directions` of the norm of d(h_T v)/d(state_{T-k}), for k from 0 to the number of steps: (time + 1).

    h_T is the last output of the first layer, v a random unit vector, the state all that the layer remembers: output and cell of an
    LSTM together. `x` (batch, time, inputs) is averaged over. `backwards` asks for the second direction,
    which gets `x` as it is. A factor w per step gives w^k: below 1 it vanishes, above it explodes
    (Bengio, Simard & Frasconi 1994, IEEE Trans. Neural Networks 5(2)).
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {name: one.detach() for name, one in layer._weights(0, backwards).items()}
    state = tuple(one[int(backwards)].detach().requires_grad_() for one in layer._start(x))
    states = [state]
    for z in layer._contribution(x, weights).detach().unbind(1):
        state = layer._step(z, state, weights).state
        states.append(state)
    total = torch.zeros(len(states), dtype=x.dtype)
    every = [part for one in states for part in one]
    for _ in range(directions):
        v = nn.functional.normalize(torch.randn(state[0].shape[-1], generator=generator, dtype=x.dtype), dim=0)
        gradients = torch.autograd.grad((state[0] @ v).sum(), every, retain_graph=True, allow_unused=True)
        parts = len(state)
        for number in range(len(states)):
            own = [one for one in gradients[number * parts : (number + 1) * parts] if one is not None]
            total[number] += sum((one.square().sum() for one in own), torch.zeros((), dtype=x.dtype)) / len(x)
    return (total / directions).sqrt().flip(0)
