"""One step, many steps and what comes after them, against loops written by hand."""

import copy
import csv
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from actlab.errors import UsageError
from actlab.records import Run
from actlab.train import Parts, Settings, TensorPart, as_part, fit, seeds
from actlab.train import session as sessions

EXAMPLES, FEATURES, CLASSES = 50, 6, 3


def tensors(count=EXAMPLES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, FEATURES, generator=generator)
    return inputs, (inputs[:, 0] * 2 + inputs[:, 1]).clamp(-1, 1).round().long() + 1


def parts(**others):
    return Parts(TensorPart(*tensors()), TensorPart(*tensors(20, 1)), TensorPart(*tensors(30, 2)), **others)


def network(dropout=0.0):
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, CLASSES))


def by_hand(model, settings, *, after_step=lambda step: None, smoothing=0.0, clip=None, loss=None):
    """The same training as a bare loop with plain SGD; only the order of the data comes from Actlab."""
    inputs, targets = tensors()
    loss = loss or (lambda outputs, wanted: F.cross_entropy(outputs, wanted, label_smoothing=smoothing))
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    for step in range(settings.steps_in_all(EXAMPLES)):
        epoch, place = divmod(step, settings.steps_per_epoch(EXAMPLES))
        batch = seeds.order(settings.seed, epoch, EXAMPLES)[place * settings.batch_size :][: settings.batch_size]
        optimizer.zero_grad()
        loss(model(inputs[batch]), targets[batch]).backward()
        if clip is not None:
            norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
            for parameter in model.parameters():
                parameter.grad.mul_(min(1.0, clip / float(norm)))
        optimizer.step()
        after_step(step)
    return model


def assert_same_weights(found: nn.Module, expected: nn.Module, **tolerance):
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), **tolerance)


BASE = Settings(epochs=3, batch_size=16, learning_rate=0.3, momentum=0.9, keep_memory=False)


@pytest.mark.parametrize(
    ("changes", "hand"),
    [
        ({}, {}),
        ({"label_smoothing": 0.1}, {"smoothing": 0.1}),
        ({"clip_norm": 0.05}, {"clip": 0.05}),
        ({"clip_norm": 1e9}, {"clip": 1e9}),
        ({"steps": 7}, {}),
        ({"seed": 5}, {}),
    ],
    ids=lambda value: "+".join(f"{k}={v}" for k, v in value.items()) or "plain",
)  # fmt: skip
def test_weights_are_those_of_a_bare_loop(changes, hand):
    settings = Settings.model_validate({**BASE.model_dump(), **changes})
    model = network()
    fit(model, parts(), settings=settings)
    assert_same_weights(model, by_hand(network(), settings, **hand))


def test_a_run_without_training_keeps_the_weights():
    model = network()
    run = fit(model, parts(), settings=Settings(epochs=0))
    assert run.steps == 0 and run.epochs == () and run.test is not None
    assert_same_weights(model, network(), rtol=0, atol=0)


@pytest.mark.parametrize("accumulate", [2, 3, 16, 100])
def test_accumulated_pieces_equal_the_big_batch(accumulate):
    """Also where the last batch, of 2 examples, is smaller than the number of pieces, and the pieces are unequal."""
    runs = []
    for pieces in (1, accumulate):
        model = network()
        settings = Settings.model_validate({**BASE.model_dump(), "accumulate": pieces, "clip_norm": 0.1})
        runs.append((fit(model, parts(), settings=settings), model))
    assert_same_weights(runs[1][1], runs[0][1], rtol=1e-5, atol=1e-6)
    assert [row.train_loss for row in runs[1][0].epochs] == pytest.approx([row.train_loss for row in runs[0][0].epochs])
    assert runs[1][0].examples == runs[0][0].examples == 3 * EXAMPLES


