"""Everything `fit` can be told, as one frozen record that `config.toml` stores and replays."""

import re
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from .._language import say
from ..errors import UnknownName, UsageError
from ..records import Record

Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["constant", "onecycle", "cosine", "triangular"]
OptimizerName = Literal["sgd", "adamw", "muon"]


class Settings(Record):
    """How to train. Rates are per optimizer step; `batch_size` counts the examples of one step over all processes."""

    model_config = ConfigDict(allow_inf_nan=False)

    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    epochs: int = Field(default=10, ge=0)
    steps: int | None = Field(default=None, ge=0)  # in all; where given, it decides instead of `epochs`
    batch_size: int = Field(default=128, ge=1, le=2**24)
    # tokens of one step, of data that count them (pairs of sequences): then batches differ in examples, not in tokens
    batch_tokens: int | None = Field(default=None, ge=1, le=2**24)
    # parts into which a batch is cut to save memory; the result stays the same
    accumulate: int = Field(default=1, ge=1, le=2**24)

    optimizer: OptimizerName = "sgd"
    learning_rate: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)  # never on biases, gains and the parameters of activations
    # for "muon": hidden convolutions; the rest gets SGD with the rates above
    muon_learning_rate: float = Field(default=0.02, gt=0)
    muon_momentum: float = Field(default=0.95, ge=0, lt=1)
    muon_steps: int = Field(default=4, ge=1)  # Newton-Schulz iterations
    schedule: Schedule = "constant"
    warmup: float = Field(default=0.2, ge=0, le=1)  # rising share of "triangular", "onecycle" and "cosine"
    clip_norm: float | None = Field(default=None, gt=0)  # of the gradient over all parameters, applied after unscaling
    clip_value: float | None = Field(default=None, gt=0)  # of every element of the gradient, after clipping by norm
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    # decay per step of the averaged weights, which are then evaluated and kept
    ema: float | None = Field(default=None, gt=0, lt=1)
    # epochs without a better validation result before stopping; restores the best
    patience: int | None = Field(default=None, ge=1)

    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(default=1, ge=1)
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    keep_memory: bool = True  # on glibc: keep freed memory in the process, which spares page faults

    evaluate_batch_size: int = Field(default=500, ge=1, le=2**24)
    report_test: bool = False  # test result after every epoch, for the record only; nothing chooses by it
    checkpoint_seconds: float = Field(default=60.0, gt=0)  # at least this long between two checkpoints inside an epoch
    # stop when the mean loss of 20 steps exceeds this multiple of the first loss
    divergence: float = Field(default=30.0, gt=1)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Settings":
        if self.nesterov and not self.momentum and self.optimizer != "adamw":
            text = say(
                "nesterov needs momentum above 0, or nesterov=false",
                "nesterov 需要大于 0 的 momentum，或设 nesterov=false",
            )
            raise PydanticCustomError("nesterov", "{text}", {"text": text})
        return self

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped, and their norm measured."""
        return self.clip_norm is not None or self.clip_value is not None

    @property
    def shards(self) -> bool:
        """Whether weights are cut over the processes."""
        return self.strategy == "fsdp" and self.devices > 1

    def steps_in_all(self, examples: int, tokens: int | None = None) -> int:
        """Optimizer steps of the whole training on that many examples, of so many tokens where they are counted."""
        return self.steps if self.steps is not None else self.epochs * self.steps_per_epoch(examples, tokens)

    def steps_per_epoch(self, examples: int, tokens: int | None = None) -> int:
        """Optimizer steps of one pass; the last one may be smaller."""
        if self.batch_tokens is not None and tokens is not None:
            return min(examples, -(-tokens // self.batch_tokens))
        return -(-examples // self.batch_size)


def change(settings: Settings, changes: dict[str, Any]) -> Settings:
    """`settings` with some values replaced, checked; raises UnknownName or UsageError naming the value that is wrong."""
    for name in changes:
        if name not in Settings.model_fields:
            raise UnknownName("setting", name, Settings.model_fields)
    if "epochs" in changes and "steps" not in changes:
        changes = {**changes, "steps": None}
    try:
        return Settings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise complaint(error) from None


def complaint(error: ValidationError) -> UsageError:
    """The first complaint of pydantic as one sentence."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "literal_error":
        return UnknownName(
            name, str(first["input"]), re.findall("'([^']*)'", str(first.get("ctx", {}).get("expected")))
        )
    if first["type"] == "extra_forbidden":
        return UsageError(say(f"there is no setting '{name}' in this version", f"此版本没有设置“{name}”"))
    if not name:
        return UsageError(first["msg"])
    wanted, got = first["msg"][0].lower() + first["msg"][1:], first["input"]
    return UsageError(say(f"{name}: {wanted}; got {got!r}", f"{name}：{_in_chinese(first, wanted)}；得到 {got!r}"))


def _in_chinese(first: Any, otherwise: str) -> str:
    """pydantic's commonest complaints."""
    limits = {
        "greater_than": ("大于", "gt"),
        "greater_than_equal": ("大于等于", "ge"),
        "less_than": ("小于", "lt"),
        "less_than_equal": ("小于等于", "le"),
    }
    if first["type"] in limits:
        words, key = limits[first["type"]]
        return f"应{words} {first['ctx'][key]}"
    kinds = {"finite_number": "应为有限数", "int_parsing": "应为整数", "int_type": "应为整数", "int_from_float": "应为整数",
             "float_parsing": "应为数字", "float_type": "应为数字", "bool_parsing": "应为 true 或 false", "bool_type": "应为 true 或 false",
             "string_type": "应为文字", "missing": "缺少此项"}  # fmt: skip
    return kinds.get(first["type"], otherwise)
