"""A finished run as a model that works: for evaluation and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from .._language import say
from ..data import images
from ..errors import ActlabError, UsageError, first_line
from ..records import DataFacts, Evaluation, Run
from ..train.evaluation import evaluate
from ..train.files import read_config
from ..train.parts import Parts
from .planning import DataPlan, Plan, read
from .run import build_model, load_data, preparation


def kind(directory: str | Path) -> str:
    """What a run was trained for: "images", "slots", "speech", "series" or "characters"."""
    Run.read(directory)
    data = read_config(Path(directory)).get("data", {})
    return str(data.get("task", "images")) if isinstance(data, dict) else "images"


class Trained:
    """Record, plan and network of a run directory."""

    def __init__(self, directory: str | Path):
        self.path = Path(directory)
        self.run = Run.read(self.path)
        self.plan: Plan = plan_of(self.path)
        assert isinstance(self.plan.data, DataPlan)  # TrainedTask is for the others
        self._data: DataPlan = self.plan.data
        self.model = with_weights(build_model(self.plan.model, self.run.data), self.path / "model.safetensors").eval()

    def evaluate(
        self, source: str | None, part: Literal["train", "validation", "test"], limit: int | None
    ) -> Evaluation:
        """The result on a part of the run's own data, or of other data with the same classes."""
        plan = self.plan.with_changes(
            data=({} if source is None else {"source": source}) | ({} if limit is None else {"limit": limit})
        )
        data = load_data(plan)
        split = getattr(data, part)
        if split is None or not len(split):
            raise UsageError(say(f"there are no {part} examples in these data", f"这些数据中没有 {part} 样本"))
        if isinstance(data, Parts):
            prepare = data.prepare
        else:
            self._check(data.facts())
            prepare = preparation(
                self._data,
                self.run.data.model_copy(update={"example_shape": data.facts().example_shape}),
                self.run.model.input_shape,
            )
        fabric = Fabric(accelerator="auto", devices=1)
        model = fabric.to_device(self.model)
        size = plan.settings.evaluate_batch_size
        return evaluate(
            lambda inputs: model(prepare(inputs, False)),
            split,
            F.cross_entropy,
            name=part,
            batch_size=size,
            fabric=fabric,
        )

    def _check(self, facts: DataFacts) -> None:
        mine = self.run.data
        if not mine.example_shape:
            raise UsageError(say(f"'{self.path}' was not trained on images", f"“{self.path}”不是用图像训练的"))
        if facts.classes != mine.classes or facts.example_shape[0] != mine.example_shape[0]:
            raise UsageError(
                say(
                    f"expected data with the classes {', '.join(mine.classes)} and {mine.example_shape[0]} channel(s); "
                    f"got {', '.join(facts.classes)} and {facts.example_shape[0]}",
                    f"数据应有类别 {'、'.join(mine.classes)} 和 {mine.example_shape[0]} 个通道；得到 {'、'.join(facts.classes)} 和 {facts.example_shape[0]} 个通道",
                )
            )

    def predict(self, paths: Sequence[Path], top: int) -> list[dict[str, Any]]:
        """For every image file its most probable classes: {"image": path, "classes": {name: probability}}."""
        facts = self.run.data
        if len(facts.example_shape) != 3:
            raise UsageError(say(f"'{self.path}' was not trained on images", f"“{self.path}”不是用图像训练的"))
        batch = torch.stack(
            [images.read_image(path, (facts.example_shape[0], *facts.example_shape[1:])) for path in paths]
        )
        found = self.logits(batch).float()[:, : len(facts.classes)].softmax(1).topk(min(top, len(facts.classes)), dim=1)
        return [
            {"image": str(path), "classes": {facts.classes[i]: p for i, p in zip(places, values, strict=True)}}
            for path, values, places in zip(paths, found.values.tolist(), found.indices.tolist(), strict=True)
        ]

    def logits(self, images: Tensor) -> Tensor:
        """Outputs (batch, classes) for raw images (uint8, batch channel height width) as the data have them."""
        prepare = preparation(self._data, self.run.data, self.run.model.input_shape)
        with torch.no_grad():
            return self.model(prepare(images, False))


def plan_of(directory: Path) -> Plan:
    """The plan a run was made by; raises UsageError if it has none."""
    config = read_config(directory)
    if "recipe" not in config:
        raise UsageError(
            say(
                f"'{directory}' was made by fit() in Python, which keeps no recipe to build its model again; load model.safetensors there",
                f"“{directory}”由 Python 中的 fit() 生成，没有可用于重建模型的配方；请在程序中加载 model.safetensors",
            )
        )
    return read(config)


def with_weights(model: nn.Module, path: Path) -> nn.Module:
    try:
        model.load_state_dict(load_tensors(path.read_bytes()))
    except FileNotFoundError:
        raise ActlabError(
            say(
                f"expected the weights of a finished run; '{path}' does not exist",
                f"找不到训练完成的权重“{path}”；请先完成训练",
            )
        ) from None
    except Exception as error:  # safetensors and torch raise kinds of their own for damaged or foreign files
        raise ActlabError(
            say(
                f"the weights '{path}' cannot be used: {first_line(error)}",
                f"无法使用权重“{path}”：{first_line(error)}",
            )
        ) from error
    return model
