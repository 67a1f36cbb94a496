"""Comparing candidates on a recipe, or on a network and data of one's own: declared, carried out in a folder, written down."""

import csv
import io
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from .. import activations, report
from .._files import cannot_write, write_whole
from .._language import say
from .._report_comparison import rows
from ..comparison import costs as measuring
from ..comparison.backends import Backend, Place, cores
from ..comparison.candidates import GATES
from ..comparison.protocol import check, compare, trainings
from ..comparison.running import Runner
from ..errors import UsageError
from ..records import Comparison, Costs, Declaration
from ..train.files import flat, read_config, without_none
from ._compared import gated, open_subject
from ._fingerprint import fingerprint
from ._fitting import check_metric
from ._stopping import stoppable
from .planning import read


def run_comparison(declared: Declaration, folder: Path, *, workers: int | None = 1, backend: Backend = "local", address: str | None = None, show: Any = lambda trial, left: None, announce: Any = None, opener: Callable[[Declaration], Any] = open_subject) -> Comparison:  # fmt: skip
    """Carry out a declaration in `folder`, where `compare.toml` and every finished trial stand; what is there is not trained again.

    Writes `comparison.json`, `comparison.csv`, `costs.json` and the page `comparison.html`. Raises UsageError, before any training, for
    candidates that are unknown or cannot be reached, and for a folder of another declaration; Interrupted after Ctrl-C and SIGTERM. `announce` is told what it will cost, `show`
    every trial and how many of its stage are left.
    """
    declared = check(declared)
    check_candidates(declared)
    _compare_with(declared, folder)
    place = Place(cores() if workers is None else workers, backend, address)
    with stoppable(folder), closing(Runner(declared, opener, folder, place=place, show=show)) as runner:
        return _carried_out(declared, runner, folder, announce)


def _carried_out(declared: Declaration, runner: Runner, folder: Path, announce: Any) -> Comparison:
    subject: Any = runner.subject
    for candidate in declared.candidates:  # a network whose activations cannot be reached says so now
        subject.model(candidate, declared.tuning_seeds[0])
    check_metric(subject, declared)
    _keep(declared, folder)
    if announce is not None:
        announce(_expected(declared, runner, folder))
    found = compare(declared, runner, part=runner.part, guessing=runner.guessing)
    found = found.model_copy(update={"kept_layers": subject.kept_layers, "left": subject.left})
    _write(folder / "comparison.json", found.model_dump_json(indent=1))
    write_results(found, _costs(folder) or measuring.measure(subject, declared), folder)
    return found


def fingerprinted(declared: Declaration, opener: Callable[[Declaration], Any] = open_subject) -> Declaration:
    """The declaration with the fingerprint of a network and data of one's own."""
    plan = read(declared.plan)
    if ":" not in plan.model.name and ":" not in str(getattr(plan.data, "source", "")):
        return declared
    subject = opener(declared)
    found = fingerprint(subject.names, subject.parts(declared.tuning_seeds[0]))
    return declared.model_copy(update={"fingerprint": found})


def _expected(declared: Declaration, runner: Runner, folder: Path) -> measuring.Expected:
    there = sum(1 for _ in (folder / "trials").glob("*.json"))
    whole = (folder / "comparison.json").exists()
    least, most = (0, 0) if whole else (max(1, count - there) for count in trainings(declared))
    seconds = measuring.forecast(runner.subject, declared, runner.together) if least else 0.0
    return measuring.Expected(least, most, declared.steps, seconds, runner.workers, folder, runner.part)


def write_results(found: Comparison, costs: Costs, folder: Path) -> Path:
    """The page, whose path is returned, a row for each trial, and what it cost."""
    table, lines = rows(found), io.StringIO()
    writer = csv.DictWriter(lines, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    _write(folder / "comparison.csv", lines.getvalue().rstrip("\n"))
    _write(folder / "costs.json", costs.model_dump_json(indent=1))
    return report.write_comparison(found, folder / "comparison.html", costs)


def _write(file: Path, text: str) -> None:
    write_whole(file, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def _costs(folder: Path) -> Costs | None:
    """Those that stand there already."""
    try:
        return Costs.model_validate_json((folder / "costs.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def check_candidates(declared: Declaration) -> None:
    """Raises UnknownName or UsageError for an activation that is none, or that acts on vectors where the network has no place for that."""
    if declared.factor != "activation":
        return
    for name in declared.candidates:
        if name in GATES:
            gated(read(declared.plan).model, name)
        elif isinstance(activations.get(name), activations.VectorActivation):
            raise UsageError(
                say(f"'{name}' acts on whole vectors and cannot take the place of a pointwise activation", f"“{name}”作用于整个向量，不能代替逐点激活函数")
            )  # fmt: skip


def place_of(declared: Declaration, runs: Path = Path("runs")) -> Path:
    """The newest folder that holds this very declaration, so that an interrupted comparison goes on; else a new one."""
    wanted = _content(check(declared))
    for file in sorted(runs.glob("*/compare.toml"), key=lambda one: one.stat().st_mtime, reverse=True):
        if flat(read_config(file)) == flat(wanted):
            return file.parent
    base = f"compare-{Path(declared.target).stem.split(':')[0]}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    return next(path for path in (runs / base, *(runs / f"{base}-{number}" for number in range(2, 1000))) if not path.exists())  # fmt: skip


def _content(declared: Declaration) -> dict[str, Any]:
    return without_none(declared.model_dump(mode="json"))


def _compare_with(declared: Declaration, folder: Path) -> None:
    """Raises UsageError for a folder of another declaration."""
    file, content = folder / "compare.toml", _content(declared)
    if not file.exists() or (there := flat(read_config(file))) == (asked := flat(content)):
        return
    if {**there, "fingerprint": ""} == {**asked, "fingerprint": ""}:
        raise UsageError(
            say(f"the network or the data have changed since '{folder}' was begun; choose another folder with --out", f"自“{folder}”开始以来，网络或数据已改变；请用 --out 另选文件夹")
        )  # fmt: skip
    raise UsageError(
        say(f"'{folder}' holds another comparison; choose another folder with --out", f"“{folder}”中是另一次比较；请用 --out 另选文件夹")
    )  # fmt: skip


def _keep(declared: Declaration, folder: Path) -> None:
    """`compare.toml`, written once."""
    if (folder / "compare.toml").exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(say(f"expected a folder; '{folder}' is a file", f"需要文件夹；“{folder}”是文件")) from None
    except OSError as error:
        raise cannot_write(folder, error) from error
    content = _content(declared)
    write_whole(folder / "compare.toml", lambda temporary: temporary.write_text(tomli_w.dumps(content), encoding="utf-8"))  # fmt: skip