def test_averaged_weights_are_the_hand_written_ones():
    decay, average = 0.8, []

    def follow(step):
        now = [parameter.detach().clone() for parameter in expected.parameters()]
        average[:] = now if not average else [decay * a + (1 - decay) * b for a, b in zip(average, now, strict=True)]

    expected = network()
    by_hand(expected, BASE, after_step=follow)
    model = network()
    run = fit(model, parts(), settings=BASE.model_copy(update={"ema": decay}))
    for parameter, wanted in zip(model.parameters(), average, strict=True):
        torch.testing.assert_close(parameter.detach(), wanted)
    inputs, targets = tensors(30, 2)
    with torch.no_grad():
        assert run.test.loss == pytest.approx(F.cross_entropy(model(inputs), targets).item(), rel=1e-5)


def test_rows_hold_what_they_say():
    model = network()
    seen: list[float] = []

    def watched(outputs, targets):
        loss = F.cross_entropy(outputs, targets)
        if outputs.requires_grad:
            seen.append(loss.item() * len(targets))
        return loss

    run = fit(model, parts(), settings=BASE, loss=watched)
    assert [row.step for row in run.epochs] == [4, 8, 12]
    assert [row.examples for row in run.epochs] == [50, 100, 150]
    assert [row.train_loss for row in run.epochs] == pytest.approx(
        [sum(seen[at : at + 4]) / EXAMPLES for at in (0, 4, 8)]
    )
    inputs, targets = tensors(20, 1)
    with torch.no_grad():
        assert run.epochs[-1].validation_loss == pytest.approx(F.cross_entropy(model(inputs), targets).item(), rel=1e-5)
        assert run.epochs[-1].validation_accuracy == pytest.approx(
            (model(inputs).argmax(1) == targets).double().mean().item()
        )
    assert sum(map(sum, run.test.confusion)) == run.test.count == 30


@pytest.mark.parametrize("directory", [True, False], ids=["with a run directory", "in memory"])
@pytest.mark.parametrize("ema", [None, 0.5], ids=["plain", "averaged"])
def test_early_stopping_restores_the_best(tmp_path, directory, ema):
    """The loss of the validation part rises after its second evaluation, whatever the weights are."""
    kept: list[dict] = []
    values = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    class Scripted(TensorPart):
        def __getitem__(self, indices):
            return super().__getitem__(indices)[0], torch.zeros(len(indices), 1)

    def loss(outputs, targets):
        if targets.dtype == torch.float32:  # the validation part
            kept.append(copy.deepcopy(sessions_seen[0].evaluated.state_dict()))
            return torch.tensor(next(values))
        return F.cross_entropy(outputs, targets)

    sessions_seen = []
    original = sessions.open_session

    def remember(*arguments):
        sessions_seen.append(original(*arguments))
        return sessions_seen[-1]

    data = Parts(TensorPart(*tensors()), Scripted(*tensors(20, 1)), TensorPart(*tensors(30, 2)))
    model = network()
    settings = Settings.model_validate({**BASE.model_dump(), "epochs": 50, "patience": 2, "ema": ema})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actlab.train.loop.open_session", remember)
        run = fit(model, data, settings=settings, loss=loss, run_dir=tmp_path / "run" if directory else None)
    assert (len(run.epochs), run.best_epoch) == (4, 2)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, kept[1][name]), f"{name} is not that of epoch 2"
        assert not torch.equal(tensor, kept[3][name])


def test_patience_without_validation_is_refused():
    with pytest.raises(UsageError, match="patience needs validation"):
        fit(network(), Parts(TensorPart(*tensors())), settings=BASE.model_copy(update={"patience": 1}))


def files_of(directory):
    return [(directory / name).read_bytes() for name in ("metrics.csv", "model.safetensors")]


def random_parts():
    """Augmentation by torch's global generator."""
    return parts(prepare=lambda inputs, training: inputs + 0.1 * torch.randn_like(inputs) if training else inputs)


@pytest.mark.parametrize(
    "changes", [{}, {"accumulate": 3}, {"ema": 0.9, "patience": 2}], ids=["plain", "pieces", "ema"]
)
def test_a_seed_decides_everything(tmp_path, changes):
    def once(name, seed):
        settings = Settings.model_validate({**BASE.model_dump(), **changes, "seed": seed})
        torch.rand(len(name))  # whatever the global generator did before must not matter
        fit(network(dropout=0.5).train(), random_parts(), settings=settings, run_dir=tmp_path / name)
        return files_of(tmp_path / name)

    first, again, other = once("a", 3), once("again", 3), once("other", 4)
    assert first == again
    assert first[0] != other[0] and first[1] != other[1]


