"""A finished run on sentences, speech, series or text as a network that answers."""

from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from .._language import say
from ..data import speech
from ..errors import UsageError
from ..layers import Recurrent, gradient_by_lag
from ..records import Evaluation, Run
from ..train.evaluation import evaluate
from .load import kind, plan_of, with_weights
from .planning import Plan
from .run_task import KINDS, build_model, open_task

# What reads a run of each kind, for the sentence that says so.
_COMMANDS = {
    "images": "actlab predict RUN IMAGE",
    "slots": 'actlab predict RUN "a sentence"',
    "speech": "actlab predict RUN FILE.wav",
    "series": "actlab forecast RUN",
    "characters": "actlab sample RUN",
    "pairs": "actlab pronounce RUN WORD, or translate RUN SENTENCE",
    "graph": "actlab predict RUN NODE",
}


class TrainedTask:
    """Record, plan, task and network of a run directory. The task has no data until it is evaluated."""

    def __init__(self, directory: str | Path, *wanted: str):
        self.path = Path(directory)
        found = kind(self.path)
        if found == "images" or (wanted and found not in wanted):
            raise UsageError(
                say(
                    f"'{self.path}' was trained on {found}: read it with '{_COMMANDS[found]}'",
                    f"“{self.path}”的任务是 {found}；请用“{_COMMANDS[found]}”",
                )
            )
        self.run = Run.read(self.path)
        self.plan: Plan = plan_of(self.path)
        self.task: Any = KINDS[found].reopen(self.path)
        self.model: Any = with_weights(build_model(self.plan.model, self.task), self.path / "model.safetensors").eval()

    def evaluate(
        self, source: str | None, part: Literal["train", "validation", "test"], limit: int | None
    ) -> Evaluation:
        """The result on a part of the run's own data, or of other data of the same kind."""
        given = {"source": source, "limit": limit}
        plan = self.plan.with_changes(data={name: value for name, value in given.items() if value is not None})
        self.task.take(open_task(plan))
        parts = self.task.parts()
        split = getattr(parts, part)
        if split is None or not len(split):
            raise UsageError(say(f"there are no {part} examples in these data", f"这些数据中没有 {part} 样本"))
        fabric = Fabric(accelerator="cpu", devices=1)
        result = evaluate(
            lambda inputs: self.model(parts.prepare(inputs, False)),
            split,
            self.task.loss or F.cross_entropy,
            name=part,
            batch_size=plan.settings.evaluate_batch_size,
            fabric=fabric,
        )
        if parts.scores is None:
            return result
        with torch.no_grad():
            return result.model_copy(update={"scores": parts.scores.measure(self.model, split)})

    def trace(self, item: str, *, backwards: bool = False) -> tuple[list[str], dict[str, Tensor], Tensor]:
        """Of the first recurrent layer: the words of a sentence (or times of a recording), gates, cell and state (time, units) by name,
        and the norm of the gradient (time + 1) that reaches so many steps back.

        Raises UsageError for a network without one.
        """
        layer = getattr(self.model, "recurrent", None)
        if not isinstance(layer, Recurrent) or (backwards and not layer.bidirectional):
            missing = (
                say("recurrent layer", "循环层")
                if not isinstance(layer, Recurrent)
                else say("backward direction", "反向")
            )
            raise UsageError(
                say(
                    f"{self.plan.model.name} has no {missing} to trace", f"{self.plan.model.name} 没有可展示的{missing}"
                )
            )
        with torch.no_grad():
            if self.plan.data.task == "slots":
                steps = self.task.split(item)
                seen, _ = self.model.embed(self.task.encode(steps)[None])
            else:
                seen = speech.features(speech.read_wave(item), self.task.mels)[None]
                steps = [f"{number / 100:.1f} s" if number % 10 == 0 else "" for number in range(seen.shape[1])]
            gates = layer.trace(seen, backwards=backwards)
        left = gradient_by_lag(layer, seen.flip(1) if backwards else seen, backwards=backwards)
        return steps, {name: value[0] for name, value in gates.items()}, left
