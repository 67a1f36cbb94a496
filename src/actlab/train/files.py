"""The run directory: every file is written to a temporary name and renamed, so that a killed process leaves whole files."""

import csv
import io
import json
import time
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import tomli_w
import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from .._files import cannot_write, write_whole
from .._language import say
from ..errors import ActlabError, UsageError, first_line
from ..records import Epoch, Run
from .origin import Origin


class RunDirectory:
    """The files of one run. Made by `create` or `reopen`."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoint = path / "checkpoints" / "last.pt"
        self.best = path / "checkpoints" / "best.pt"
        self._events: TextIO | None = None

    @classmethod
    def create(cls, path: Path, plan: dict[str, Any]) -> "RunDirectory":
        """A new run; raises UsageError if there is one already."""
        if _holds_run(path):
            raise UsageError(
                say(
                    f"'{path}' already holds a run; go on with it by --resume or choose another directory with --out",
                    f"“{path}”中已有一次运行；用 --resume 继续，或用 --out 换一个目录",
                )
            )
        files = cls(path)
        files._make_folders()
        files.text("config.toml", tomli_w.dumps(without_none(plan)))
        return files

    @classmethod
    def reopen(cls, path: Path, origin: Origin) -> "RunDirectory":
        """A run to go on with; starts it anew if nothing was written yet. Raises UsageError if it was another run."""
        if not _holds_run(path):
            return cls.create(path, origin.plan)
        before, now = (flat(without_none(one)) for one in (origin.completed(read_config(path)), origin.plan))
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if changed:
            name = changed[0]
            raise UsageError(
                say(
                    f"cannot resume '{path}': it was started with {name} = {before.get(name)!r}, not {now.get(name)!r}",
                    f"无法继续“{path}”：它开始时 {name} = {before.get(name)!r}，而不是 {now.get(name)!r}",
                )
            )
        files = cls(path)
        files._make_folders()
        return files

    def _make_folders(self) -> None:
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def text(self, name: str, content: str) -> None:
        """Write a small text file."""
        write_whole(self.path / name, lambda temporary: temporary.write_bytes(content.encode()))

    def event(self, kind: str, **values: Any) -> None:
        """Append a line to `events.jsonl`: {"event": kind, "time": seconds since 1970, ...}."""
        line = json.dumps({"event": kind, "time": round(time.time(), 3), **values}, ensure_ascii=False)
        path = self.path / "events.jsonl"
        try:
            if self._events is None:
                self._events = path.open("a", encoding="utf-8", buffering=1)  # each line reaches the file at once
            self._events.write(line + "\n")
        except OSError as error:
            self.close()
            raise cannot_write(path, error) from error

    def close(self) -> None:
        """Close `events.jsonl`."""
        events, self._events = self._events, None
        if events is not None:
            with suppress(OSError):  # what could not be written has been reported already
                events.close()

    def metrics(self, rows: Sequence[Epoch]) -> None:
        """Write `metrics.csv`, one row an epoch. It holds no clock: a resumed run gives the same file, byte for byte."""
        out = io.StringIO()
        scores = sorted({name for row in rows for name in row.scores})
        plain = [name for name in Epoch.model_fields if name != "scores"]
        writer = csv.DictWriter(out, [*plain, *(f"validation_{name}" for name in scores)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in row.flat().items()} for row in rows)
        self.text("metrics.csv", out.getvalue())

    def record(self, run: Run) -> None:
        """Write `run.json`."""
        self.text("run.json", run.model_dump_json(indent=1) + "\n")

    def weights(self, state: dict[str, Tensor]) -> None:
        """Write `model.safetensors`."""
        content = safetensors_bytes(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        )
        write_whole(self.path / "model.safetensors", lambda temporary: temporary.write_bytes(content))

    def save(self, state: dict[str, Any], path: Path | None = None) -> int:
        """Write a checkpoint; returns its size in bytes."""
        path = path or self.checkpoint
        write_whole(path, lambda temporary: torch.save(state, temporary))
        return path.stat().st_size

    def load(self, device: torch.device, path: Path | None = None) -> dict[str, Any] | None:
        """The last checkpoint, or None if there is none; raises ActlabError if the file is damaged."""
        path = path or self.checkpoint
        if not path.exists():
            return None
        try:
            return torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises half a dozen kinds for a damaged file
            raise ActlabError(
                say(
                    f"the checkpoint '{path}' cannot be read ({first_line(error)}); remove it to start this run anew",
                    f"无法读取检查点“{path}”（{first_line(error)}）；删除它即可重新开始",
                )
            ) from error


def read_config(path: Path) -> dict[str, Any]:
    """The plan in `config.toml` of a run directory, or in a .toml file."""
    file = path / "config.toml" if path.is_dir() else path
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(say(f"expected a config file; '{file}' does not exist", f"配置文件“{file}”不存在")) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(
            say(f"'{file}' is not TOML: {first_line(error)}", f"“{file}”不是 TOML：{first_line(error)}")
        ) from None


def without_none(value: Any) -> Any:
    """`value` with every None left out of its dictionaries: TOML knows none."""
    if isinstance(value, dict):
        return {key: without_none(one) for key, one in value.items() if one is not None}
    return [without_none(one) for one in value] if isinstance(value, list | tuple) else value


def flat(plan: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names."""
    found: dict[str, Any] = {}
    for key, value in plan.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _holds_run(path: Path) -> bool:
    try:
        return (path / "config.toml").exists()
    except OSError as error:  # a name that no disk takes
        raise cannot_write(path, error) from error