def test_order_is_a_new_permutation_every_epoch():
    orders = [seeds.order(0, epoch, 100) for epoch in range(3)] + [seeds.order(1, 0, 100)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(100))
    assert len({tuple(order.tolist()) for order in orders}) == len(orders)


def test_every_step_and_process_draws_its_own_numbers():
    drawn = set()
    for seed, step, rank in [(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 1, 1)]:
        seeds.seed_step(seed, step, rank, torch.device("cpu"))
        drawn.add(torch.rand(1).item())
    assert len(drawn) == 5


class Pairs(Dataset):
    def __init__(self, count=EXAMPLES):
        self.inputs, self.targets = tensors(count)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.inputs[index], int(self.targets[index])


@pytest.mark.parametrize(
    "data",
    [tensors(), list(tensors()), TensorDataset(*tensors()), Pairs(), TensorPart(*tensors())],
    ids=["pair of tensors", "list of tensors", "TensorDataset", "Dataset", "part"],
)
def test_data_of_ones_own(data):
    model, expected = network(), network()
    fit(model, Parts(as_part(data)), settings=BASE)
    fit(expected, Parts(TensorPart(*tensors())), settings=BASE)
    assert_same_weights(model, expected, rtol=0, atol=0)


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize("data", [Endless(), 3, "text", {"a": 1}, (1, 2), None], ids=lambda one: type(one).__name__)
def test_data_that_are_none_are_refused(data):
    with pytest.raises(UsageError, match="expected"):
        as_part(data)


def test_tensors_of_unequal_length_are_refused():
    with pytest.raises(UsageError, match="3 inputs and 2 targets"):
        TensorPart(torch.zeros(3, 1), torch.zeros(2))


def test_no_examples_is_one_sentence():
    with pytest.raises(UsageError, match="at least one training example"):
        fit(network(), Parts(TensorPart(*tensors(0))), settings=BASE)


def test_regression_with_a_loss_of_ones_own(tmp_path):
    inputs, _ = tensors()
    data = Parts(
        TensorPart(inputs, inputs[:, :2] * 3),
        TensorPart(inputs, inputs[:, :2] * 3),
        TensorPart(inputs, inputs[:, :2] * 3),
    )
    torch.manual_seed(0)
    model = nn.Linear(FEATURES, 2)
    run = fit(
        model,
        data,
        settings=Settings(epochs=30, batch_size=10, learning_rate=0.1),
        loss=F.mse_loss,
        run_dir=tmp_path / "run",
    )
    assert run.test.loss < 0.01 < run.epochs[0].train_loss
    assert run.test.accuracy is None and run.test.confusion == () and run.epochs[0].train_accuracy is None
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert rows[0]["train_accuracy"] == rows[0]["validation_accuracy"] == ""
    assert Run.read(tmp_path / "run") == run


def test_config_of_a_library_run_holds_its_settings(tmp_path):
    fit(network(), parts(), settings=BASE, run_dir=tmp_path / "run")
    with pytest.raises(UsageError, match="learning_rate"):
        fit(
            network(),
            parts(),
            settings=BASE.model_copy(update={"learning_rate": 0.5}),
            run_dir=tmp_path / "run",
            resume=True,
        )


