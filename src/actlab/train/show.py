"""What a person sees during training: a bar on a terminal, one line an epoch elsewhere, or nothing."""

import sys
import time
from typing import Protocol

from .._language import say
from ..records import Epoch
from .progress import Sums

_REFRESH_SECONDS = 0.2


class Show(Protocol):
    """Receives the same facts as `events.jsonl`."""

    def start(self, title: str, done: int, steps: int) -> None: ...

    def step(self, step: int, count: int, recent: Sums | None) -> None: ...

    def epoch(self, row: Epoch, epochs: int, examples_per_second: float) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...


class Quiet:
    """Shows nothing."""

    def start(self, title: str, done: int, steps: int) -> None: ...

    def step(self, step: int, count: int, recent: Sums | None) -> None: ...

    def epoch(self, row: Epoch, epochs: int, examples_per_second: float) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...


class Plain(Quiet):
    """One line an epoch, for logs and pipes."""

    def start(self, title: str, done: int, steps: int) -> None:
        print(title, flush=True)

    def epoch(self, row: Epoch, epochs: int, examples_per_second: float) -> None:
        print(epoch_line(row, epochs, examples_per_second), flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)


class Bar:
    """A rich progress bar: loss, accuracy, examples/s, time left."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn(say("left", "剩余")),
            TimeRemainingColumn(),
            speed_estimate_period=60,
        )
        self._task = self._progress.add_task("", total=None, facts="")
        self._facts, self._rate = "", 0.0
        self._at, self._counted = time.perf_counter(), 0

    def start(self, title: str, done: int, steps: int) -> None:
        self._progress.start()
        self._progress.console.print(title, highlight=False)
        self._progress.update(self._task, total=steps, completed=done, description=say("step", "步"))
        self._at = time.perf_counter()

    def step(self, step: int, count: int, recent: Sums | None) -> None:
        self._counted += count
        if recent is not None:
            self._facts = f"{say('loss', '损失')} {recent.mean_loss:.4g}"
            if recent.score:
                self._facts += f"  {say('accuracy', '准确率')} {recent.mean_score:.3f}"
        seconds = time.perf_counter() - self._at
        if seconds < _REFRESH_SECONDS:
            return
        rate = self._counted / seconds
        self._rate = rate if not self._rate else 0.8 * self._rate + 0.2 * rate
        self._at, self._counted = time.perf_counter(), 0
        facts = f"{self._facts}  {self._rate:,.0f} {say('examples/s', '样本/秒')}"
        self._progress.update(self._task, completed=step, facts=facts)

    def epoch(self, row: Epoch, epochs: int, examples_per_second: float) -> None:
        self._progress.update(self._task, completed=row.step)
        self._progress.console.print(epoch_line(row, epochs, examples_per_second), highlight=False)
        self._at, self._counted = time.perf_counter(), 0  # evaluation is not training

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)

    def stop(self) -> None:
        self._progress.stop()


def choose(quiet: bool = False) -> Show:
    """A bar where a person looks on, lines where none does."""
    if quiet:
        return Quiet()
    return Bar() if sys.stdout.isatty() else Plain()


def epoch_line(row: Epoch, epochs: int, examples_per_second: float) -> str:
    """One epoch in one line."""
    parts = [say(f"epoch {row.epoch}/{epochs}", f"第 {row.epoch}/{epochs} 轮")]
    for name, loss, accuracy in (
        (say("train", "训练"), row.train_loss, row.train_accuracy),
        (say("validation", "验证"), row.validation_loss, row.validation_accuracy),
        (say("test", "测试"), row.test_loss, row.test_accuracy),
    ):
        if loss is not None:
            parts.append(
                f"{name} {say('loss', '损失')} {loss:.4f}"
                + (f" {say('accuracy', '准确率')} {accuracy:.4f}" if accuracy is not None else "")
            )
    parts += [f"{name} {value:.4f}" for name, value in row.scores.items()]
    parts.append(f"{examples_per_second:,.0f} {say('examples/s', '样本/秒')}")
    return "  ".join(parts)
