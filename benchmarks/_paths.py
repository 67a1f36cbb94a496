"""The two ways of training AlexNet that are compared: the notes' code path and Actlab's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from actlab import models
from actlab.data.images import ImageData, ImageSplit
from actlab.recipes.planning import Plan
from actlab.recipes.run import build_model, input_shape, preparation
from actlab.train import fabric, optimizers, seeds
from actlab.train.schedules import factor


class ResizedOneByOne(Dataset):
    """Fashion-MNIST as torchvision gives it with Resize(224) and ToTensor(): Pillow, sample by sample."""

    def __init__(self, split: ImageSplit):
        self._images, self._labels = split.images[:, 0], split.labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self._images[index].numpy())
        pixels = np.array(picture.resize((224, 224), Image.Resampling.BILINEAR), copy=True)
        return torch.from_numpy(pixels).unsqueeze(0).contiguous().to(torch.float32).div(255), int(self._labels[index])


class NotesPath:
    """Textbook training: float32, NCHW, a DataLoader, Xavier-uniform weights, dropout 0.5, plain SGD with torch's defaults."""

    def __init__(self, data: ImageData, *, batch_size: int, device: str):
        torch.manual_seed(0)
        self.device = torch.device(device)
        self._loader = DataLoader(ResizedOneByOne(data.train), batch_size=batch_size, shuffle=True, drop_last=True)
        self._batches: Iterator[Any] = iter(())
        self._model = models.initialise(models.AlexNet(len(data.classes), dropout=0.5), "xavier").to(self.device)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01)
        self._loss = nn.CrossEntropyLoss()
        self.loss_sum, self.right = 0.0, 0
        self._model.train()

    def fetch(self) -> tuple[Tensor, Tensor]:
        """The next batch, on the device."""
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            batch = next(self._batches)
        inputs, targets = batch
        return inputs.to(self.device), targets.to(self.device)

    def compute(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Forward, backward and step."""
        self._optimizer.zero_grad()
        outputs = self._model(inputs)
        loss = self._loss(outputs, targets)
        loss.backward()
        self._optimizer.step()
        return outputs, loss

    def tally(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Loss and accuracy of every batch, read at once as textbooks do."""
        self.loss_sum += loss.item() * len(targets)
        self.right += int((outputs.argmax(1) == targets).sum())


class ActlabPath:
    """A step of a recipe, from the pieces that `actlab train` puts together."""

    def __init__(self, plan: Plan, data: ImageData, *, batch_size: int, device: str):
        self._settings = plan.settings.model_copy(update={"batch_size": batch_size, "device": device})
        self._fabric = fabric.start(self._settings)
        self.device = self._fabric.device
        torch.manual_seed(self._settings.seed)
        facts = data.facts()
        model = build_model(plan.model, facts)
        self._prepare = preparation(plan.data, facts, input_shape(model, facts), augment=True)
        if self._settings.channels_last:
            model.to(memory_format=torch.channels_last)
        model.to(self.device)
        self._model, *self._optimizers = self._fabric.setup(model, *optimizers.build(model, self._settings))
        self._split, self._order, self._step = data.train, torch.empty(0, dtype=torch.long), 0
        self._sums = torch.zeros(2, device=self.device)
        self._model.train()

    def fetch(self) -> tuple[Tensor, Tensor]:
        """The next batch: bytes by index, then resized and normalised on the device."""
        size = self._settings.batch_size
        if len(self._order) < size:
            self._order = seeds.order(self._settings.seed, self._step, len(self._split))
        chosen, self._order = self._order[:size], self._order[size:]
        inputs, targets = self._split[chosen]
        if self.device.type != "cpu":
            inputs, targets = (tensor.to(self.device, non_blocking=True) for tensor in (inputs, targets))
        inputs = self._prepare(inputs, True)
        if self._settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs, targets

    def compute(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Forward, backward and step."""
        s = self._settings
        seeds.seed_step(s.seed, self._step, 0, self.device)
        steps = s.steps or 1 << 30
        optimizers.set_rates(self._optimizers, factor(s.schedule, self._step % steps, steps, s.warmup))
        self._step += 1
        outputs = self._model(inputs)
        loss = F.cross_entropy(outputs, targets, label_smoothing=s.label_smoothing)
        self._fabric.backward(loss)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return outputs, loss

    def tally(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Loss and accuracy of every batch, summed on the device as `fit` does."""
        self._sums += torch.stack([loss.detach() * len(targets), (outputs.argmax(1) == targets).sum()])
        if self.device.type == "cpu":
            self._sums.tolist()
