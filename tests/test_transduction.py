"""Pairs of sequences: batches by tokens, pieces of words, answers that an end mark ends, a teacher, the decoder alone."""

import json

import pytest
import torch

import small
from actlab.data.pieces import Pieces
from actlab.decoding import greedy
from actlab.errors import UsageError
from actlab.models import DecoderOnly
from actlab.models.transformer import END, MASKED, PADDING, Transformer
from actlab.records import Run
from actlab.tasks._pairs import PairPart
from actlab.tasks._side import SPECIAL, Side
from actlab.tasks.answering import answer_at_once, places_of
from actlab.train import seeds

QUICK = ("--batch-size", "16", "--precision", "fp32", "-q")


@pytest.mark.parametrize("sizes", [True, False])
def test_batches_have_like_tokens(sizes):
    tokens = torch.randint(1, 40, (997,), generator=torch.Generator().manual_seed(0))
    found = seeds.batches_of_tokens(3, 0, tokens, tokens if sizes else None, 50)
    assert sorted(torch.cat(list(found)).tolist()) == list(range(997)) and len(found) == 50
    counts = torch.tensor([int(tokens[batch].sum()) for batch in found]).double()
    assert (counts - tokens.sum() / 50).abs().max() <= 40, "no batch is off by more than its longest example"
    again = seeds.batches_of_tokens(3, 0, tokens, tokens if sizes else None, 50)
    assert all(map(torch.equal, found, again))
    other = seeds.batches_of_tokens(3, 1, tokens, tokens if sizes else None, 50)
    assert not torch.equal(torch.cat(list(found)), torch.cat(list(other)))
    spread = torch.stack([(tokens[batch].max() - tokens[batch].min()).double() for batch in found]).mean()
    assert (spread < 5) == sizes


def test_no_batch_is_empty_beside_a_giant():
    tokens = torch.tensor([1000, 1, 1, 1, 1, 1])
    found = seeds.batches_of_tokens(0, 0, tokens, tokens, 4)
    assert len(found) == 4 and all(map(len, found)) and sorted(torch.cat(list(found)).tolist()) == list(range(6))


def test_training_by_tokens_and_resuming(cli, tmp_path):
    data = small.data_for("pronunciation", tmp_path)
    options = ("--set", "batch_tokens=200", "--epochs", "2", "--precision", "fp32", "-q")
    assert cli("train", "pronunciation", *data, *options, "--out", tmp_path / "a").code == 0
    run = Run.read(tmp_path / "a")
    tokens = 200 * run.steps / 2
    assert run.steps > 0 and run.examples == 2 * run.data.sizes["train"]
    assert abs(tokens - sum(map(int, [run.data.sizes["train"] * 7.3]))) < 0.25 * tokens
    images = ("train", "lenet", "--data", "sample", "--set", "batch_tokens=200", "--out", tmp_path / "b")
    assert "use batch_size" in cli(*images).complaint(2)


def test_pieces_come_back_as_text():
    sentences = ["I love you.", "You love  me.", "She loves the sea, and the sea loves her."] * 5
    pieces = Pieces.learn(sentences, 60)
    again = Pieces(pieces.state)
    assert len(pieces.names) < 60 and again.names == pieces.names
    for text in ("I love the sea.", "her loves, you"):
        assert again.join(again.split(text)) == text
    assert len(pieces.split("the sea")) < len("the sea")
    assert Pieces.learn(sentences, 60).state == pieces.state, "the same every time"
    with pytest.raises(UsageError, match="no vocabulary of 8 pieces"):
        Pieces.learn(sentences, 8)


def test_sides_without_spaces_keep_their_characters():
    chinese = [tuple("我爱你。"), tuple("你好吗？")]
    side = Side.of(chinese, 50)
    assert side.pieces is None and set(side.names) == {*SPECIAL, *"我爱你。好吗？"}
    english = Side.of([tuple("I love you."), tuple("you love me.")] * 4, 40)
    assert english.pieces is not None
    assert english.text(english.tokens(english.encode("you love me.").tolist())) == "you love me."
    assert 1 in english.encode("☃").tolist(), "what was never seen is unknown"


def test_translation_by_pieces(cli, tmp_path):
    options = ("--set", "data.pieces=24", "--epochs", "30", "--learning-rate", "0.01", *QUICK)
    data = small.data_for("translation", tmp_path)
    assert cli("train", "translation", *data, *options, "--out", tmp_path / "run").code == 0
    assert Run.read(tmp_path / "run").test.scores["chrf"] > 40
    names = json.loads((tmp_path / "run" / "tokens.json").read_text())
    assert names["source_pieces"] and not names["target_pieces"], "Chinese has no spaces"
    assert cli("translate", tmp_path / "run", "red cat ☃ runs").code == 0
    back = ("train", "translation", "--recipe", "zh-en", *data, *options, "--out", tmp_path / "back")
    assert cli(*back).code == 0
    answer = cli("translate", tmp_path / "back", "红猫跑", "--decode", "greedy").out
    assert " " in answer.strip() and "\u2581" not in answer, "pieces are joined to words"


def test_targets_with_end_marks():
    pairs = [(torch.tensor([7, 8, 9]), torch.tensor([11, 12])), (torch.tensor([7]), torch.tensor([13]))]
    part = PairPart(pairs, autoregressive=False, training=False, stretch=1.0)
    (source, given), wanted = part[torch.tensor([0, 1])]
    assert wanted.tolist() == [[11, 12, END, END, END], [13, END, END, -100, -100]]
    assert given.tolist() == [[MASKED] * 5, [MASKED] * 3 + [PADDING] * 2] and source.shape == (2, 3)


