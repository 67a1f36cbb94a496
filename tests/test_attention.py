"""Attention, the Transformer and its decoding: torch's layers, NumPy, every mask, causality, caches."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import actlab
from actlab.decoding import beam, greedy, mask_predict, select
from actlab.errors import UnknownName, UsageError
from actlab.layers import Attention, Neighbourhood, Positions, masks, rotated, sinusoids
from actlab.models import GraphAttention, ImageAttention, SelfAttention
from actlab.models.transformer import END, MASKED, PADDING, START, Transformer
from actlab.tasks.answering import answer_at_once, answer_by_steps, stepping
from actlab.tasks.transduction import edit_distance

EXACT = {"rtol": 0, "atol": 1e-10}


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LENGTHS = torch.tensor([5, 3, 1])
MASKS = {
    "none": None,
    "padding": masks.padding(LENGTHS, 5),
    "causal": masks.causal(5),
    "window": masks.window(5, 1, 2),
    "adjacency": masks.adjacency(torch.tensor([[0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]])),
    "padding and causal": masks.padding(LENGTHS, 5) & masks.causal(5),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("need_weights", [False, True], ids=["fused", "explicit"])
def test_attention_is_torchs(name, need_weights):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    nn.init.normal_(theirs.in_proj_bias)
    ours = Attention(12, 3).double().load_torch(theirs)
    mask, x = MASKS[name], normal(3, 5, 12)
    whole = None if mask is None else mask.expand(3, 5, 5).repeat_interleave(3, 0)
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    expected, weights = theirs(
        leaves[0], leaves[0], leaves[0], attn_mask=None if whole is None else ~whole, average_attn_weights=False
    )
    found, shown, _ = ours(leaves[1], mask=mask, need_weights=need_weights)
    torch.testing.assert_close(found, expected, **EXACT)
    for _leaf, out in zip(leaves, (expected, found), strict=True):
        out.sin().sum().backward()
    torch.testing.assert_close(leaves[1].grad, leaves[0].grad, **EXACT)
    torch.testing.assert_close(ours.query.weight.grad, theirs.in_proj_weight.grad[:12], **EXACT)
    if need_weights:
        torch.testing.assert_close(shown, weights, **EXACT)


@pytest.mark.parametrize(
    "arguments", [{"kv_heads": 1}, {"kv_heads": 2}, {"rotary": True}, {"source_width": 7}], ids=str
)
@pytest.mark.parametrize("causal", [False, True])
def test_fused_is_explicit(arguments, causal):
    torch.manual_seed(0)
    layer, x = Attention(12, 4, **arguments).double(), normal(2, 6, 12)
    source = normal(2, 6, 7, seed=1) if "source_width" in arguments else None
    fused, _, _ = layer(x, source, causal=causal)
    explicit, weights, _ = layer(x, source, causal=causal, need_weights=True)
    torch.testing.assert_close(fused, explicit, **EXACT)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6, dtype=torch.float64))


def test_shared_keys_are_repeated_keys():
    torch.manual_seed(0)
    shared, whole = Attention(8, 4, kv_heads=2).double(), Attention(8, 4).double()
    whole.query.load_state_dict(shared.query.state_dict())
    whole.output.load_state_dict(shared.output.state_dict())
    with torch.no_grad():
        for name in ("key", "value"):
            mine, theirs = getattr(shared, name), getattr(whole, name)
            theirs.weight.copy_(mine.weight.view(2, 2, 8).repeat_interleave(2, 0).reshape(8, 8))
            theirs.bias.copy_(mine.bias.view(2, 2).repeat_interleave(2, 0).reshape(8))
    torch.testing.assert_close(shared(normal(2, 5, 8))[0], whole(normal(2, 5, 8))[0], **EXACT)


def by_numpy(layer, x, score, normalise, mask):
    """One head, one number after the other."""
    w = {name: value.numpy() for name, value in layer.state_dict().items()}
    q, k, v = (x.numpy() @ w[f"{name}.weight"].T + w[f"{name}.bias"] for name in ("query", "key", "value"))
    out = np.zeros_like(x.numpy())
    for row in range(len(x)):
        for i in range(x.shape[1]):
            seen = [j for j in range(x.shape[1]) if mask is None or mask[i, j]]
            if score == "dot":
                alpha = np.array([q[row, i] @ k[row, j] / math.sqrt(len(q[row, i])) for j in seen])
            else:
                alpha = np.array([w["weight"][0] @ np.tanh(q[row, i] + k[row, j]) for j in seen])
            share = np.exp(alpha) / np.exp(alpha).sum() if normalise == "softmax" else np.maximum(alpha, 0) / len(seen)
            out[row, i] = sum(a * v[row, j] for a, j in zip(share, seen, strict=True))
    return out @ w["output.weight"].T + w["output.bias"]


@pytest.mark.parametrize("mask", [None, masks.window(6, 2, 0)], ids=["all", "window"])
@pytest.mark.parametrize("normalise", ["softmax", "relu"])
@pytest.mark.parametrize("score", ["dot", "additive"])
def test_attention_against_numpy(score, normalise, mask):
    torch.manual_seed(0)
    layer, x = Attention(5, 1, score=score, normalise=normalise).double(), normal(2, 6, 5)
    found, _, _ = layer(x, mask=mask)
    np.testing.assert_allclose(found.detach().numpy(), by_numpy(layer, x, score, normalise, mask), rtol=0, atol=1e-12)


def test_full_graph_is_self_attention_and_window_is_a_mask():
    torch.manual_seed(0)
    layer, x = Attention(8, 2).double(), normal(2, 7, 8)
    torch.testing.assert_close(layer(x, mask=masks.adjacency(torch.ones(7, 7)))[0], layer(x)[0], **EXACT)
    place = torch.arange(7)
    by_hand = (place[:, None] - place <= 2) & (place - place[:, None] <= 1)
    torch.testing.assert_close(layer(x, mask=masks.window(7, 2, 1))[0], layer(x, mask=by_hand)[0], **EXACT)
    assert torch.equal(masks.window(4, 3), torch.ones(4, 4, dtype=torch.bool))


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("normalise", ["softmax", "relu"])
def test_a_query_that_may_see_nothing_is_no_nan(normalise, need_weights):
    layer, x = Attention(8, 2, normalise=normalise).double(), normal(1, 3, 8).requires_grad_()
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    out, _, _ = layer(x, mask=mask, need_weights=need_weights)
    out.sum().backward()
    torch.testing.assert_close(out[0, 1], layer.output.bias)
    assert x.grad.isfinite().all()


def test_cache_of_attention():
    torch.manual_seed(0)
    for layer in (Attention(8, 2).double(), Attention(8, 4, kv_heads=2, rotary=True).double()):
        x, cache, found = normal(2, 6, 8), None, []
        for begin, end in ((0, 3), (3, 4), (4, 6)):
            out, _, cache = layer(x[:, begin:end], causal=True, cache=cache)
            found.append(out)
        torch.testing.assert_close(torch.cat(found, 1), layer(x, causal=True)[0], **EXACT)


def test_rotation_knows_distances_only():
    q, k = normal(1, 1, 1, 8), normal(1, 1, 1, 8, seed=1)
    near, far = (rotated(q, 3 + s) @ rotated(k, 1 + s).transpose(-1, -2) for s in (0, 40))
    torch.testing.assert_close(near, far)
    torch.testing.assert_close(rotated(q, 9).norm(), q.norm())


def test_sinusoids_by_the_paper():
    table = sinusoids(50, 6)
    for t in (0, 7, 49):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def copied(ours, theirs):
    """Weights of a torch layer into ours."""
    ours.attention.load_torch(theirs.self_attn)
    norms = [theirs.norm1, theirs.norm2]
    if ours.cross is not None:
        ours.cross.load_torch(theirs.multihead_attn)
        norms.append(theirs.norm3)
    for mine, one in zip(ours.norms, norms, strict=True):
        mine.load_state_dict(one.state_dict())
    ours.feed_forward.first.load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward.second.load_state_dict(theirs.linear2.state_dict())


def network(**arguments):
    torch.manual_seed(0)
    return Transformer(11, 13, **{"width": 16, "heads": 2, "layers": 2, "hidden": 24, "dropout": 0.0, "longest": 40, **arguments}).double().eval()  # fmt: skip


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_and_decoder_are_torchs(norm, activation):
    ours = network(norm=norm, activation=activation)
    made = {"dropout": 0.0, "activation": activation, "batch_first": True, "norm_first": norm == "pre"}
    encoder = (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, **made), 2, enable_nested_tensor=False)
        .double()
        .eval()
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2, 24, **made), 2).double().eval()
    for stack, mine in ((encoder, ours.encoder), (decoder, ours.decoder)):
        for parameter in stack.parameters():
            nn.init.normal_(parameter, std=0.3)
        for one, theirs in zip(mine, stack.layers, strict=True):
            copied(one, theirs)
    x, y = normal(3, 5, 16).requires_grad_(), normal(3, 4, 16, seed=1).requires_grad_()
    pad = masks.padding(LENGTHS, 5)
    a, b = x.detach().clone().requires_grad_(), y.detach().clone().requires_grad_()
    memory = encoder(x, src_key_padding_mask=~pad[:, 0])
    out = decoder(y, memory, tgt_mask=~masks.causal(4), memory_key_padding_mask=~pad[:, 0])
    mine = a
    for one in ours.encoder:
        mine, _ = one(mine, mask=pad)
    found = b
    for one in ours.decoder:
        found, _ = one(found, causal=True, source=mine, source_mask=pad)
    torch.testing.assert_close(mine, memory, **EXACT)
    torch.testing.assert_close(found, out, **EXACT)
    out.sin().sum().backward()
    found.sin().sum().backward()
    torch.testing.assert_close(a.grad, x.grad, **EXACT)
    torch.testing.assert_close(b.grad, y.grad, **EXACT)


def pairs():
    generator = torch.Generator().manual_seed(2)
    source = torch.randint(5, 11, (3, 6), generator=generator)
    source[1, 4:] = source[2, 2:] = PADDING
    target = torch.cat([torch.full((3, 1), START), torch.randint(5, 13, (3, 6), generator=generator)], 1)
    return source, target


FORMS = [
    {},
    {"norm": "post"},
    {"positions": "rotary"},
    {"positions": "learned"},
    {"cross": "matching"},
    {"neighbours": 2},
    {"gated": True, "activation": "swish"},
]


@pytest.mark.parametrize("arguments", FORMS, ids=str)
def test_no_output_depends_on_a_later_input(arguments):
    model = network(**arguments)
    source, target = pairs()
    with torch.no_grad():
        base = model((source, target))
        for place in range(1, target.shape[1]):
            other = target.clone()
            other[:, place] = 5 + (other[:, place] - 4) % 8
            moved = (model((source, other)) - base).abs().amax((0, 2))
            assert not moved[:place].any() and moved[place] > 0
        changed = source.clone()
        changed[0, 5] = 5 + (changed[0, 5] - 4) % 6
        assert ((model((changed, target)) - base)[0].abs().amax(-1) > 0).all(), "the encoder is read by every place"
        assert not (model((changed, target)) - base)[1:].any()


def test_what_autocast_leaves_alone_stays_alone():
    """Doubles stay doubles, and a device that autocast does not know is none to complain about."""
    model, sequences = network(), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(sequences).dtype == torch.float64
        assert model.float()(sequences).dtype == torch.bfloat16
    source, target = (one.to("meta") for one in sequences)
    assert model.to("meta")((source, target)).shape == (3, 7, 13)


@pytest.mark.parametrize("arguments", FORMS, ids=str)
def test_padding_of_the_source_does_not_count(arguments):
    model = network(**arguments)
    source, target = pairs()
    with torch.no_grad():
        alone = model((source[2:, :2], target[2:]))
        torch.testing.assert_close(model((source, target))[2:], alone, **EXACT)


@pytest.mark.parametrize("arguments", FORMS, ids=str)
def test_cached_decoding_is_decoding_without(arguments):
    """Scores of every step, and greedy and beam answers, token for token."""
    model = network(**arguments)
    source, target = pairs()
    with torch.no_grad():
        whole = model((source, target))
        step, state = stepping(model, source)
        for place in range(target.shape[1]):
            scores, state = step(target[:, place], state)
            allowed = [n for n in range(13) if n not in (0, 1, START, MASKED)]
            torch.testing.assert_close(scores[:, allowed], whole[:, place, allowed], **EXACT)

    def bare(number, state):
        memory, mask, seen = state
        seen = number[:, None] if seen is None else torch.cat([seen, number[:, None]], 1)
        scores = model.decode(seen, memory, mask)[0][:, -1].clone()
        scores[:, [PADDING, 1, START, MASKED]] = -torch.inf
        return scores, (memory, mask, seen)

    with torch.no_grad():
        memory, mask = model.encode(source)
    first = torch.full((3,), START)
    step, state = stepping(model, source)
    assert greedy(step, first, state, end=END, steps=12) == greedy(bare, first, (memory, mask, None), end=END, steps=12)
    for width in (1, 3):
        found = beam(step, first, state, end=END, steps=12, width=width)
        again = beam(bare, first, (memory, mask, None), end=END, steps=12, width=width)
        assert [path for path, _ in found] == [path for path, _ in again]


def test_cached_decoding_with_kernels_is_decoding_without():
    model = network(activation="gelu", gated=True).float()
    source, target = pairs()
    with torch.no_grad():
        whole = model((source, target))
        with actlab.fused(save="input"):
            step, state = stepping(model, source)
            for place in range(target.shape[1]):
                scores, state = step(target[:, place], state)
                allowed = [n for n in range(13) if n not in (0, 1, START, MASKED)]
                torch.testing.assert_close(scores[:, allowed], whole[:, place, allowed], rtol=1e-4, atol=1e-5)


def score_of(model, source, path, ended):
    """Sum of log-probabilities of a path, forward all at once."""
    given = torch.tensor([[START, *path]])
    scores = model((source, given))[0]
    scores[:, [PADDING, 1, START, MASKED]] = -torch.inf
    wanted = [*path, END] if ended else path
    return float(scores.log_softmax(-1)[torch.arange(len(wanted)), torch.tensor(wanted)].sum())


@pytest.mark.parametrize("seed", range(4))
def test_beam_scores_what_it_says_and_never_below_greedy(seed):
    model = network()
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    source = torch.randint(5, 11, (4, 5), generator=torch.Generator().manual_seed(seed))
    step, state = stepping(model, source)
    first = torch.full((4,), START)
    plain = greedy(step, first, state, end=END, steps=8)
    with torch.no_grad():
        for width in (1, 2, 5):
            for row, (path, score) in enumerate(beam(step, first, state, end=END, steps=8, width=width)):
                one = source[row : row + 1]
                assert score == pytest.approx(score_of(model, one, path, len(path) < 8), abs=1e-4)
                assert score >= score_of(model, one, plain[row], len(plain[row]) < 8) - 1e-6


def test_wide_beam_is_exhaustive_search():
    """Two steps over a vocabulary of 4, all 21 answers by hand."""
    table = torch.log_softmax(normal(5, 4, seed=5).float(), -1)

    def step(number, state):
        return table[number], torch.zeros(len(number), 1)

    answers = {(3,): table[4, 3]}
    for a in range(3):
        answers[(a, 3)] = table[4, a] + table[a, 3]
        for b in range(3):
            answers[(a, b)] = table[4, a] + table[a, b]
    best = max(answers, key=lambda path: answers[path])
    ((path, score),) = beam(step, torch.tensor([4]), torch.zeros(1, 1), end=3, steps=2, width=4)
    assert [*path, *([3] if best[-1] == 3 else [])] == list(best) and score == pytest.approx(
        float(answers[best]), abs=1e-5
    )


def test_end_mark_and_longest_answer_are_respected():
    def never_ends(number, state):
        scores = torch.zeros(len(number), 6)
        scores[:, 5] = 5
        return scores, state

    assert greedy(never_ends, torch.tensor([START, START]), None, end=END, steps=7) == [[5] * 7] * 2
    assert beam(never_ends, torch.tensor([START]), torch.zeros(1), end=END, steps=7, width=2)[0][0] == [5] * 7

    def ends_at_once(number, state):
        scores = torch.zeros(len(number), 6)
        scores[:, END] = 9
        return scores, state

    assert greedy(ends_at_once, torch.tensor([START]), None, end=END, steps=7) == [[]]
    assert beam(ends_at_once, torch.tensor([START]), torch.zeros(1), end=END, steps=7, width=2)[0][0] == []


def test_beam_refuses_more_than_the_vocabulary():
    with pytest.raises(UsageError, match="1 to 6 hypotheses"):
        beam(lambda n, s: (torch.zeros(len(n), 6), s), torch.tensor([START]), None, end=END, steps=3, width=7)


def test_select_reaches_into_states():
    state = (torch.arange(3), [torch.arange(6).view(3, 2), None], (torch.arange(3),))
    found = select(state, torch.tensor([2, 0, 0]))
    assert found[0].tolist() == [2, 0, 0] and found[1][0].tolist() == [[4, 5], [0, 1], [0, 1]] and found[1][1] is None


def test_mask_predict_fills_every_place_and_refines():
    calls = []

    def fill(numbers):
        calls.append(numbers.clone())
        scores = torch.zeros(*numbers.shape, 9)
        place = torch.arange(numbers.shape[1])
        scores[:, place, 5 + place % 3] = 2.0 + place.float()
        scores[..., MASKED] = 99  # never an answer
        return scores

    lengths = torch.tensor([4, 2])
    numbers, score = mask_predict(fill, lengths, masked=MASKED, padding=PADDING, never=(0, 1, 2, 3, 4), iterations=3)
    assert numbers.tolist() == [[5, 6, 7, 5], [5, 6, 0, 0]] and (score < 0).all()
    assert [int((one == MASKED).sum()) for one in calls] == [6, 3, 2], "fewer places are open every time"
    assert calls[1][0].tolist() == [MASKED, MASKED, 7, 5], "the least probable ones"


def test_parallel_decoding_of_a_network():
    model = network(autoregressive=False)
    source, _ = pairs()
    for iterations in (1, 3):
        answers = answer_at_once(model, source, iterations=iterations)
        assert all(1 <= len(one) <= 2 * 6 + 10 and min(one) >= 5 for one in answers)
    assert len(answer_by_steps(network(), source, width=None, length_penalty=0.0)) == 3
    scores, lengths = model((source, torch.full((3, 4), MASKED)))
    assert scores.shape == (3, 4, 13) and lengths.shape == (3, 40)


def test_parallel_decoder_sees_both_sides():
    model = network(autoregressive=False)
    source, target = pairs()
    other = target.clone()
    other[:, -1] = 5 + (other[:, -1] - 4) % 8
    with torch.no_grad():
        assert ((model((source, other))[0] - model((source, target))[0])[:, 0].abs().amax(-1) > 0).all()


@pytest.mark.parametrize("causal", [False, True], ids=["both sides", "before"])
def test_a_neighbourhood_is_a_convolution_over_time(causal):
    torch.manual_seed(0)
    near = Neighbourhood(4, 2, causal=causal).double()
    x = normal(3, 7, 4)
    places = near.linear.weight.unflatten(1, (-1, 4)).permute(
        0, 2, 1
    )  # (out, in, delay), of which a convolution has the last first
    padded = nn.functional.pad(x.mT, (2, 0 if causal else 2))
    expected = nn.functional.conv1d(padded, places.flip(-1), near.linear.bias).mT
    found, last = near(x)
    torch.testing.assert_close(found, expected, **EXACT)
    assert torch.equal(last, x[:, -2:])
    inside = masks.padding(torch.tensor([7, 4, 1]), 7).mT
    torch.testing.assert_close(near(x, inside=inside)[0][1, :4], near(x[1:2, :4])[0][0], **EXACT)
    if causal:
        first, before = near(x[:, :1])
        second, before = near(x[:, 1:4], before=before)
        third, _ = near(x[:, 4:], before=before)
        torch.testing.assert_close(torch.cat([first, second, third], 1), expected, **EXACT)


@pytest.mark.parametrize("neighbours", [0, 2])
def test_padding_of_a_target_that_is_seen_at_once_does_not_count(neighbours):
    model = network(autoregressive=False, neighbours=neighbours)
    source, target = pairs()
    target[1, 3:] = PADDING
    with torch.no_grad():
        scores, _ = model((source, target))
        alone, _ = model((source[1:2], target[1:2, :3]))
    torch.testing.assert_close(scores[1:2, :3], alone, **EXACT)


def test_window_and_padding_of_self_attention():
    torch.manual_seed(0)
    model = SelfAttention(3, 8, 2, heads=2, layers=1, window=1, dropout=0.0, positions="none").double().eval()
    x = normal(2, 6, 3)
    with torch.no_grad():
        base = model(x)
        other = x.clone()
        other[:, 4] += 1
        moved = (model(other) - base).abs().amax((0, 2)) > 0
        assert moved.tolist() == [False, False, False, True, True, True], "one layer of window 1 reaches one step"
        alone = model(x[1:, :4])
        torch.testing.assert_close(model((x, torch.tensor([6, 4])))[1:, :4], alone, **EXACT)


def test_graph_attention_sees_neighbours_alone():
    torch.manual_seed(0)
    path = torch.diag(torch.ones(4), 1) + torch.diag(torch.ones(4), -1)  # 0 - 1 - 2 - 3 - 4
    model = GraphAttention(torch.eye(5), path, 3, layers=2, dropout=0.0).double().eval()
    every = torch.arange(5)
    with torch.no_grad():
        base = model(every)
        model.features[4] += 1
        moved = (model(every) - base).abs().amax(1) > 0
    assert moved.tolist() == [False, False, True, True, True], "two layers reach two steps along the edges"


def test_image_attention_reads_patches():
    torch.manual_seed(0)
    model = ImageAttention(patch=7).eval()
    patches = nn.functional.unfold(torch.arange(784.0).view(1, 1, 28, 28), 7, stride=7).transpose(1, 2)
    assert patches.shape == (1, 16, 49) and patches[0, 1, :3].tolist() == [7, 8, 9]
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(UsageError, match="divide the image's side 28"):
        ImageAttention(patch=5)


def test_edit_distance():
    assert [edit_distance(*one) for one in (("", "abc"), ("kitten", "sitting"), ("abc", "abc"), ("ab", "ba"))] == [
        3,
        3,
        0,
        2,
    ]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Attention(10, 3), UsageError, "heads that divide the width"),
        (lambda: Attention(12, 4, kv_heads=3), UsageError, "kv_heads"),
        (lambda: Attention(12, 4, score="dott"), UnknownName, "did you mean 'dot'"),
        (lambda: Attention(12, 4, normalise="softmx"), UnknownName, "did you mean"),
        (lambda: Positions("sinusoid", 8), UnknownName, "did you mean 'sinusoidal'"),
        (lambda: Positions("learned", 8, longest=3)(torch.zeros(1, 4, 8)), UsageError, "at most 3 positions; got 4"),
        (lambda: network(neighbours=-1), UsageError, "reach of at least 1 place; got -1"),
        (lambda: network(norm="pree"), UnknownName, "did you mean 'pre'"),
        (lambda: network(cross="matching", decoder_layers=1), UsageError, "as many decoder as encoder layers"),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
