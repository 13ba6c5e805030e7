"""Linear layers without their zeros: the products, what is stored, and states of other sizes."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit import compress, models
from coursekit.compress import SparseLinear, to_sparse
from coursekit.kernels import formats

FORMS = ("csr", "block", "two_four")
EACH = pytest.mark.parametrize("form", FORMS)


def mask(form, shape, share, rng):
    """Where the weight is not zero, in the pattern of the form."""
    R, K = shape
    if form == "block":
        return (rng.random((-(-R // 8), K)) >= share).repeat(8, 0)[:R]
    if form == "two_four":
        fours = rng.random((R, -(-K // 4), 4)).argsort(2) < 2
        return fours.reshape(R, -1)[:, :K] & (rng.random(shape) >= share / 3)
    return rng.random(shape) >= share


def layer(form, R, K, share=0.6, *, bias=True, dtype=torch.float32, seed=0):
    """A linear layer with zeros."""
    rng = np.random.default_rng(seed)
    made = nn.Linear(K, R, bias, dtype=dtype)
    for parameter in made.parameters():
        parameter.data.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
    made.weight.data *= torch.from_numpy(mask(form, (R, K), share, rng))
    return made


def in_float64(tensor):
    return tensor.detach().double().numpy()


def product(dense, x):
    """The layer's result in float64, by NumPy."""
    out = in_float64(x) @ in_float64(dense.weight).T
    return out if dense.bias is None else out + in_float64(dense.bias)


def pruned_mlp(form, share=0.9):
    model = models.mlp().eval()
    for i, part in enumerate((model.fc1, model.fc2)):
        part.weight.data *= torch.from_numpy(mask(form, part.weight.shape, share, np.random.default_rng(i)))
    return model


