"""Whether `actlab compare` may be trusted: planted effects that it must find, and one activation that must not beat itself.

python benchmarks/comparing.py [--experiments N] [--nulls N] [--workers N]

Every experiment is a comparison by the full protocol (7 rates on 2 tuning seeds, 5 screening seeds, 10 confirmation seeds) with seeds of its
own; the data, a noisy spiral, are the same for all. Planted: the identity against relu; sigmoid against relu in a network of 20 layers.
Null: eight names for relu, each with seeds of its own, which is harder than the paired seeds of a comparison (paired, one activation under
two names gives the same numbers): whoever is called better or worse there is a false claim. It is done in the network of the identity, and
in the one, of five that were tried, in which most was claimed when the best rate of the tuning went on alone: of its two best rates one is
better by a third of the deviation from seed to seed, which two tuning seeds do not show.

The experiments of a kind go in lock step, and what they ask for at the same time is trained in stacks. Rows go to comparing.csv, written
afresh, with Wilson intervals: `times` counts what `what` says; `better` the experiments that call a candidate better than the baseline;
`left_out` those whose set of best leaves out somebody confirmed; `at_edge` the rates at the end of a grid that was extended twice.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from statistics import mean, stdev
from typing import Any

import torch
from _rows import RESULTS, machine_columns, table
from joblib import Parallel, delayed
from recipe_runs import write
from torch import nn

from actlab.activations import layer
from actlab.comparison.batched import NotBatched, _Training, why_not
from actlab.comparison.candidates import matched_start
from actlab.comparison.protocol import RATES, Job, Train, check, compare
from actlab.comparison.running import _parts, _trial
from actlab.intervals import wilson
from actlab.records import Comparison, Declaration, Trial
from actlab.train import Parts, Settings, TensorPart
from actlab.train.memory import keep_freed_memory

TOGETHER = 1024  # networks of one stack: one of the null takes 1.4 ms, 2.2 at 256 and 3.5 at 64 (a shared core of an Intel Xeon)
_NUMBERS = 100  # seeds set apart for every experiment


@dataclass(frozen=True)
class Kind:
    """What is compared, and in which network."""

    what: str
    candidates: tuple[str, ...]  # an activation each, or a number behind it: the activation under another name
    depth: int
    width: int
    few: tuple[float, ...]  # rates of the small protocol: five around the good ones
    margin: float = 0.02
    steps: int = 60


_ALIKE = tuple(f"relu {number}" for number in range(8))
KINDS = {
    "identity": Kind("identity found worse than relu", ("relu", "identity"), depth=2, width=16, few=RATES[2:]),
    "sigmoid": Kind("sigmoid found worse than relu in 20 layers", ("relu", "sigmoid"), depth=20, width=12, few=RATES[:5]),
    "usual null": Kind("a false claim among eight names of relu, two layers of 16", _ALIKE, depth=2, width=16, few=RATES[2:], margin=0.005),
    "null": Kind("a false claim among eight names of relu, one layer of 4", _ALIKE, depth=1, width=4, few=(*RATES[3:], 1.0), margin=0.005),
}  # fmt: skip


NULLS = ("usual null", "null")


def spiral(count: int, seed: int) -> TensorPart:
    """Two arms in the plane, with noise."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    t = 3 * torch.rand(count, generator=draw) + 0.3
    a = 1.6 * t + 3.14159 * y
    x = torch.stack([t * a.cos(), t * a.sin()], 1) / 2 + 0.05 * torch.randn(count, 2, generator=draw)
    return TensorPart(x, y)


class Planted:
    """Fully connected networks on a spiral; one epoch has all steps, so that validation data are looked at once."""

    fixed = True
    loss: Callable[[Any, Any], Any] | None = None

    def __init__(self, kind: Kind):
        self.kind, self.batch = kind, 32
        self.data = Parts(spiral(kind.steps * self.batch, 0), spiral(500, 1), spiral(2000, 2))

    def model(self, candidate: str, seed: int) -> nn.Module:
        """The network as its training begins."""
        name, width = candidate.split()[0], self.kind.width
        one = layer(name)()  # for all layers: half the modules to look at
        layers: list[nn.Module] = [nn.Linear(2, width), one]
        for _ in range(self.kind.depth - 1):
            layers += [nn.Linear(width, width), one]
        return matched_start(nn.Sequential(*layers, nn.Linear(width, 2)), name, own(candidate, seed))

    def parts(self, seed: int) -> Parts:
        """The same for every seed."""
        return self.data

    def settings(self, candidate: str, rate: float, seed: int) -> Settings:
        """Adam, whose rates matter little to depth."""
        return Settings(seed=own(candidate, seed), steps=self.kind.steps, learning_rate=rate, optimizer="adamw", batch_size=self.batch)  # fmt: skip


