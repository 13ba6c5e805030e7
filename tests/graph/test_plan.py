"""Memory is shared only by values whose lives do not meet, and a planned program computes what the graph does."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings

from coursekit import graph
from coursekit.graph import OPERATIONS, Program, Spec, gradient, optimise, plan, recompute, trace
from coursekit.graph.graph import is_view
from tests.graph.random_graphs import inputs_of, loss_of, steps, traced


def shown(node):
    """The value whose memory a node's is: (node, number)."""
    number = 0
    while is_view(node):
        number = node.options.get("index", number)
        node = node.inputs[0]
    return node, number


def check(made, found):
    """Go through the nodes as a run does, and look at all values that are alive together.

    Written from the definitions, and not from the planner's own intervals.
    """
    at = {node: i for i, node in enumerate(made.nodes)}
    ends = {}
    for node in made.nodes:
        for read in [node.inputs[0]] if is_view(node) else node.inputs:
            value = shown(node) if is_view(node) else shown(read)
            ends[value] = max(ends.get(value, 0), at[node])
    for node in made.outputs:
        ends[shown(node)] = len(made.nodes)

    def span(value):
        start = found.places[found.rooms[value]]
        return start, start + value[0].results[value[1]].nbytes

    def apart(a, b):
        (a0, a1), (b0, b1) = span(a), span(b)
        return a1 <= b0 or b1 <= a0 or a0 == a1 or b0 == b1

    values = [(n, i) for n in made.nodes if n.computes and not is_view(n) for i in range(len(n.results))]
    assert set(values) == set(found.rooms)
    for value in values:
        assert span(value)[0] >= 0 and span(value)[1] <= found.peak
    most = 0
    for node in made.nodes:
        now = at[node]
        alive = [v for v in values if at[v[0]] <= now <= ends.get(v, at[v[0]])]
        for a, b in combinations(alive, 2):
            if apart(a, b):
                continue
            a, b = sorted((a, b), key=lambda value: at[value[0]])
            # What overlaps is what this node reads last and what it writes in the same place.
            assert b[0] is node and a[0] is not node and ends[a] == now and span(a) == span(b)
            places = [i for i, read in enumerate(node.inputs) if shown(read) == a]
            assert places and all(i in OPERATIONS[node.operation].inplace for i in places)
            assert all(node.inputs[i].result == b[0].results[b[1]] for i in places)
        rooms = {found.rooms[v] for v in alive}
        most = max(most, sum(-(-room.nbytes // 64) * 64 for room in rooms))
    assert found.bound == most <= found.peak <= max(found.unplanned, 0)


@settings(deadline=None, max_examples=60, database=None)
@given(program=steps(most=20))
def test_no_two_live_values_share_memory(program):
    inputs = inputs_of(program)
    for made in (traced(program, inputs), gradient(loss_of(program, inputs), with_value=True)):
        check(made, plan(made))
        lean = recompute(optimise(made), lambda node: True)
        check(lean, plan(lean))


@settings(deadline=None, max_examples=40, database=None)
@given(program=steps(most=20))
def test_programs_compute_what_graphs_do(program):
    inputs = inputs_of(program)
    made = gradient(loss_of(program, inputs), with_value=True)
    ready = Program(made)
    for seed in (0, 1):
        inputs = inputs_of(program, seed)
        ready._memory[:] = 255  # nan wherever nothing is written
        for got, wanted in zip(ready(*inputs), made(*inputs), strict=True):
            np.testing.assert_allclose(got, wanted, 1e-12, 1e-13)


def network(x, w, b, v, c, labels):
    h = graph.max_pool2d(graph.relu(graph.conv2d(x, w, b, padding=1)))
    logits = graph.linear(h.reshape(x.shape[0], -1), v, c)
    wanted = graph.embedding(labels, np.eye(5, dtype=x.dtype))
    return (graph.log_sum_exp(logits) - (logits * wanted).sum(axis=1)).mean()


def transformer(x, w, s, t):
    total, norm = graph.add_layer_norm(x, graph.attention(x, x, x, causal=True), s, t)
    return (graph.bias_gelu(norm @ w, s) + total).mean()


def recurrent(x, w, u, b, d):
    out, h, c = graph.lstm(x, w, u, b, d)
    return (out * out).mean() + (h * graph.softmax(h)).sum() + c.sum()


rng = np.random.default_rng(0)


def arrays(*shapes):
    return [rng.standard_normal(s).astype("float32") for s in shapes]


NETWORKS = {
    "convolution": (network, [*arrays((2, 3, 8, 8), (4, 3, 3, 3), (4,), (5, 64), (5,)), np.array([1, 4])]),
    "attention": (transformer, arrays((2, 7, 12), (12, 12), (12,), (12,))),
    "recurrence": (recurrent, arrays((3, 5, 4), (24, 4), (24, 6), (24,), (24,))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, kernels_elsewhere):
    function, given_ = NETWORKS[name]
    made = gradient(trace(function, *given_), with_value=True)
    lean = optimise(made)
    check(lean, plan(lean))
    ready = Program(lean)
    ready._memory[:] = 255
    for got, wanted in zip(ready(*given_), made(*given_), strict=True):
        np.testing.assert_allclose(got, wanted, 2e-5, 1e-5)
    assert ready.plan.peak < plan(made, reuse=False).peak


X = Spec((64, 64), "float32")


def test_a_chain_works_in_place():
    found = plan(trace(lambda x: graph.tanh(graph.exp(x) + 1) * 2, X))
    assert found.peak == found.bound == 64 * 64 * 4
    assert found.unplanned == 4 * found.peak


def test_two_places_in_turn_where_nothing_works_in_place():
    found = plan(trace(lambda x: x @ x @ x @ x @ x, X))
    assert found.peak == found.bound == 2 * 64 * 64 * 4


def test_an_argument_that_is_read_later_keeps_its_place():
    made = trace(lambda x: graph.exp(h := graph.tanh(x)) + h, X)
    assert plan(made).peak == 2 * 64 * 64 * 4


def test_a_view_keeps_what_it_shows():
    def function(x):
        h = graph.tanh(x)
        flat = h.reshape(4096)
        return graph.exp(x) @ graph.exp(x * 2), flat

    made = trace(function, X)
    check(made, plan(made))


def test_a_repeated_argument_is_not_overwritten():
    made = trace(lambda x, b: graph.exp(b) * x + graph.exp(b).sum(), X, Spec((64,), "float32"))
    check(made, plan(made))


def test_memory_of_their_own():
    made = trace(lambda x: graph.tanh(graph.exp(x) + 1) * 2, X)
    assert plan(made, reuse=False).peak == 4 * 64 * 64 * 4
    x = np.ones(X.shape, "f")
    np.testing.assert_array_equal(Program(made, reuse=False)(x), Program(made)(x))


def test_arrays_may_be_given():
    made = trace(lambda x, y: (x + y * 2, x.sum()), X, X)
    x, y, out = np.ones(X.shape, "f"), np.ones(X.shape, "f"), np.zeros(X.shape, "f")
    ready = Program(made, {made.inputs[0]: x, made.outputs[0]: out})
    assert ready.inputs[0] is x and ready.outputs[0] is out
    ready.inputs[1][...] = y
    ready.run()
    np.testing.assert_array_equal(out, 3)
    x[...] = 5
    ready.run()
    np.testing.assert_array_equal(out, 7)


def test_an_input_may_be_an_output():
    made = trace(lambda x: (x, x.reshape(4096), x + 1), X)
    x = np.arange(4096, dtype="f").reshape(64, 64)
    for got, wanted in zip(Program(made)(x), made(x), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_results_are_the_callers_own():
    ready = Program(trace(lambda x: x + 1, X))
    first = ready(np.zeros(X.shape, "f"))
    ready(np.ones(X.shape, "f"))
    np.testing.assert_array_equal(first, 1)


@pytest.mark.parametrize(
    "key, array, words",
    [
        ("input", np.zeros((64, 63), "f"), r"float32 \(64, 63\)"),
        ("input", np.zeros((64, 64)), "float64"),
        ("input", np.zeros((64, 128), "f")[:, ::2], "contiguous"),
        ("between", np.zeros((64, 64), "f"), "neither an input nor an output"),
    ],
)
def test_misuse(key, array, words):
    made = trace(lambda x: graph.exp(graph.tanh(x)), X)
    node = made.inputs[0] if key == "input" else made.nodes[1]
    with pytest.raises(ValueError, match=words):
        Program(made, {node: array})
    with pytest.raises(ValueError, match="wanted 1 arrays"):
        Program(made)()
