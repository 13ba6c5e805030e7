"""Kernels that tests make do not stay in the folder of the others."""

import pytest

from coursekit.kernels.cpu import compiler


@pytest.fixture
def kernels_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "cache_folder", lambda: tmp_path)
    return tmp_path