def own(candidate: str, seed: int) -> int:
    """The seed of a name: another one for every number behind an activation."""
    return 8 * seed + int(candidate.partition(" ")[2] or 0)


def declaration(kind: Kind, number: int, small: bool) -> Declaration:
    """The experiment of that number: nothing but the seeds is its own. The small protocol has 5 rates, 3 screening and 8 confirmation seeds."""
    first, screening, confirmation = _NUMBERS * number, 3 if small else 5, 8 if small else 10
    return check(
        Declaration(
            target=kind.what, candidates=kind.candidates, baseline=kind.candidates[0], margin=kind.margin, steps=kind.steps, rates=kind.few if small else RATES,
            tuning_seeds=(first, first + 1), screening_seeds=tuple(range(first + 10, first + 10 + screening)),
            confirmation_seeds=tuple(range(first + 20, first + 20 + confirmation)),
        )
    )  # fmt: skip


def in_lock_step(declared: Sequence[Declaration], train: Train) -> list[Comparison]:
    """Carry out comparisons side by side: `train` gets at once what all those ask for that are not done.

    Every comparison has a thread, which waits while `train` runs in the caller's; so nothing depends on who comes first.
    """
    asked: SimpleQueue[tuple[int, list[Job] | None]] = SimpleQueue()
    answers: list[SimpleQueue[list[Trial] | None]] = [SimpleQueue() for _ in declared]

    def ask(number: int, jobs: Sequence[Job]) -> list[Trial]:
        asked.put((number, list(jobs)))
        if (answer := answers[number].get()) is None:
            raise RuntimeError("the training of another comparison failed")
        return answer

    def one(number: int) -> Comparison:
        try:
            return compare(declared[number], lambda jobs: ask(number, jobs))
        finally:
            asked.put((number, None))

    with ThreadPoolExecutor(len(declared)) as pool:
        done = [pool.submit(one, number) for number in range(len(declared))]
        try:
            _serve(asked, answers, train)
        finally:
            for answer in answers:
                answer.put(None)
    return [one.result() for one in done]


def _serve(asked: Any, answers: Sequence[Any], train: Train) -> None:
    """Answer until nobody is left who may ask."""
    left = set(range(len(answers)))
    while left:
        waiting: dict[int, list[Job]] = {}
        while len(waiting) < len(left):
            number, jobs = asked.get()
            if jobs is None:
                left.discard(number)
            else:
                waiting[number] = jobs
        if waiting:
            found = iter(train([job for number in sorted(waiting) for job in waiting[number]]))
            for number in sorted(waiting):
                answers[number].put([next(found) for _ in waiting[number]])


def stacked(subject: Planted, declared: Declaration) -> Train:
    """Trains jobs in stacks: of one activation, and with a look at the test part or without."""

    def train(jobs: Sequence[Job]) -> list[Trial]:
        groups: dict[Any, list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.candidate.split()[0], job.stage == "confirmation"), []).append(job)
        stacks = [group[at : at + TOGETHER] for group in groups.values() for at in range(0, len(group), TOGETHER)]
        known = {
            job: trial for stack in stacks for job, trial in zip(stack, _trials(subject, declared, stack), strict=True)
        }
        return [known[job] for job in jobs]

    return train


def _trials(subject: Planted, declared: Declaration, stack: list[Job]) -> list[Trial]:
    """What `train_batched` gives, without its look at every network by itself, which takes as long as the training: only weights differ here."""
    models = [subject.model(job.candidate, job.seed) for job in stack]
    settings = [subject.settings(job.candidate, job.rate, job.seed) for job in stack]
    parts = _parts(subject, stack[0])
    if reason := why_not(models[:2], settings[:2], parts=parts):
        raise NotBatched(reason)
    keep_freed_memory()
    outcomes = _Training(models, parts, settings, None).run(None)
    return [
        _trial(subject, declared, job, one.epochs, one.test, one.diverged, None)
        for job, one in zip(stack, outcomes, strict=True)
    ]


