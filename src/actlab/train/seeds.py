"""Randomness as a function of seed and position, so that resuming needs no generator state."""

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 63) - 1


def derive(*numbers: int) -> int:
    """One well-mixed 63-bit seed from several numbers (the finaliser of SplitMix64, Steele, Lea & Flood 2014)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        state = (state ^ state >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        state ^= state >> 31
    return state & _MASK


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed torch's global generators for one step of one process: dropout and augmentation draw from them.

    Only those of the CPU and of the device: `torch.manual_seed` asks every kind of device, which takes 100 microseconds and more.
    """
    number = derive(seed, 1, step, rank)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def order(seed: int, epoch: int, examples: int, sizes: Tensor | None = None, batch: int = 1) -> Tensor:
    """The order in which `epoch` (counted from 0) sees the examples.

    With `sizes`, examples of like size come into one batch, so that little is padded: within every hundred batches of the shuffled order
    they are sorted, and then the batches are shuffled.
    """
    if batch >= examples:
        sizes = None
    shuffled, generator = _shuffled(seed, epoch, examples, sizes, 100 * batch)
    if sizes is None:
        return shuffled
    whole, rest = shuffled.split([examples - examples % batch, examples % batch])
    batches = whole.view(-1, batch)
    return torch.cat([batches[torch.randperm(len(batches), generator=generator)].flatten(), rest])


def batches_of_tokens(seed: int, epoch: int, tokens: Tensor, sizes: Tensor | None, count: int) -> Sequence[Tensor]:
    """The examples of `epoch` in `count` batches of about as many tokens each, none of them empty.

    With `sizes`, examples of like size come into one batch, as `order` has it.
    """
    shuffled, generator = _shuffled(seed, epoch, len(tokens), sizes, -(-100 * len(tokens) // count))
    middle = tokens[shuffled].cumsum(0) - tokens[shuffled] / 2
    place = (middle * (count / int(tokens.sum()))).long().clamp(max=count - 1)
    lengths = torch.bincount(place, minlength=count)
    batches = [batch for batch in shuffled.split(lengths.tolist()) if len(batch)]
    while len(batches) < count:  # an example of more tokens than a batch has left one empty: halve the longest
        longest = max(range(len(batches)), key=lambda number: len(batches[number]))
        batches[longest : longest + 1] = batches[longest].tensor_split(2)
    return [batches[number] for number in torch.randperm(count, generator=generator).tolist()]


def _shuffled(seed: int, epoch: int, examples: int, sizes: Tensor | None, pool: int) -> tuple[Tensor, torch.Generator]:
    """The examples in the random order of an epoch, with `sizes` sorted within pools of so many; and the generator to go on with."""
    generator = torch.Generator().manual_seed(derive(seed, 2, epoch))
    shuffled = torch.randperm(examples, generator=generator)
    if sizes is not None:
        shuffled = torch.cat([piece[sizes[piece].argsort(stable=True)] for piece in shuffled.split(pool)])
    return shuffled, generator
