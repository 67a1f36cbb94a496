"""Every benchmark script runs with --quick and writes rows that can be read. The rates themselves mean nothing there."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from actlab import activations
from actlab.train.memory import keep_freed_memory

SCRIPTS = Path(__file__).parent.parent / "benchmarks"


def call(script, *arguments, code=0):
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def speed(tmp_path_factory):
    out = tmp_path_factory.mktemp("speed")
    call("alexnet.py", "--quick", "--out", out)
    return out


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    out = tmp_path_factory.mktemp("classic")
    call("recipe_runs.py", "classic", "--quick", "--folder", out / "runs", "--out", out)
    return out


def test_speed_gives_a_rate_and_a_ratio_for_every_path(speed):
    rows = read(speed / "alexnet.csv")
    found = {(row["path"], row["definition"]) for row in rows}
    for path in ("notes", "fast", "classic", "fast / notes", "classic / notes"):
        assert {(path, "compute"), (path, "wall"), (path, "data")} <= found
    assert all(0 < float(row["low"]) <= float(row["median"]) <= float(row["high"]) < math.inf for row in rows)


def test_speed_compares_with_and_without_kept_memory(speed):
    expected = {"as glibc sets it", "kept by fast"} | ({"as each is run"} if keep_freed_memory() else set())
    assert {row["memory"] for row in read(speed / "alexnet.csv")} == expected


def test_both_data_paths_give_the_same_bits(speed):
    assert json.loads((speed / "alexnet.json").read_text())["same_bits"] is True


def test_time_to_accuracy_follows_from_the_recipes(speed):
    for summary in json.loads((speed / "alexnet.json").read_text())["time_to_accuracy"]:
        assert (summary["fast_examples"], summary["notes_examples"]) == (30_720, 600_000)
        assert summary["reached"] == (summary["ratio"]["median"] >= 40)


def test_results_name_no_place(speed):
    for file in speed.iterdir():
        assert str(Path.home()) not in file.read_text()
        assert str(SCRIPTS) not in file.read_text()


def test_overhead_rows_are_finite_and_the_weights_agree(tmp_path):
    call("overhead.py", "--quick", "--out", tmp_path)
    rows = read(tmp_path / "overhead.csv")
    ratios = [float(row["median"]) for row in rows if row["unit"] == "overhead ratio"]
    assert len(ratios) == 4
    assert all(math.isfinite(ratio) for ratio in ratios)
    assert {row["model"] for row in rows} == {"alexnet", "lenet"}
    assert {row["same_weights"] for row in rows} == {"True"}


def test_recipe_runs_write_runs_and_epochs(classic):
    (row,) = read(classic / "alexnet-classic.csv")
    assert (row["seed"], row["precision"], row["examples"]) == ("0", "bf16", "40")
    assert 0 <= float(row["test_accuracy"]) <= 1
    assert 0 < float(row["compute_seconds"]) <= float(row["training_seconds"]) <= float(row["total_seconds"])
    epochs = read(classic / "alexnet-classic-epochs.csv")
    assert [row["epoch"] for row in epochs] == ["1", "2", "10"]
    assert (epochs[-1]["seed"], epochs[-1]["test_accuracy"]) == ("notes", "0.885")


def test_recipe_runs_collect_finished_runs_without_training(classic, tmp_path):
    call("recipe_runs.py", "classic", "--collect", classic / "runs" / "alexnet-classic-seed-0", "--out", tmp_path)
    for name in ("alexnet-classic.csv", "alexnet-classic-epochs.csv"):
        assert (tmp_path / name).read_text() == (classic / name).read_text()


def test_recipe_runs_refuse_runs_of_another_recipe(classic, tmp_path):
    place = classic / "runs" / "alexnet-classic-seed-0"
    done = call("recipe_runs.py", "fast", "--collect", place, "--out", tmp_path, code=2)
    assert "expected finished runs of alexnet fast" in done.stderr


def test_fast_runs_are_compared_with_the_measured_rate_of_the_notes(classic, speed, tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    record = json.loads((classic / "runs" / "alexnet-classic-seed-0" / "run.json").read_text())
    record |= {"preset": "fast", "epochs": []}
    record["clock"]["training"] = 100.0
    (place / "run.json").write_text(json.dumps(record))
    rates = read(speed / "alexnet.csv")
    rates = [{**row, "data": "fashion-mnist", "median": "60"} for row in rates]
    with (tmp_path / "alexnet.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rates[0]))
        writer.writeheader()
        writer.writerows(rates)
    done = call("recipe_runs.py", "fast", "--collect", place, "--out", tmp_path)
    assert "100.0 times the training time" in done.stdout  # 600,000 / 60 / 100


def test_a_gpu_that_is_not_there_is_one_sentence():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = call("alexnet.py", "--quick", "--device", "cuda", code=2)
    assert done.stderr == "alexnet.py: device cuda is not available here; use --device cpu\n"


def test_activations_side_by_side(tmp_path):
    done = call("activations.py", "--quick", "--out", tmp_path)
    rows = read(tmp_path / "activations.csv")
    assert {row["way"] for row in rows} == {"clone", "eager", "compile", "fused", "fused-input"}
    kept = {(row["activation"], row["way"]): float(row["bytes_kept"]) for row in rows}
    assert kept["relu", "fused"] == 2.0 and kept["gaussian", "fused-input"] == 4.0
    assert "fused against the better of eager and compile" in done.stdout


def test_bounds_are_a_copy_or_the_arithmetic_alone(tmp_path):
    call("bounds.py", "--quick", "--out", tmp_path)
    rows = read(tmp_path / "bounds.csv")
    assert {(row["activation"], row["type"]) for row in rows} == {
        (a, t) for a in ("relu", "erf") for t in ("fp32", "bf16")
    }
    for row in rows:
        assert all(float(row[f"{way}_ns"]) > 0 for way in ("clone", "fused")) and float(row["times_bound"]) > 0


def test_functions_of_an_axis_side_by_side(tmp_path):
    call("vectors.py", "--quick", "--out", tmp_path)
    rows = {row["way"]: row for row in read(tmp_path / "vectors.csv")}
    assert set(rows) == {"eager", "compile", "fused"} and float(rows["fused"]["bytes_kept"]) == 2.0


def test_blocks_side_by_side(tmp_path):
    call("block.py", "--quick", "--only", "gpt", "--out", tmp_path)
    kept = {row["way"]: int(row["bytes_kept"]) for row in read(tmp_path / "block.csv")}
    assert kept["fused"] < kept["eager"]


def test_sequences_gather_scores(tmp_path):
    call("sequences.py", "--quick", "--seeds", "1", "--folder", tmp_path / "runs", "--out", tmp_path)
    rows = read(tmp_path / "sequences.csv")
    assert {"rmse", "linear", "persistence"} <= {row["score"] for row in rows}
    assert {row["case"] for row in rows} == {"forecasting/sunspots-nar"}


def test_recurrent_layers_are_compared_with_the_bare_one(tmp_path):
    call("recurrent.py", "--quick", "--out", tmp_path)
    rows = {row["layer"]: float(row["times_bare"]) for row in read(tmp_path / "recurrent.csv")}
    assert rows["bare"] == 1 and {"lstm", "peephole", "jordan", "elman", "gru"} <= set(rows)


def test_gradient_through_time_is_drawn(tmp_path):
    call("gradient_through_time.py", "--quick", "--out", tmp_path)
    rows = read(tmp_path / "gradient-through-time.csv")
    found = {row["network"]: float(row["gradient"]) for row in rows if row["lag"] == "5"}
    assert found["RNN, linear, factor 1.01"] == pytest.approx(1.01**5, rel=1e-4)
    assert (tmp_path / "gradient-through-time.svg").read_text().startswith("<?xml")


def test_little_data():
    done = call("little_data.py", "--quick", "--seeds", "1")
    assert "LeNet" in done.stdout and "100%" in done.stdout


def test_watching_gives_a_ratio_for_every_network_and_sampling(tmp_path):
    call("watching.py", "--rounds", 1, "--steps", 4, "--out", tmp_path)
    rows = read(tmp_path / "watching.csv")
    assert len(rows) == 10 and {row["looks at"] for row in rows} == {"every step", "every 20th step"}
    assert all(float(row["ratio_median"]) > 0 for row in rows)


def test_comparing_counts_what_was_found(tmp_path):
    call("comparing.py", "--experiments", 1, "--nulls", 1, "--workers", 1, "--quick", "--out", tmp_path)
    rows = read(tmp_path / "comparing.csv")
    assert [row["experiments"] for row in rows] == ["1", "1", "1", "1"]


def test_every_pointwise_entry_is_in_the_grid_of_speeds():
    """But those with nothing to compute or no slope."""
    rows = read(SCRIPTS / "results" / "activations.csv")
    found = {row["activation"] for row in rows if row["way"] == "fused"}
    learning = {f"{one.name}_learning" for one in map(activations.get, activations.names(vectors=False)) if one.learnt}
    drawing = {f"{one.name}_training" for one in map(activations.get, activations.names(vectors=False)) if one.random}
    usual = {*activations.names(vectors=False), *learning, *drawing}
    assert found == usual - {"binary_step", "identity", "prelu_learning"}
    cells = {(row["activation"], row["type"], row["size"]) for row in rows if row["way"] == "compile"}
    assert len(cells) == 10 * len(found)