@EACH
@settings(max_examples=40)
@given(
    sizes=st.tuples(st.integers(1, 27), st.integers(1, 40), st.integers(0, 19)),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_it_computes_what_the_dense_layer_does(form, sizes, share, bias, dtype, seed):
    (R, K, N), rng = sizes, np.random.default_rng(seed)
    dense = layer(form, R, K, share, bias=bias, dtype=dtype, seed=seed)
    x = torch.from_numpy(rng.standard_normal((N, K))).to(dtype)
    sparse = SparseLinear(dense, form)
    got, size = sparse(x), np.abs(in_float64(x)) @ np.abs(in_float64(dense.weight)).T
    assert got.dtype == dtype and got.shape == (N, R) and got.is_contiguous()
    limit = (K + 1) * torch.finfo(dtype).eps * (size + (0 if dense.bias is None else 4))
    assert (np.abs(in_float64(got) - product(dense, x)) <= limit).all()
    again = sparse.dense()
    assert torch.equal(again.weight, dense.weight) and again.weight.dtype == dtype
    assert again.bias is dense.bias is None or torch.equal(again.bias, dense.bias)
    assert torch.equal(sparse.like(again)(x), got)


@EACH
def test_inputs_of_any_layout(form):
    dense = layer(form, 21, 32)
    sparse, x = SparseLinear(dense, form), torch.randn(3, 32, 5)
    for view in (x.transpose(1, 2), x[:, :, 0], x[0, :, 0], x.transpose(1, 2)[::2, 1:], x[:0, :, 0]):
        got = sparse(view)
        assert got.shape == (*view.shape[:-1], 21)
        torch.testing.assert_close(got, dense(view))


@EACH
def test_what_is_stored_is_what_is_not_zero(form):
    dense = layer(form, 40, 64, 0.9)
    sparse, weight = SparseLinear(dense, form), dense.weight.detach().numpy()
    blocks = np.count_nonzero(weight.reshape(5, 8, 64).any(1)) * 8
    assert (
        sparse.kept == {"csr": np.count_nonzero(weight), "block": blocks, "two_four": weight.size // 2}[form]
    )
    names = {"csr": formats.to_csr, "block": formats.to_blocks, "two_four": formats.to_two_four}
    for mine, theirs in zip(sparse.state_dict().values(), names[form](weight), strict=False):
        np.testing.assert_array_equal(mine, theirs)
    assert not list(sparse.parameters())


@EACH
@pytest.mark.parametrize("assign", [False, True])
def test_a_state_of_another_sparsity_is_loaded(form, assign):
    first, second = (SparseLinear(layer(form, 20, 32, share, seed=7), form) for share in (0.2, 0.9))
    x = torch.randn(9, 32)
    before = second(x)
    second.load_state_dict(first.state_dict(), assign=assign)
    assert torch.equal(second(x), first(x)) and not torch.equal(second(x), before)
    model = nn.Sequential(copy.deepcopy(second))
    model.load_state_dict({f"0.{name}": tensor for name, tensor in first.state_dict().items()})
    assert torch.equal(model(x), first(x))


SPOILED = {
    "a column too many": (lambda s: s["columns"].__setitem__(3, 32), "columns must be from 0 to 31; got 32"),
    "a column below 0": (lambda s: s["columns"].__setitem__(0, -1), "columns must be from 0 to 31; got -1"),
    "starts that fall": (lambda s: s["starts"].__setitem__(1, 10**6), "starts must nowhere fall"),
    "fewer columns": (lambda s: s.update(columns=s["columns"][1:]), "values and columns differ in length"),
    "more rows": (lambda s: s.update(starts=s["starts"].repeat(2)), r"starts must have shape \("),
    "whole numbers": (lambda s: s.update(values=s["values"].int()), "values must be torch.float32; got"),
    "a matrix": (lambda s: s.update(columns=s["columns"][None]), r"columns must have shape \(Z\)"),
}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("form", ["csr", "block"])
def test_a_state_that_is_none_is_refused(form, how):
    sparse, (spoil, words) = SparseLinear(layer(form, 24, 32), form), SPOILED[how]
    state, x = {name: t.clone() for name, t in sparse.state_dict().items()}, torch.randn(5, 32)
    before = sparse(x)
    spoil(state)
    with pytest.raises(RuntimeError, match=words):
        sparse.load_state_dict(state)
    assert torch.equal(sparse(x), before)


def test_two_four_wants_its_shape():
    small, large = (SparseLinear(layer("two_four", 8, K), "two_four") for K in (16, 32))
    with pytest.raises(RuntimeError, match=r"values must have shape \(8, 8\); got \(8, 16\)"):
        small.load_state_dict(large.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"values\""):
        small.load_state_dict({"positions": small.positions, "bias": small.bias})


@pytest.mark.parametrize("form", ["csr", "block"])
def test_a_pattern_spoiled_in_place_is_found_before_memory_is_read(form):
    sparse = SparseLinear(layer(form, 24, 32), form)
    x = torch.randn(5, 32)
    sparse(x)
    sparse.columns[2] = 2**30
    with pytest.raises(ValueError, match="columns must be from 0 to 31; got 1073741824"):
        sparse(x)


@EACH
def test_a_model_is_copied_stored_and_turned_to_float64(form, tmp_path):
    model = pruned_mlp(form)
    sparse, x = to_sparse(model, form), torch.rand(4, 1, 28, 28)
    got = sparse(x)
    torch.testing.assert_close(got, model(x).detach())
    compress.save(sparse, tmp_path / "sparse.pt")
    again = compress.load(tmp_path / "sparse.pt")
    assert torch.equal(again(x), got) and torch.equal(copy.deepcopy(sparse)(x), got)
    assert compress.reports(again) == compress.reports(sparse)
    double = copy.deepcopy(sparse).double()
    assert double.fc1.columns.dtype == torch.int32 if form != "two_four" else double.fc1.positions.dtype
    torch.testing.assert_close(double(x.double()), copy.deepcopy(model).double()(x.double()).detach())
    assert torch.equal(double.float()(x), got)
    assert (tmp_path / "sparse.pt").stat().st_size < {"two_four": 0.6}.get(form, 0.3) * 4 * 101_770


@EACH
def test_gradients_go_through_and_weights_stay(form):
    dense = layer(form, 20, 32)
    sparse, x = SparseLinear(dense, form), torch.randn(3, 5, 32, requires_grad=True)
    (mine,), (theirs,) = (torch.autograd.grad(f(x).square().sum(), [x]) for f in (sparse, dense))
    torch.testing.assert_close(mine, theirs)
    with torch.no_grad():
        torch.testing.assert_close(sparse(x), dense(x))


def test_layers_with_few_zeros_and_convolutions_are_left():
    model = models.cnn()
    model.fc.weight.data[:, ::2] = 0
    kept = to_sparse(model, "csr", threshold=0.5)
    assert [type(layer).__name__ for layer in (kept.conv1, kept.conv2, kept.fc)] == [
        "Conv2d",
        "Conv2d",
        "SparseLinear",
    ]
    assert "unfolding" in compress.report(kept).layers[0].note
    mlp = pruned_mlp("block")
    mlp.fc2.weight.data.fill_(1)
    blocks = to_sparse(mlp, "block")
    assert isinstance(blocks.fc2, nn.Linear) and isinstance(blocks.fc1, SparseLinear)
    row = compress.report(blocks).layers[1]
    assert row.note == "left: 0% of its blocks are zero, wanted 30%" and row.bytes_before == row.bytes_after
    assert isinstance(to_sparse(mlp, "block", layers=["fc2"]).fc2, SparseLinear)
    assert isinstance(to_sparse(mlp, "block", layers=["fc2"]).fc1, nn.Linear)
    assert isinstance(mlp.fc1, nn.Linear)


def test_one_form_becomes_another():
    model, x = pruned_mlp("block"), torch.rand(3, 1, 28, 28)
    twice = to_sparse(to_sparse(model, "csr"), "block")
    assert twice.fc1.form == "block" and len(compress.reports(twice)) == 2
    assert torch.equal(twice.fc1.dense().weight, model.fc1.weight)
    torch.testing.assert_close(twice(x), model(x).detach())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"form": "coo"}, "form must be one of 'csr', 'block', 'two_four'; got 'coo'"),
        ({"threshold": 1.5}, "threshold must be a share from 0 to 1; got 1.5"),
        ({"threshold": float("nan")}, "threshold must be a share from 0 to 1; got nan"),
        ({"layers": ["fc9"]}, "no layer 'fc9'"),
        ({}, r"no linear layer leaves out 70% of its weights, the most is 0\.\d%; prune"),
        ({"form": "block"}, "no linear layer leaves out 30% of its blocks, the most is 0"),
        ({"form": "two_four"}, "layer 'fc1': its zeros are not 2:4, some four .* have 4 weights"),
        ({"form": "two_four", "layers": ["fc2"]}, "layer 'fc2': its zeros are not 2:4"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        to_sparse(models.mlp(), **arguments)


def test_wrong_models_and_inputs_are_named():
    with pytest.raises(ValueError, match="conv1 is Conv2d; only linear layers become sparse"):
        to_sparse(models.cnn(), layers=["conv1"])
    with pytest.raises(TypeError, match=r"torch.nn.Module; got list"):
        to_sparse([])
    with pytest.raises(TypeError, match=r"torch.nn.Linear; got Conv2d"):
        SparseLinear(nn.Conv2d(1, 1, 1))
    bad = models.mlp()
    bad.fc1.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"fc1.weight holds NaN"):
        to_sparse(bad)
    sparse = SparseLinear(layer("csr", 8, 16))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 16\).*got \(3, 15\)"):
        sparse(torch.ones(3, 15))
    with pytest.raises(TypeError, match=r"x must be torch.float32 on the CPU.*got torch.float64"):
        sparse(torch.ones(3, 16).double())
    for moved in (copy.deepcopy(sparse).half(), copy.deepcopy(sparse).to("meta")):
        with pytest.raises(
            TypeError, match=r"computes on the CPU in float32 or float64; its values are torch.float"
        ):
            moved(torch.ones(3, 16, dtype=moved.values.dtype))