@pytest.mark.filterwarnings("ignore:.*GradScaler.*")
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.*")
class TestScaler:
    """Half precision with a gradient scaler, as it runs on CUDA, here on the CPU."""

    @staticmethod
    def fit(monkeypatch, settings, scale, model=None, **others):
        from lightning_fabric import Fabric
        from lightning_fabric.plugins import MixedPrecision

        def start(settings):
            scaler = torch.amp.GradScaler("cpu", init_scale=scale)
            return Fabric(
                accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", device="cpu", scaler=scaler)]
            )

        monkeypatch.setattr(sessions, "start", start)
        model = model or network()
        return fit(model, parts(), settings=settings.model_copy(update={"precision": "fp16"}), **others), model

    def test_clips_after_unscaling(self, monkeypatch):
        """A clipped step of plain SGD has the length rate * clip_norm; of scaled gradients it would be far shorter."""
        settings = Settings(steps=1, batch_size=16, learning_rate=0.5, clip_norm=0.01)
        run, model = self.fit(monkeypatch, settings, 2.0**10)
        moved = torch.cat(
            [(a - b).detach().flatten() for a, b in zip(model.parameters(), network().parameters(), strict=True)]
        )
        assert moved.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)
        assert 0.01 < run.epochs[0].gradient_norm < 10

    def test_an_overflow_is_skipped_and_not_a_divergence(self, monkeypatch):
        """The first scale is far too large: the scaler skips steps until it fits, and the figures stay finite."""
        run, model = self.fit(monkeypatch, BASE.model_copy(update={"clip_norm": 1.0, "epochs": 12}), 2.0**40)
        assert run.status == "finished"
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
        assert run.epochs[-1].train_loss < run.epochs[0].train_loss
        assert all(math.isfinite(row.gradient_norm) for row in run.epochs[6:])

    def test_resumes_with_its_scale(self, monkeypatch, tmp_path):
        class Cut(Exception):
            pass

        def cut(s, calls=[0]):  # noqa: B006
            calls[0] += 1
            if calls[0] == 3:
                raise Cut

        settings = BASE.model_copy(update={"epochs": 6})
        self.fit(monkeypatch, settings, 2.0**30, run_dir=tmp_path / "whole")
        with monkeypatch.context() as patch, pytest.raises(Cut):
            patch.setattr("actlab.train.results.close_epoch", cut)
            self.fit(monkeypatch, settings, 2.0**30, run_dir=tmp_path / "cut")
        (tmp_path / "cut" / "run.json").unlink(missing_ok=True)
        self.fit(monkeypatch, settings, 2.0**30, run_dir=tmp_path / "cut", resume=True)
        assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_a_negative_loss_is_no_divergence():
    """A density's log-likelihood may start below zero, and then there is nothing to be a multiple of."""
    run = fit(
        network(), parts(), settings=BASE.model_copy(update={"epochs": 8}), loss=lambda o, t: F.cross_entropy(o, t) - 9
    )
    assert run.status == "finished" and run.epochs[0].train_loss < 0


def test_parts_in_evaluation_mode_stay_in_it():
    """A frozen BatchNorm keeps its statistics, and the model comes back as it was."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    model[1].eval()
    fit(model, parts(), settings=BASE)
    torch.testing.assert_close(model[1].running_mean, torch.zeros(8))
    free = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    fit(free, parts(), settings=BASE)
    assert free[1].running_mean.abs().max() > 0


def test_evaluation_knows_no_label_smoothing():
    model = network()
    run = fit(model, parts(), settings=BASE.model_copy(update={"label_smoothing": 0.3}))
    inputs, targets = tensors(30, 2)
    expected = F.cross_entropy(model.eval()(inputs), targets).item()
    assert run.test.loss == pytest.approx(expected, rel=1e-5)


def test_resuming_a_finished_run_gives_its_weights(tmp_path):
    first, second = network(), network()
    fit(first, parts(), settings=BASE, run_dir=tmp_path / "run")
    run = fit(second, parts(), settings=BASE, run_dir=tmp_path / "run", resume=True)
    assert run.status == "finished"
    assert_same_weights(second, first, rtol=0, atol=0)


def test_clipping_reaches_the_parameters_of_every_optimizer():
    """Muon has the hidden convolution, SGD the rest: the norm is that of all gradients together."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(24, CLASSES)
    )
    settings = Settings(steps=1, batch_size=16, optimizer="muon", learning_rate=0.1, clip_norm=1e-6, keep_memory=False)
    before = copy.deepcopy(model)
    run = fit(model, parts(), settings=settings)
    assert run.epochs[0].gradient_norm > 1e-3 and run.epochs[0].clipped_share == 1.0
    torch.testing.assert_close(model[4].weight, before[4].weight, rtol=0, atol=2e-7)
