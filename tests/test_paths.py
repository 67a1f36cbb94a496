"""Answers by paths (CTC): the best path, the loss over all paths, and what the decoder refines."""

import itertools
import json
import math

import pytest
import torch

import small
from actlab.decoding import collapsed, hypotheses, refined
from actlab.models.transformer import END, MASKED, PADDING, START, Transformer
from actlab.records import Run
from actlab.tasks._pairs import PairLoss, PairPart
from actlab.tasks._paths import outputs_needed, over_paths
from actlab.tasks.answering import answer_at_once, answer_by_steps, stepping


def by_hand(path):
    """What a path says: equal neighbours are one, then no blanks."""
    return [number for number, _ in itertools.groupby(path) if number != 0]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_path_is_what_it_says(seed):
    torch.manual_seed(seed)
    scores = torch.randn(7, 12, 4) * 3
    scores[6, :, 0] = 99  # nothing but blanks
    chances, lengths = collapsed(scores, blank=0)
    assert lengths[6] == 0
    for row, path in enumerate(scores.argmax(-1).tolist()):
        answer = by_hand(path)
        assert chances[row].argmax(-1).tolist()[: len(answer)] == answer and lengths[row] == len(answer)
        every = scores[row].log_softmax(-1)
        steps = [[t for t, _ in run] for number, run in itertools.groupby(enumerate(path), key=lambda one: one[1]) if number]  # fmt: skip
        for place, run in enumerate(steps):
            surest = every[max(run, key=lambda t: float(every[t].max()))][1:].log_softmax(-1)
            torch.testing.assert_close(chances[row, place, 1:], surest)


def test_the_loss_adds_up_all_paths():
    torch.manual_seed(0)
    scores, target = torch.randn(3, 5, 4, requires_grad=True), torch.tensor([[1, 2, 0], [3, 3, 0], [2, 1, 3]])
    chances, expected = scores.detach().double().softmax(-1), 0.0
    for row, answer in enumerate(([1, 2], [3, 3], [2, 1, 3])):
        paths = (path for path in itertools.product(range(4), repeat=5) if by_hand(path) == answer)
        expected -= math.log(sum(math.prod(float(chances[row, t, n]) for t, n in enumerate(path)) for path in paths))
    tokens = torch.zeros(3, 1, 4), torch.full((3, 1), -100)
    loss = PairLoss(0.1)((tokens[0], scores), (tokens[1], target))
    assert float(loss.detach()) == pytest.approx(expected / 3, rel=1e-5)
    loss.backward()
    assert scores.grad is not None and bool(scores.grad.isfinite().all())


