"""Models written to a file and read again, and files that are not to be trusted."""

import os

import pytest
import torch
from torch import nn

from coursekit import compress, models
from coursekit.compress.report import add_report

REPORT = compress.Report("prune", (compress.LayerChange("fc", "Linear", 6, 2, 24, 8, "half"),), "by hand")


@pytest.mark.parametrize("name", models.MODELS)
def test_a_model_comes_back_with_its_weights_and_reports(name, tmp_path):
    model = add_report(models.MODELS[name](seed=3), REPORT)
    size = compress.save(model, tmp_path / "model.pt")
    again = compress.load(tmp_path / "model.pt")
    assert size == (tmp_path / "model.pt").stat().st_size
    assert compress.reports(again) == (REPORT,)
    assert str(again) == str(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_a_file_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch /nowhere",)

    torch.save(Evil(), tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"it holds (posix|nt)\.system, which is not a layer"):
        compress.load(tmp_path / "evil.pt")


class Own(nn.Linear):
    """A layer of the test's own."""


def test_own_layers_are_read_once_they_are_allowed(tmp_path):
    compress.save(nn.Sequential(Own(2, 3)), tmp_path / "own.pt")
    with pytest.raises(ValueError, match="Own, which is not a layer"):
        compress.load(tmp_path / "own.pt")
    compress.storable(Own)
    assert isinstance(compress.load(tmp_path / "own.pt")[0], Own)


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_files_are_refused(damage, tmp_path):
    path = tmp_path / "model.pt"
    compress.save(models.mlp(), path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:999], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(ValueError, match="it is damaged"):
        compress.load(path)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"write one with coursekit.compress.save"):
        compress.load(tmp_path / "none.pt")
    with pytest.raises(TypeError, match=r"torch.nn.Module; got dict"):
        compress.save({}, tmp_path / "x.pt")
    torch.save(models.mlp().state_dict(), tmp_path / "state.pt")
    with pytest.raises(ValueError, match="holds a OrderedDict"):
        compress.load(tmp_path / "state.pt")
