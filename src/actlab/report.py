"""`report.html`: everything about one run on one page that needs no network, in English and Chinese."""

import base64
import hashlib
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from . import _report_results as results
from . import _report_training as training
from ._files import write_whole
from ._language import language
from ._plot_events import read_steps
from ._report_comparison import comparison_sections
from ._report_diagnosis import diagnosis_sections
from ._report_text import Both, html, text
from .records import Comparison, Diagnosis, Run

__all__ = ["page", "write", "write_comparison", "write_diagnosis"]


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


def write_comparison(found: Comparison, path: Path, costs: dict[str, float] | None = None) -> Path:
    """Write the page of a comparison, whole or not at all, and return its path; `costs` are seconds per step by candidate."""
    footer = text("footer.comparison", version=found.versions.get("actlab", ""))
    sections = comparison_sections(found, costs or {})
    content = _filled(f"{found.declaration.target} · Actlab", sections, footer)
    write_whole(path, lambda temporary: temporary.write_bytes(content.encode()))
    return path


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
