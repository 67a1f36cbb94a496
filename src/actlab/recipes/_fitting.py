"""Whether network, loss, metric and data of a comparison fit, asked before any training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .._language import say
from ..comparison.running import Subject
from ..errors import ActlabError, UsageError, first_line
from ..records import Declaration
from ..train import Parts
from ..train.evaluation import is_classification

_LOOKED_AT = 10_000  # examples of a part whose classes are looked at


def check_metric(subject: Subject, declared: Declaration) -> None:
    """Raises UsageError where there is nothing to tune by, or no accuracy."""
    seed, target = declared.tuning_seeds[0], declared.target
    parts = subject.parts(seed)
    if parts.validation is None or not len(parts.validation):
        raise UsageError(
            say(f"'{target}' holds no validation data out to tune learning rates by", f"“{target}”没有留出用于调学习率的验证数据")
        )  # fmt: skip
    model = subject.model(declared.baseline, seed).eval()
    outputs, targets = _fits(subject, parts, model, parts.train, f"{target} (train)")
    for name, part in (("validation", parts.validation), ("test", parts.test)):
        if part is not None:
            _fits(subject, parts, model, part, f"{target} ({name})")
    if declared.metric == "accuracy" and not is_classification(outputs, targets):
        raise UsageError(
            say(f"'{target}' has no accuracy, for its outputs and targets are not logits and one class an example; compare by --metric loss", f"“{target}”没有准确率（其输出与目标不是 logits 与每例一个类别）；请用 --metric loss")
        )  # fmt: skip


def _fits(subject: Subject, parts: Parts, model: nn.Module, part: Any, where: str) -> tuple[Any, Any]:
    """Outputs and targets of two examples; raises UsageError where the loss, or a class, is none for that network."""
    if not len(part):
        raise UsageError(say(f"{where}: expected examples; got none", f"{where}：没有样本"))
    inputs, targets = part[torch.arange(min(2, len(part)))]
    with torch.no_grad(), _sentence(where):
        outputs = model(parts.prepare(inputs, False))
    if subject.loss is None and is_classification(outputs, targets):
        seen = torch.cat([part[indices][1] for indices in torch.arange(min(len(part), _LOOKED_AT)).split(256)])
        low, high = int(seen.min()), int(seen.max())
        if low < 0 or high >= outputs.shape[1]:
            count = outputs.shape[1]
            raise UsageError(
                say(f"{where}: expected classes from 0 to {count - 1} (outputs of the network: {count}); got {low} to {high}", f"{where}：网络有 {count} 个输出，类别应为 0 至 {count - 1}；得到 {low} 至 {high}")
            )  # fmt: skip
    with torch.no_grad(), _sentence(where):
        (subject.loss or nn.functional.cross_entropy)(outputs, targets)
    return outputs, targets


@contextmanager
def _sentence(where: str) -> Iterator[None]:
    """Raises UsageError for whatever a network or a loss of one's own raises."""
    try:
        yield
    except ActlabError:
        raise
    except Exception as error:
        raise UsageError(
            say(f"{where}: outputs and targets do not fit: {first_line(error)}", f"{where}：输出与目标不符：{first_line(error)}")
        ) from error  # fmt: skip