def test_an_answer_too_long_for_its_source_costs_nothing():
    scores = torch.randn(1, 2, 4, requires_grad=True)
    loss = PairLoss(0.0)((torch.zeros(1, 1, 4), scores), (torch.full((1, 1), -100), torch.tensor([[1, 1]])))
    loss.backward()
    assert float(loss.detach()) == 0 and scores.grad is not None and not scores.grad.any(), (
        "two equal numbers need three outputs"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_places_behind_a_source_are_no_way_out(dtype):
    """In a batch with longer sources an answer too long for its own still costs nothing."""
    model = network().to(dtype)
    source, target = torch.tensor([[5, 6, 7, 8], [9, 0, 0, 0]]), torch.tensor([[7, 8, 9], [7, 8, 9]])
    memory, mask = model.encode(source)
    scores = model.path_scores(memory, mask)
    tokens = torch.zeros(2, 1, 20), torch.full((2, 1), -100)
    alone = PairLoss(0.0)((tokens[0][:1], scores[:1]), (tokens[1][:1], target[:1]))
    both = PairLoss(0.0)((tokens[0], scores), (tokens[1], target))
    torch.testing.assert_close(both.detach(), alone.detach() / 2)
    half = PairLoss(0.0, 0.5)((tokens[0], scores), (tokens[1], target))
    torch.testing.assert_close(half.detach(), both.detach() / 2)


def test_token_by_token_with_a_second_loss():
    part = PairPart([(torch.tensor([7, 8]), torch.tensor([11, 12]))], autoregressive=True, training=True, paths=True)
    (source, given), (wanted, target) = part[torch.tensor([0])]
    assert wanted.tolist() == [[11, 12, 3]] and target.tolist() == [[11, 12]]
    model = Transformer(20, 20, width=16, heads=2, layers=1, hidden=16, paths=2)
    tokens, paths = model((source, given))
    assert tokens.shape == (1, 3, 20) and paths.shape == (1, 4, 20)
    PairLoss(0.1, 0.5)((tokens, paths), (wanted, target)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def network():
    torch.manual_seed(0)
    return Transformer(20, 20, width=16, heads=2, layers=2, hidden=16, neighbours=2, autoregressive=False, paths=2).eval()  # fmt: skip


def test_behind_a_source_there_are_blanks_alone():
    model = network()
    source = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    with torch.no_grad():
        memory, mask = model.encode(source)
        scores = model.path_scores(memory, mask)
        alone = model.path_scores(*model.encode(source[1:, :2]))
    assert model.length is None and scores.shape == (2, 8, 20)
    torch.testing.assert_close(scores[1:, :4], alone)
    assert torch.equal(scores[1, 4:].softmax(-1)[:, PADDING], torch.ones(4))
    tokens, paths = model((source, torch.full((2, 3), MASKED)))
    assert tokens.shape == (2, 3, 20) and paths.shape == (2, 8, 20)


@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_answers_along_a_path(iterations):
    model = network()
    source = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    found = answer_at_once(model, source, iterations=iterations)
    assert all(len(answer) <= 2 * n and not {0, 1, 2, 3, 4} & set(answer) for answer, n in zip(found, (4, 2), strict=True))  # fmt: skip
    with torch.no_grad():
        assert model.paths is not None
        model.paths.bias.view(2, 20)[:, PADDING] = 99
    assert answer_at_once(model, source, iterations=iterations) == [[], []]


def test_the_uncertain_is_weighed_again_given_the_rest():
    seen = []

    def fill(numbers):
        seen.append(numbers.clone())
        return torch.tensor([0.1, 0.1, 0.6, 0.2, 0.0]).log().expand(*numbers.shape, 5).clone()

    def row(*probabilities):
        return torch.tensor([0.0, 0.0, *probabilities]).log()

    chances = torch.stack([
        torch.stack([row(0.02, 0.95, 0.03), row(0.40, 0.50, 0.10), row(0.1, 0.8, 0.1)]),
        torch.stack([row(0.02, 0.03, 0.95), row(0.1, 0.1, 0.8), row(0.4, 0.3, 0.3)]),
    ])  # fmt: skip
    given = {"masked": 1, "padding": 0, "never": (0, 1)}
    first = refined(fill, chances, torch.tensor([3, 1]), **given)
    assert first.tolist() == [[3, 3, 3], [4, 0, 0]] and not seen, "one iteration refines nothing"
    found = refined(fill, chances, torch.tensor([3, 1]), **given, iterations=2)
    assert [one.tolist() for one in seen] == [[[3, 1, 1], [4, 0, 0]]], "what is certain or outside is not masked"
    # 0.40 0.6 > 0.50 0.2, but 0.1 0.6 < 0.8 0.2
    assert found.tolist() == [[3, 2, 3], [4, 0, 0]]
    seen.clear()
    refined(fill, chances, torch.tensor([1, 1]), **given, iterations=9)
    assert not seen, "nothing is uncertain: no pass"


def test_outputs_for_a_token():
    def of(*pairs):
        return outputs_needed([(tuple(one), tuple(other)) for one, other in pairs])

    assert of(("abc", "xyz")) == 1
    assert of(("abc", "xyzz")) == 2, "four and a blank on three letters"
    assert of(*[("ab", "xy")] * 2000, ("w", "dublju")) == 1, "one of 1,000 may be left out"


def test_targets_of_paths():
    part = PairPart([(torch.tensor([7, 8]), torch.tensor([11, 12])), (torch.tensor([7]), torch.tensor([13]))], autoregressive=False, training=False, paths=True)  # fmt: skip
    (_, given), (wanted, target) = part[torch.tensor([0, 1])]
    assert given.tolist() == [[MASKED, MASKED], [MASKED, PADDING]]
    assert wanted.tolist() == [[11, 12], [13, -100]] and target.tolist() == [[11, 12], [13, 0]]


def test_words_by_paths(cli, tmp_path):
    data = small.data_for("pronunciation", tmp_path)
    options = ("--recipe", "parallel", "--epochs", "25", "--learning-rate", "0.01", "--batch-size", "16", "--precision", "fp32", "-q")  # fmt: skip
    assert cli("train", "pronunciation", *data, *options, "--out", tmp_path / "run").code == 0
    assert Run.read(tmp_path / "run").test.scores["per"] < 0.2
    assert json.loads((tmp_path / "run" / "tokens.json").read_text())["paths"] >= 1
    for mode in ("parallel", "refine"):
        found = json.loads(cli("pronounce", tmp_path / "run", "cabe", "--decode", mode, "--json").out)
        assert 1 <= len(found[0]["phonemes"]) <= 8
    assert "letters or pieces" in cli("pronounce", tmp_path / "run", "ab" * 150).complaint(2)


def test_the_beam_and_the_paths_agree_on_an_answer():
    """What they choose has the highest weighted sum of both log-probabilities among all hypotheses of the beam."""
    for seed in range(5):
        torch.manual_seed(seed)
        model = Transformer(20, 20, width=16, heads=2, layers=1, hidden=16, paths=2).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        source = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
        found = answer_by_steps(model, source, width=4, length_penalty=0.0)
        step, state = stepping(model, source)
        every = hypotheses(step, torch.tensor([START, START]), state, end=END, steps=26, width=4)
        with torch.no_grad():
            scores = model.path_scores(*model.encode(source))
            for row, one in enumerate(every):
                assert [score for _, score in one] == sorted((score for _, score in one), reverse=True)
                costs = [float(over_paths(scores[row : row + 1], torch.tensor([path]))) for path, _ in one]
                sums = [0.7 * score - 0.3 * cost for (_, score), cost in zip(one, costs, strict=True)]
                assert found[row] == one[sums.index(max(sums))][0]


def test_a_run_begun_by_an_earlier_version_goes_on(cli, tmp_path):
    """Its config does not know of paths: that is what no paths come to."""
    data, run = small.data_for("pronunciation", tmp_path), tmp_path / "run"
    train = ("train", "pronunciation", *data, "--set", "data.ctc=0", "--epochs", "2", "-q", "--out", run)
    assert cli(*train).code == 0
    config = (run / "config.toml").read_text()
    assert "ctc = 0.0\n" in config
    (run / "config.toml").write_text(config.replace("ctc = 0.0\n", ""))
    assert cli(*train, "--resume").code == 0
    assert "started with data.ctc = 0.0, not 0.5" in cli(*train, "--set", "data.ctc=0.5", "--resume").complaint(2)