@pytest.mark.parametrize("iterations", [1, 3])
def test_answers_end_before_their_end_mark(iterations):
    torch.manual_seed(0)
    model = Transformer(20, 20, width=16, heads=2, layers=1, hidden=16, autoregressive=False, length_classifier=False).eval()  # fmt: skip
    assert model.length is None and torch.is_tensor(model((torch.tensor([[5, 6]]), torch.tensor([[5, 6]]))))
    source = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    for row, answer in enumerate(answer_at_once(model, source, iterations=iterations, stretch=1.5)):
        assert len(answer) <= places_of(int((source[row] != 0).sum()), 1.5) and not {0, 1, 2, 3, 4} & set(answer)
    with torch.no_grad():
        model.output.weight[END] += 100 * model.decoder_norm.weight  # all places say: end
        model.decoder_norm.bias += 1
    assert answer_at_once(model, source, iterations=iterations, stretch=1.5) == [[], []]


def test_parallel_words_by_end_mark_and_teacher(cli, tmp_path):
    data = small.data_for("pronunciation", tmp_path)
    common = ("--epochs", "25", "--learning-rate", "0.01", *QUICK)
    assert cli("train", "pronunciation", *data, *common, "--out", tmp_path / "teacher").code == 0
    options = ("--recipe", "parallel", "--set", "data.lengths=end", "--set", f"data.teacher={tmp_path / 'teacher'}")
    assert cli("train", "pronunciation", *data, *options, *common, "--out", tmp_path / "run").code == 0
    run, words = Run.read(tmp_path / "run"), 400
    assert run.test.scores["per"] < 0.3
    assert run.data.sizes["train"] < Run.read(tmp_path / "teacher").data.sizes["train"] < words, "one answer a word"
    for mode in ("parallel", "refine"):
        found = json.loads(cli("pronounce", tmp_path / "run", "cabe", "--decode", mode, "--json").out)
        assert len(found[0]["phonemes"]) <= 8
    assert "letters or pieces" in cli("pronounce", tmp_path / "run", "ab" * 150).complaint(2)
    wrong = (
        "train",
        "translation",
        *small.data_for("translation", tmp_path),
        "--set",
        f"data.teacher={tmp_path / 'run'}",
    )
    assert "expected a teacher for the same kind" in cli(*wrong, "--out", tmp_path / "no").complaint(2)


@pytest.mark.parametrize("arguments", [{}, {"kv_heads": 1}, {"positions": "learned", "norm": "post"}, {"gated": True, "tied": False}], ids=str)  # fmt: skip
def test_decoder_alone_goes_on_as_it_reads(arguments):
    torch.manual_seed(0)
    model = DecoderOnly(12, width=16, heads=2, layers=2, longest=10, **arguments).double().eval()
    text = torch.randint(0, 12, (3, 10))
    whole = model(text).transpose(1, 2)
    state, steps = None, []
    for piece in text.split([3, 1, 1, 4, 1], 1):
        scores, state = model.continued(piece, state)
        steps.append(scores)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=0, atol=1e-10)
    changed = text.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 12
    other = model(changed).transpose(1, 2)
    torch.testing.assert_close(other[:, :6], whole[:, :6], rtol=0, atol=0)
    assert not torch.allclose(other[:, 6:], whole[:, 6:])


def test_decoder_alone_reads_the_last_half_anew():
    torch.manual_seed(0)
    model = DecoderOnly(12, width=16, heads=2, layers=1, longest=8).double().eval()
    text = torch.randint(0, 12, (1, 9))
    _, state = model.continued(text[:, :8], None)
    scores, state = model.continued(text[:, 8:], state)
    torch.testing.assert_close(scores[:, -1], model(text[:, 5:])[..., -1], rtol=0, atol=1e-10)
    assert state.numbers.tolist() == text[:, 5:].tolist()
    found = greedy(lambda n, s: _last(model.continued(n[:, None], s)), torch.tensor([1, 2]), None, end=-1, steps=40)
    assert [len(one) for one in found] == [40, 40]
    with pytest.raises(UsageError, match="at most 8 positions"):
        model(torch.zeros(1, 9, dtype=torch.long))


def _last(found):
    return found[0][:, -1], found[1]


def test_a_text_by_the_decoder_alone(cli, tmp_path):
    data = ("--data", small.text(tmp_path / "t.txt"))
    options = ("--recipe", "attention", "--set", "model.width=32", "--set", "model.layers=1", "--set", "data.length=32")
    quick = ("--epochs", "12", "--batch-size", "8", "--learning-rate", "0.01", "-q")
    assert cli("train", "character-lm", *data, *options, *quick, "--out", tmp_path / "run").code == 0
    run = Run.read(tmp_path / "run")
    assert run.test.scores["bits_per_character"] < 1.5
    written = cli("sample", tmp_path / "run", "--prompt", "the ", "--length", "100", "--temperature", "0").out
    assert len(written.rstrip("\n")) >= 100 and "the" in written[4:]


def test_the_length_is_chosen_together_with_its_tokens():
    """Tokens that are sure of themselves do not outweigh a length that is all but impossible."""

    class Two:
        longest, paths = 8, None

        def encode(self, source):
            return [source], torch.ones(len(source), 1, source.shape[1], dtype=torch.bool)

        def lengths(self, memory, mask):
            scores = torch.full((len(mask), 8), -50.0)
            scores[:, 2], scores[:, 4] = -9.0, 0.0  # two tokens are possible, four are likely
            return scores

        def decode(self, target, memory, mask):
            scores = torch.zeros(*target.shape, 9)
            scores[..., 5] = 9.0 if target.shape[1] == 2 else 4.0
            return scores, None

    assert answer_at_once(Two(), torch.tensor([[5, 6, 7, 8]]), iterations=2) == [[5, 5, 5, 5]]  # pyright: ignore[reportArgumentType]