def experiments(kind: Kind, numbers: Iterable[int], *, small: bool = False) -> list[Comparison]:
    """The comparisons of these numbers."""
    torch.set_num_threads(1)
    declared = [declaration(kind, number, small) for number in numbers]
    return in_lock_step(declared, stacked(Planted(kind), declared[0]))


def claims(found: Comparison) -> bool:
    """Whether it calls somebody better or worse than the baseline."""
    return any(one.verdict in ("better", "worse") for one in found.contrasts)


def sees(found: Comparison) -> bool:
    """Whether it calls the only other candidate worse."""
    return [one.verdict for one in found.contrasts] == ["worse"]


def excludes(found: Comparison) -> bool:
    """Whether the set of best leaves out somebody who was confirmed and whose rate is not at the edge."""
    edges = {one.candidate for one in found.tuned if one.at_edge}
    confirmed = {found.declaration.baseline, *(one.candidate for one in found.contrasts)}
    return bool(confirmed - edges - set(found.best))


def share(kind: Kind, numbers: Iterable[int]) -> tuple[list[Comparison], float]:
    """The comparisons of these numbers, and the seconds that a core was at work for them."""
    began = time.process_time()
    return experiments(kind, numbers), time.process_time() - began


def row(name: str, found: Sequence[Comparison]) -> dict[str, Any]:
    """What is counted in the comparisons of a kind; the last columns say in what range the accuracies lie."""
    hits = sum(map(claims if name in NULLS else sees, found))
    low, high = wilson(hits, len(found))
    left_out = sum(map(excludes, found))
    left_low, left_high = wilson(left_out, len(found))
    tuned = [one for each in found for one in each.tuned]
    base = [one.value for each in found for one in each.trials if _of_baseline(one, each)]
    return {
        "what": KINDS[name].what, "experiments": len(found), "times": hits, "rate_low": low, "rate_high": high,
        "better": sum(any(one.verdict == "better" for one in each.contrasts) for each in found),
        "left_out": left_out, "left_out_low": left_low, "left_out_high": left_high,
        "tuned": len(tuned), "at_edge": sum(one.at_edge for one in tuned),
        "baseline_at_edge": sum(one.at_edge for each in found for one in each.tuned if one.candidate == each.declaration.baseline),
        "trainings": sum(len(each.trials) for each in found), "diverged": sum(one.diverged for each in found for one in each.trials),
        "baseline_mean": mean(base), "baseline_deviation": stdev(base),
    }  # fmt: skip


def _of_baseline(one: Trial, found: Comparison) -> bool:
    return one.stage == "confirmation" and one.candidate == found.declaration.baseline


def main() -> None:
    """Carry out, count, print, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--experiments", type=int, default=40)
    ask.add_argument("--nulls", type=int, default=200)
    ask.add_argument("--workers", type=int, default=1, help="processes, among which the experiments are divided")
    ask.add_argument("--quick", action="store_true", help="ten steps: the counts mean nothing")
    ask.add_argument("--out", type=Path, default=RESULTS)
    given = ask.parse_args()
    machine, rows = machine_columns(torch.device("cpu")), []
    for name in KINDS:
        count = given.nulls if name in NULLS else given.experiments
        began = time.perf_counter()
        numbers = [range(worker, count, given.workers) for worker in range(min(given.workers, count))]
        kind = replace(KINDS[name], steps=10) if given.quick else KINDS[name]
        done: Any = Parallel(n_jobs=given.workers)(delayed(share)(kind, some) for some in numbers)
        counted = row(name, [one for found, _ in done for one in found])
        took = {"seconds": time.perf_counter() - began, "cpu_seconds": sum(seconds for _, seconds in done)}
        rows.append({**machine, **counted, **took})
        write(given.out / "comparing.csv", rows)
    shown = ["what", "experiments", "times", "rate_low", "rate_high", "left_out", "baseline_at_edge", "baseline_mean", "baseline_deviation", "cpu_seconds"]  # fmt: skip
    table("comparisons", shown, [[one[name] for name in shown] for one in rows])


if __name__ == "__main__":
    main()
