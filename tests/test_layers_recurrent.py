"""Recurrent layers: the notes' example, torch's fused layers, an independent NumPy peephole LSTM, lengths, directions, truncation."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from actlab.errors import UnknownName, UsageError
from actlab.layers import CELLS, Recurrent, TappedDelay, _scans, delayed
from actlab.models import LSTM, NARX, RNN, TDNN

LENGTHS = torch.tensor([7, 3, 1, 5])
TORCH = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
EXACT = {"rtol": 0, "atol": 1e-12}


def signal(batch=4, time=7, size=3):
    return torch.randn(batch, time, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def make(cell, **arguments):
    torch.manual_seed(1)
    if cell == "jordan":
        arguments = {"outputs": 5, "output_activation": "softmax", **arguments}
    return Recurrent(cell, 3, 4, **arguments).double()


def gradients(module, call, x):
    """Outputs, states, and the gradients of a weighted sum of all of them."""
    module.zero_grad()
    leaf = x.clone().requires_grad_()
    out, state = call(leaf)
    loss = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum() + sum(
        s.sin().sum() for s in state
    )
    loss.backward()
    return [out, *state, leaf.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


def test_the_notes_example():
    """All weights 1, no bias, linear units, memory 0: inputs [1,1], [1,1], [2,2] give [4,4], [12,12], [32,32]."""
    network = RNN(2, 2, 2, memory="elman", activation="identity", bias=False)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(1)
        out = network(torch.tensor([[[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]]))
    assert out.tolist() == [[[4, 4], [12, 12], [32, 32]]]


@pytest.mark.parametrize(("factor", "known"), [(1.01, 2.1e4), (0.99, 4.3e-5)])
def test_explosion_and_vanishing(factor, known):
    """The notes: 1.01^1000 is about 2.1e4, 0.99^1000 about 4.3e-5; here as the gradient of a linear network over 1,000 steps."""
    layer = Recurrent("elman", 1, 1, activation="identity", bias=False).double()
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
        layer.weight_hh_l0.fill_(factor)
    x = torch.zeros(1, 1001, 1, dtype=torch.float64, requires_grad=True)
    layer(x)[0][0, -1, 0].backward()
    assert x.grad[0, 0, 0].item() == pytest.approx(factor**1000, rel=1e-10) == pytest.approx(known, rel=0.02)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_explicit_steps_are_torchs_layers(cell, lengths, bidirectional):
    ours = make(cell, layers=2, bidirectional=bidirectional)
    theirs = TORCH[cell](3, 4, num_layers=2, bidirectional=bidirectional, batch_first=True).double()
    theirs.load_state_dict({name.removeprefix("fused."): value for name, value in ours.state_dict().items()})

    def run(x):
        given = x if lengths is None else pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, state = theirs(given)
        if lengths is not None:
            out, _ = pad_packed_sequence(out, batch_first=True)
        return out, state if isinstance(state, tuple) else (state,)

    expected = gradients(theirs, run, signal())
    for call in (lambda x: ours.explicit(x, lengths), lambda x: ours(x, lengths)):
        for found, wanted in zip(gradients(ours, call, signal()), expected, strict=True):
            torch.testing.assert_close(found, wanted, **EXACT)


@pytest.mark.parametrize(
    "arguments", [{}, {"layers": 2}, {"bidirectional": True}, {"learn_start": True}, {"bias": False}], ids=str
)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("cell", CELLS)
def test_fast_path_is_the_explicit_steps(cell, lengths, arguments):
    layer = make(cell, **arguments)
    fast = gradients(layer, lambda x: layer(x, lengths), signal())
    slow = gradients(layer, lambda x: layer.explicit(x, lengths), signal())
    for found, wanted in zip(fast, slow, strict=True):
        torch.testing.assert_close(found, wanted, **EXACT)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def peephole_by_hand(x, weights, lengths, backwards=False):
    """Gers, Schraudolph & Schmidhuber 2002, one number after the other, in NumPy."""
    w, u, p, b = (weights[name] for name in ("w", "u", "p", "b"))
    size = u.shape[1]
    out = np.zeros((*x.shape[:2], size))
    for row, length in enumerate(lengths):
        h, c = np.zeros(size), np.zeros(size)
        for t in range(length)[:: -1 if backwards else 1]:
            pre = w @ x[row, t] + u @ h + b
            i = sigmoid(pre[:size] + p[0] * c)
            f = sigmoid(pre[size : 2 * size] + p[1] * c)
            c = f * c + i * np.tanh(pre[2 * size : 3 * size])
            h = sigmoid(pre[3 * size :] + p[2] * c) * np.tanh(c)
            out[row, t] = h
    return out


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_peephole_against_numpy(lengths):
    layer = make("peephole", bidirectional=True)
    x, counts = signal(), [7] * 4 if lengths is None else lengths.tolist()
    sides = []
    for suffix in ("", "_reverse"):
        state = {name: value.numpy() for name, value in layer.state_dict().items()}
        weights = {
            "w": state[f"weight_ih_l0{suffix}"],
            "u": state[f"weight_hh_l0{suffix}"],
            "p": state[f"weight_peep_l0{suffix}"],
        }
        weights["b"] = state[f"bias_ih_l0{suffix}"] + state[f"bias_hh_l0{suffix}"]
        sides.append(peephole_by_hand(x.numpy(), weights, counts, backwards=bool(suffix)))
    np.testing.assert_allclose(layer(x, lengths)[0].detach().numpy(), np.concatenate(sides, -1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_compiled_loops_are_the_ones_in_python(dtype, monkeypatch):
    layer, x = make("peephole", bidirectional=True).to(dtype), signal().to(dtype)
    compiled = gradients(layer, lambda x: layer(x, LENGTHS), x)
    monkeypatch.setattr(_scans, "loops", lambda: None)  # as where there is no compiler
    for found, wanted in zip(compiled, gradients(layer, lambda x: layer(x, LENGTHS), x), strict=True):
        assert torch.equal(found, wanted)


def test_peephole_without_peeps_is_the_lstm():
    plain, layer = make("lstm"), make("peephole")
    state = {name.removeprefix("fused."): value for name, value in plain.state_dict().items()}
    layer.load_state_dict({**state, "weight_peep_l0": torch.zeros(3, 4)})
    torch.testing.assert_close(layer(signal())[0], plain(signal())[0], **EXACT)


@pytest.mark.parametrize("cell", ["peephole", "jordan"])
@pytest.mark.parametrize("f", ["tanh", "relu", "sigmoid"])
def test_gradients_of_scans(cell, f):
    if cell == "peephole" and f != "tanh":
        pytest.skip("the peephole scan is for tanh; other activations take the explicit steps")
    layer = make(cell, activation=f)
    torch.autograd.gradcheck(lambda x: layer(x)[0], signal(2, 3).requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_any_activation_runs_by_the_explicit_steps(cell):
    layer = make(cell, activation="gelu")
    assert layer.fused is None
    out, _ = layer(signal(), LENGTHS)
    torch.testing.assert_close(out, layer.explicit(signal(), LENGTHS)[0], **EXACT)
    assert not torch.allclose(out, make(cell)(signal(), LENGTHS)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_what_lies_behind_the_end_does_not_count(cell):
    layer, x = make(cell, bidirectional=True), signal()
    other = x.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other[row, length:] = 1e6
    found, changed = layer(x, LENGTHS), layer(other, LENGTHS)
    torch.testing.assert_close(changed[0], found[0])
    for a, b in zip(changed[1], found[1], strict=True):
        torch.testing.assert_close(a, b)
    assert all(not found[0][row, length:].any() for row, length in enumerate(LENGTHS.tolist()))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize("cell", CELLS)
def test_truncation_changes_gradients_and_no_values(cell, lengths):
    whole, cut = make(cell), make(cell, truncate=3)
    cut.load_state_dict(whole.state_dict())
    x = signal().requires_grad_()
    expected, after = whole(x, lengths)
    found, state = cut(x, lengths)
    torch.testing.assert_close(found, expected, **EXACT)
    for a, b in zip(state, after, strict=True):
        torch.testing.assert_close(a, b, **EXACT)
    (gradient,) = torch.autograd.grad(found[0, 6].sum(), x)
    assert gradient[0, 6].any() and not gradient[0, :6].any(), (
        "step 7 begins a piece of three: nothing goes back beyond"
    )


def test_state_goes_on():
    for cell in CELLS:
        layer, x = make(cell, layers=2), signal()
        whole, end = layer(x)
        first, state = layer(x[:, :3])
        second, last = layer(x[:, 3:], state=state)
        torch.testing.assert_close(torch.cat([first, second], 1), whole, **EXACT)
        for a, b in zip(last, end, strict=True):
            torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("cell", CELLS)
def test_trace_shows_what_was_computed(cell):
    layer, x = make(cell, bidirectional=True), signal()
    for backwards in (False, True):
        gates = layer.trace(x, backwards=backwards)
        out = layer(x)[0].chunk(2, -1)[backwards]
        expected = out.softmax(-1) if cell == "jordan" else out
        torch.testing.assert_close(gates["state"], expected, **EXACT)
    if cell in ("lstm", "peephole"):
        assert set(gates) == {"input", "forget", "candidate", "output", "cell", "state"}
        torch.testing.assert_close(gates["output"] * gates["cell"].tanh(), gates["state"], **EXACT)


def test_learned_start_learns():
    layer = make("lstm", learn_start=True)
    layer(signal())[0].sum().backward()
    assert all(start.grad.any() for start in layer.start)


def test_forget_bias():
    layer = make("lstm", layers=2, bidirectional=True, forget_bias=2.0)
    gates = layer.trace(torch.zeros(1, 1, 3, dtype=torch.float64))
    ih = layer.fused.bias_ih_l0[4:8]
    assert (ih == 2).all() and not layer.fused.bias_hh_l1_reverse[4:8].any()
    torch.testing.assert_close(gates["forget"], torch.full((1, 1, 4), 1 / (1 + math.exp(-2)), dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Recurrent("lstmm", 2, 2), UnknownName, "did you mean 'lstm'"),
        (lambda: Recurrent("lstm", 0, 2), UsageError, "inputs must be a whole number"),
        (lambda: Recurrent("lstm", 2, 2, bidirectional=True, truncate=3), UsageError, "leave it out"),
        (lambda: Recurrent("gru", 2, 2, forget_bias=1.0), UsageError, "forget_bias is for LSTM"),
        (lambda: Recurrent("lstm", 2, 2)(torch.zeros(1, 0, 2)), UsageError, "at least one step"),
        (lambda: Recurrent("lstm", 2, 2)(torch.zeros(1, 3, 5)), UsageError, r"\(batch, time, 2\)"),
        (lambda: Recurrent("lstm", 2, 2)(torch.zeros(2, 3, 2), torch.tensor([0, 3])), UsageError, "lengths from 1 to 3"),
        (lambda: TappedDelay((0, 0)), UsageError, "different whole numbers"),
        (lambda: RNN(memory="elmann"), UnknownName, "did you mean 'elman'"),
        (lambda: LSTM(cell="rnn"), UnknownName, "cell"),
        (lambda: NARX(output_delays=0), UsageError, "output_delays must be"),
        (lambda: NARX(1).closed_loop(torch.zeros(1, 2, 2), None, 3), UsageError, "expected 3 past steps"),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_delay_line_by_hand():
    x = torch.arange(1.0, 5).view(1, 4, 1)
    assert delayed(x, (0, 2, -1))[0].tolist() == [[1, 0, 2], [2, 0, 3], [3, 1, 4], [4, 2, 0]]


def test_tdnn_is_a_stack_of_dilated_convolutions():
    """Three layers of taps 2 * dilation apart, against nn.Conv1d with the same weights."""
    torch.manual_seed(0)
    dilations, sizes = (1, 2, 3), (5, 6, 6, 6)
    network = TDNN(5, 6, 4, delays=[(-d, 0, d) for d in dilations], normalise=False, activation="relu").double().eval()
    linear = [module for module in network.layers if isinstance(module, nn.Linear)]
    x = signal(2, 11, 5)
    y = x.transpose(1, 2)
    for dilation, size, layer in zip(dilations, sizes, linear, strict=False):
        convolution = nn.Conv1d(size, 6, 3, dilation=dilation, padding=dilation).double()
        with torch.no_grad():
            # Delay -d looks ahead: the first block of columns is the convolution's last tap.
            convolution.weight.copy_(layer.weight.view(6, 3, size).flip(1).transpose(1, 2))
            convolution.bias.copy_(layer.bias)
        y = convolution(y).relu()
    torch.testing.assert_close(network(x), network.output(y.transpose(1, 2)), **EXACT)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("inputs", [0, 2])
def test_narx_open_loop_is_the_closed_loop_fed_with_the_truth(inputs, residual):
    torch.manual_seed(0)
    network = NARX(inputs, 6, input_delays=2, output_delays=4, residual=residual).double()
    series = signal(3, 20, inputs + 1)
    past, ahead = series[:, :8], series[:, 8:]
    fed = network.closed_loop(past, ahead[..., :inputs], 12, fed=ahead[..., -1])
    windows = torch.stack([series[:, t - 4 : t + 1] for t in range(8, 20)], 1)
    windows[..., -1, -1] = math.nan  # it may not look at what it is to say
    opened = network(windows.flatten(0, 1)).view(3, 12)
    torch.testing.assert_close(fed, opened, **EXACT)
    assert not torch.allclose(network.closed_loop(past, ahead[..., :inputs], 12), opened)


def test_jordan_network_remembers_its_output():
    """y_t = V f(W x_t + U y_{t-1}), by hand."""
    torch.manual_seed(0)
    network = RNN(2, 3, 2, memory="jordan", bias=False).double()
    w, u, v = (network.recurrent.get_parameter(name) for name in ("weight_ih_l0", "weight_hh_l0", "weight_ho_l0"))
    x, y, expected = signal(1, 4, 2), torch.zeros(2, dtype=torch.float64), []
    for step in x[0]:
        y = v @ torch.tanh(w @ step + u @ y)
        expected.append(y)
    torch.testing.assert_close(network(x)[0], torch.stack(expected), **EXACT)


@pytest.mark.parametrize("summary", ["mean", "last"])
def test_summaries_look_at_the_steps_that_count(summary):
    torch.manual_seed(0)
    tdnn = TDNN(3, 4, 2, delays=[(-1, 0, 1), (-2, 0, 2), (0,)], summary=summary)
    for network in (LSTM(3, 4, 2, summary=summary), RNN(3, 4, 2, summary=summary), tdnn):
        network = network.double().eval()
        x = signal()
        whole = network((x, LENGTHS))
        alone = torch.cat([network(x[row : row + 1, :length]) for row, length in enumerate(LENGTHS.tolist())])
        torch.testing.assert_close(whole, alone, **EXACT)


@pytest.mark.parametrize("cell", ["peephole", "jordan"])
def test_scans_under_autocast_and_in_float32(cell):
    layer = make(cell).float()
    x = signal().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, _ = layer(x)
        out.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
    torch.testing.assert_close(out.float(), layer(x)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("cell", ["peephole", "jordan"])
def test_double_backward_of_a_scan_is_refused_and_right_by_the_steps(cell):
    layer, x = make(cell), signal(2, 3).requires_grad_()
    with pytest.raises(UsageError, match="explicit"):
        torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    torch.autograd.gradgradcheck(lambda x: layer.explicit(x)[0], x, atol=1e-6)
