"""The learning rate at every step, against torch's schedulers and against the definition."""

import math

import pytest
import torch

from actlab.train.schedules import factor

STEPS = (1, 2, 3, 10, 57)
WARMUPS = (0.0, 0.1, 0.3, 1.0)


def rates(schedule, steps, warmup=0.0):
    return [factor(schedule, step, steps, warmup) for step in range(steps)]


def torch_rates(scheduler, steps, **arguments):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = scheduler(optimizer, **arguments)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


# Torch's first phase divides by warmup * steps - 1, so these keep it above zero.
@pytest.mark.parametrize(
    ("steps", "warmup"), [(3, 0.5), (4, 0.3), (10, 0.3), (10, 0.5), (57, 0.1), (57, 0.3), (400, 0.01)]
)
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_onecycle_is_torchs(steps, warmup):
    expected = torch_rates(
        torch.optim.lr_scheduler.OneCycleLR,
        steps,
        max_lr=1.0,
        total_steps=steps,
        pct_start=warmup,
        cycle_momentum=False,
    )
    torch.testing.assert_close(rates("onecycle", steps, warmup), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", STEPS)
def test_cosine_without_warmup_is_torchs(steps):
    expected = torch_rates(torch.optim.lr_scheduler.CosineAnnealingLR, steps, T_max=steps)
    torch.testing.assert_close(rates("cosine", steps), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", STEPS)
def test_constant(steps):
    assert rates("constant", steps, 0.5) == [1.0] * steps


def test_triangular_by_hand():
    # Ten steps and 0.2 of them rising: the peak is the second step, and zero would be the eleventh.
    torch.testing.assert_close(rates("triangular", 10, 0.2), [0.5, 1.0, *(1 - n / 9 for n in range(1, 9))])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("schedule", ["triangular", "cosine", "onecycle", "constant"])
def test_shape_of_every_schedule(schedule, steps, warmup):
    found = rates(schedule, steps, warmup)
    assert all(math.isfinite(rate) and 0 < rate <= 1 + 1e-12 for rate in found)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    if schedule in ("triangular", "cosine") and steps == 10 and warmup:
        assert peak == warmup * steps - 1
