"""What `fit` trains on: parts that give a batch for a tensor of indices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, default_collate

from .._language import say
from ..errors import UsageError
from ..records import DataFacts


class Part(Protocol):
    """Examples in memory or behind an index: `part[indices]` is a batch (inputs, targets).

    Either may be a tensor or a tuple of tensors; the model is called with the inputs as they are. A part that has `sizes`, a tensor of
    one number an example, gets batches of examples of like size; one that has `tokens` can be cut into batches of so many tokens.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> tuple[Any, Any]: ...


Forward = Callable[[Any], Any]  # from inputs, as a part gives them, to outputs; `module_of` gives the network behind it


@dataclass(frozen=True)
class Forwarding:
    """A forward function together with the network whose outputs it gives."""

    module: Any
    call: Forward

    def __call__(self, inputs: Any) -> Any:
        return self.call(inputs)


def module_of(forward: Any) -> Any:
    """The network whose outputs a forward function gives: scores that decode step by step need it."""
    return getattr(forward, "module", forward)


@dataclass(frozen=True)
class Scores:
    """Figures beside the loss: `measure(forward, part)` goes over a whole part and names what it finds.

    `best` is the one to choose the best epoch by: the highest wins, or with `lowest` the lowest.
    """

    measure: Callable[[Forward, Part], dict[str, float]]
    best: str
    lowest: bool = False

    def value(self, found: dict[str, float]) -> float:
        """What is better when it is higher."""
        return -found[self.best] if self.lowest else found[self.best]


def as_it_is(inputs: Any, training: bool) -> Any:
    """Inputs that need no preparation."""
    return inputs


@dataclass(frozen=True)
class Parts:
    """Training data with what was held out of it.

    `validation` decides (early stopping, the best epoch); `test` is only reported. `prepare(inputs, training)` runs on the training
    device for each batch; any randomness in it must come from torch's global generator, which is seeded for every step.
    """

    train: Part
    validation: Part | None = None
    test: Part | None = None
    prepare: Callable[[Any, bool], Any] = as_it_is
    facts: DataFacts | None = None
    scores: Scores | None = None

    def described(self) -> DataFacts:
        """The facts given, or names and sizes where none were."""
        if self.facts is not None:
            return self.facts
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return DataFacts(name="own data", sizes={name: len(part) for name, part in parts.items() if part is not None})


class TensorPart:
    """Two tensors of the same length."""

    def __init__(self, inputs: Tensor, targets: Tensor):
        if len(inputs) != len(targets):
            raise UsageError(
                say(
                    f"expected as many targets as inputs; got {len(inputs)} inputs and {len(targets)} targets",
                    f"输入与目标的数量应相同；得到 {len(inputs)} 个输入和 {len(targets)} 个目标",
                )
            )
        self._inputs, self._targets = inputs, targets

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._inputs[indices], self._targets[indices]


class CollatedPart:
    """A torch Dataset of (input, target) pairs, read one by one and stacked."""

    def __init__(self, dataset: Any):
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        inputs, targets = default_collate([self._dataset[int(index)] for index in indices])
        return inputs, targets


def as_part(data: Any) -> Part:
    """A user's data as a part: a pair of tensors, a torch Dataset of pairs, or a part already."""
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, tuple | list) and len(data) == 2 and all(torch.is_tensor(one) for one in data):
        return TensorPart(*data)
    if isinstance(data, Dataset):
        if not hasattr(data, "__len__"):
            raise UsageError(
                say("expected a dataset with a length; got an iterable one", "数据集需要有长度；得到的是迭代式数据集")
            )
        return CollatedPart(data)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, tuple | list | str | dict):
        return data
    raise UsageError(
        say(
            f"expected a pair of tensors or a torch Dataset of (input, target); got {type(data).__name__}",
            f"需要一对张量或由（输入，目标）组成的 torch Dataset；得到 {type(data).__name__}",
        )
    )
