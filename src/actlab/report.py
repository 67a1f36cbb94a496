"""`report.html`: everything about one run on one page that needs no network, in English and Chinese."""

import base64
import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from . import __version__
from . import _report_results as results
from . import _report_training as training
from ._files import write_whole
from ._language import language, say
from ._plot_events import read_steps
from ._report_comparison import comparison_sections
from ._report_comparisons import comparisons_sections
from ._report_diagnosis import diagnosis_sections
from ._report_text import Both, html, text
from .comparison import joined
from .comparison.joined import Given, Joined
from .errors import ActlabError, UsageError, first_line
from .records import Comparison, Costs, Diagnosis, Record, Run

__all__ = ["page", "read_comparison", "write", "write_comparison", "write_comparisons", "write_diagnosis"]


def write(run_directory: str | Path) -> Path:
    """Write `report.html` into a run directory, whole or not at all, and return its path.

    The page opens in the language in force now. Raises ActlabError where there is no run record or no room.
    """
    run_directory = Path(run_directory)
    path = run_directory / "report.html"
    content = page(run_directory)
    write_whole(path, lambda temporary: temporary.write_bytes(content.encode()))
    return path


def page(run_directory: Path) -> str:
    """The page as text; of the run directory it reads run.json, events.jsonl and model.safetensors."""
    run = Run.read(run_directory)
    sections = [
        training.header(run),
        training.scores(run),
        training.curves(run, read_steps(run_directory)),
        training.speed(run),
        *results.classes(run),
        results.first_layer_pictures(run_directory, run),
        results.mistakes(run),
        training.epochs(run),
        training.facts(run),
    ]
    return _filled(f"{run.name} · Actlab", sections, text("footer", version=run.machine.actlab))


def write_diagnosis(found: Diagnosis, path: Path) -> Path:
    """Write the page of a diagnosis, whole or not at all, and return its path."""
    footer = text("footer.diagnosis", version=found.versions.get("actlab", ""))
    content = _filled(f"{found.model} · Actlab", diagnosis_sections(found), footer)
    write_whole(path, lambda temporary: temporary.write_bytes(content.encode()))
    return path


def write_comparison(found: Comparison, path: Path, costs: Costs | None = None) -> Path:
    """Write the page of a comparison, whole or not at all, and return its path."""
    footer = text("footer.comparison", version=found.versions.get("actlab", ""))
    sections = comparison_sections(found, costs or Costs())
    content = _filled(f"{found.declaration.target} · Actlab", sections, footer)
    write_whole(path, lambda temporary: temporary.write_bytes(content.encode()))
    return path


def read_comparison(folder: str | Path) -> tuple[Comparison, Costs]:
    """The record in a folder of `actlab compare`, and what it cost; raises ActlabError for a file that is damaged or missing."""
    folder = Path(folder)
    costs = folder / "costs.json"
    again = say(
        f"run the same 'actlab compare' again with --out '{folder}', which repeats no finished training",
        f"请用 --out “{folder}”重新运行同一 actlab compare，已完成的训练不会重复",
    )
    found = _read(folder / "comparison.json", Comparison, again)
    return found, _read(
        costs, Costs, say("remove it to go on without", "删除它即可继续")
    ) if costs.exists() else Costs()


_Kind = TypeVar("_Kind", bound=Record)


def _read(file: Path, kind: type[_Kind], remedy: str) -> _Kind:
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ActlabError(
            say(f"cannot read '{file}' ({error.strerror})", f"无法读取“{file}”（{error.strerror}）")
        ) from None
    except ValueError as error:
        reason = _reason(error)
        raise ActlabError(
            say(
                f"'{file}' is damaged or of another version of Actlab ({reason}); {remedy}",
                f"“{file}”已损坏，或属于其他版本的 Actlab（{reason}）；{remedy}",
            )
        ) from None


def _reason(error: ValueError) -> str:
    """Where the file is wrong first, and how."""
    if not isinstance(error, ValidationError):
        return first_line(error)
    first = error.errors()[0]
    return ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)


def write_comparisons(folders: Sequence[str | Path], path: Path) -> Path:
    """Write one page about the comparisons in these folders, with a JSON and a CSV file of its name beside it, and return its path.

    The page leads to their own pages by relative addresses, so that all can move together. Raises UsageError for a comparison that is given
    twice, for comparisons of different factors, and where `path` holds something else; ActlabError for a damaged record.
    """
    _refuse_others(path)
    together = Joined(tuple(_given(Path(folder), path) for folder in folders))
    _refuse_mixtures([Path(folder) for folder in folders], together)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(joined.Entry.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.model_dump() for one in together.entries)
    content = json.dumps(joined.document(together), ensure_ascii=False, indent=1) + "\n"
    footer = Both(
        f"Written by Actlab {__version__} from the comparison.json of each. The page needs no network.",
        f"由 Actlab {__version__} 根据各次的 comparison.json 写成。本页不需要网络。",
    )
    filled = _filled(f"{len(folders)} comparisons · Actlab", comparisons_sections(together), footer)
    for suffix, written in ((".json", content), (".csv", lines.getvalue()), (".html", filled)):
        write_whole(path.with_suffix(suffix), lambda file, written=written: file.write_bytes(written.encode()))
    return path.with_suffix(".html")


def _given(folder: Path, path: Path) -> Given:
    found, costs = read_comparison(folder)
    own = folder / "comparison.html"
    address = quote(_relative(own, path)) if own.is_file() else ""
    return Given(found, costs, _relative(folder, path), address)


def _relative(place: Path, page: Path) -> str:
    """As seen from the page; letters that are not UTF-8 are replaced."""
    return os.fsencode(Path(os.path.relpath(place, page.parent)).as_posix()).decode("utf-8", "replace")


def _refuse_others(path: Path) -> None:
    """Nothing but an earlier page of comparisons is written over: `comparison.json` is a record."""
    files = [path.with_suffix(suffix) for suffix in (".json", ".csv", ".html")]
    there = [file for file in files if file.exists()]
    if there and not joined.is_document(files[0]):
        raise UsageError(
            say(
                f"'{there[0]}' is there already and is not of a page of several comparisons; choose another name with --out",
                f"已有“{there[0]}”，且不属于多次比较的页面；请用 --out 另选名称",
            )
        )


def _refuse_mixtures(folders: Sequence[Path], together: Joined) -> None:
    for number, (folder, found) in enumerate(zip(folders, together.found, strict=True)):
        for other, earlier in zip(folders[:number], together.found, strict=False):
            if found == earlier:
                raise UsageError(
                    say(f"'{folder}' is the same comparison as '{other}'; give each once", f"“{folder}”与“{other}”是同一次比较；每个只给一次")
                )  # fmt: skip
        first = together.found[0].declaration.factor
        if found.declaration.factor != first:
            raise UsageError(
                say(
                    f"expected comparisons of one factor; '{folders[0]}' varies {first}, '{folder}' {found.declaration.factor}: join them on two pages",
                    f"各次比较的变化因素应相同；“{folders[0]}”为 {first}，“{folder}”为 {found.declaration.factor}：请分成两页",
                )
            )


def _filled(title: str, sections: list[str], footer: Both) -> str:
    script = _resource("_report_template.js")
    return Template(_resource("_report_template.html")).substitute(
        language=language(),
        title=escape(title),
        # Only this script may run, so that nothing in a record can, should it ever slip through the escaping.
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        script=script,
        body="\n".join(section for section in sections if section),
        footer=html(footer),
    )


def _resource(name: str) -> str:
    return (files(__package__ or "actlab") / name).read_text(encoding="utf-8")
