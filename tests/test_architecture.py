"""Imports point up the table of DESIGN.md, and the light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import actlab

SOURCE = Path(actlab.__file__).parent

# From the bottom to the top, one row for each row of the table: a part may import its own row and those before it. `report` and `plot`
# stand before `recipes`, which end by writing a report; `records` stands before everything that writes them.
ROWS = (
    ("_language", "errors", "_files", "intervals"), ("records",), ("formula",), ("properties",), ("activations",), ("_in_place", "_exchanging", "_gated_blocks", "swapping", "choosing", "_property_words"), ("kernels",), ("optimizing",), ("layers",), ("models",),
    ("decoding",), ("data",), ("_own",), ("train",), ("tasks",), ("diagnosis", "inspection"), ("comparison",), ("plot", "report"), ("recipes",),
    ("cli", "explorer"), ("__main__",),
)  # fmt: skip
ORDER = {part: row for row, parts in enumerate(ROWS) for part in parts}
LAZY = "__init__"  # it names what others hold and imports it when it is used
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(file.relative_to(SOURCE)) for file in FILES]


def part_of(file: Path) -> str:
    name = file.relative_to(SOURCE).with_suffix("").parts[0]
    return next((part for part in ("plot", "report") if name.startswith(f"_{part}_")), name)


def imported(file: Path) -> set[str]:
    """Dotted names of everything imported anywhere in the file, inside functions too; our own begin with `actlab.`."""
    package = ["actlab", *file.relative_to(SOURCE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def own_parts(file: Path) -> set[str]:
    """Our own parts that the file imports, but for the names of the package itself, such as its version."""
    paths = {name.split(".")[1]: SOURCE / name.split(".")[1] for name in imported(file) if name.startswith("actlab.")}
    return {part_of(path) for path in paths.values() if path.is_dir() or path.with_suffix(".py").is_file()}


def test_the_reader_of_imports_sees_relative_and_absolute_ones():
    assert "errors" in own_parts(SOURCE / "train" / "loop.py") | own_parts(SOURCE / "train" / "session.py")
    assert {"train", "models", "report"} <= own_parts(SOURCE / "recipes" / "run.py")
    assert "records" in own_parts(SOURCE / "data" / "images.py")


@pytest.mark.parametrize(
    "file", [file for file in FILES if part_of(file) != LAZY], ids=lambda f: str(f.relative_to(SOURCE))
)
def test_imports_point_up_the_table(file):
    part = part_of(file)
    assert part in ORDER, f"give '{part}' its place in ROWS, after DESIGN.md"
    down = {other for other in own_parts(file) if ORDER[other] > ORDER[part]}
    assert not down, f"{part} may not import {sorted(down)}"


@pytest.mark.parametrize("part", ["train", "diagnose", "data"])
def test_users_networks_are_first_class(part):
    files = [file for file in FILES if part_of(file) == part]
    assert files or part == "diagnose"
    for file in files:
        assert not own_parts(file) & {"models", "activations"}, f"{file} knows our own networks"


@pytest.mark.parametrize(
    "file", [file for file in FILES if part_of(file) in ("activations", "records")], ids=lambda f: f.stem
)
def test_catalogue_and_records_need_only_their_library(file):
    allowed = {"activations": "torch", "records": "pydantic"}[part_of(file)]
    foreign = {name.split(".")[0] for name in imported(file)} - set(sys.stdlib_module_names) - {allowed, "actlab"}
    assert not foreign
    above = {"activations": {"formula", "properties"}, "records": set()}[part_of(file)]
    assert own_parts(file) <= {"_language", "errors", part_of(file)} | above


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_file_has_one_idea(file):
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, "house style: never over 400 lines"


LIGHT = {
    "import actlab": "import actlab",
    "import actlab.records": "import actlab.records",
    "actlab --help": "from actlab.__main__ import run; run(['--help'])",
    "actlab --version": "from actlab.__main__ import run; run(['--version'])",
    "actlab train --help": "from actlab.__main__ import run; run(['train', '--help'])",
    "actlab runs --help in Chinese": "from actlab.__main__ import run; run(['--lang', 'zh', 'runs', '--help'])",
}


def test_light_commands_do_not_import_torch():
    """One process for all of them: what the first imports shows in the later ones too, and is named first."""
    script = "import sys\n" + "\n".join(
        f"{code}\nprint('LOADED', {name!r}, sorted(m for m in ('torch', 'numpy', 'matplotlib', 'lightning_fabric') if m in sys.modules))"
        for name, code in LIGHT.items()
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert lines == [f"LOADED {name} []" for name in LIGHT]


@pytest.mark.parametrize("name", actlab.__all__)
def test_public_names_are_there(name):
    assert getattr(actlab, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="fitt"):
        actlab.fitt  # noqa: B018
