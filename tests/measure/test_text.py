import subprocess
import sys

import pytest

from coursekit import measure
from coursekit.measure.text import binary, html_table, seconds, si, significant, text_table


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (1, "1.00"), (12, "12.0"), (1234, "1230"), (0.0123, "0.0123"), (99.96, "100"), (9.996, "10.0"),
     (-0.5, "-0.500"), (float("inf"), "inf"), (float("nan"), "nan")],
)  # fmt: skip
def test_three_significant_digits(value, text):
    assert significant(value) == text


def test_units():
    assert [seconds(s) for s in (2.5, 2.5e-3, 2.5e-6, 2.5e-9, 0)] == [
        "2.50 s",
        "2.50 ms",
        "2.50 µs",
        "2.50 ns",
        "0 ns",
    ]
    assert si(1.2e9, "FLOP/s") == "1.20 GFLOP/s"
    assert si(7, "B") == "7 B"
    assert si(0) == "0"
    assert binary(32 << 10) == "32 KiB"
    assert binary(23.5 * 2**30) == "23.5 GiB"


def test_tables():
    assert text_table(["a", "bb"], [["x", "1"], ["yyy", "200"]]).splitlines() == [
        "a     bb", "---  ---", "x      1", "yyy  200"
    ]  # fmt: skip
    html = html_table(["a"], [["<x>"]], caption="c & d")
    assert "<caption>c &amp; d</caption>" in html
    assert '<th scope="col">a</th>' in html
    assert "&lt;x&gt;" in html


def test_every_public_name_exists_and_importing_the_package_loads_nothing_heavy():
    assert all(getattr(measure, name) is not None for name in measure.__all__)
    program = (
        "import sys, coursekit.measure; sys.exit(any(m in sys.modules for m in ('torch', 'numba', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    with pytest.raises(AttributeError, match="compare"):
        measure.nonsense  # noqa: B018


def test_no_submodule_hides_a_function_of_its_name():
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(measure.__path__):
        importlib.import_module(f"coursekit.measure.{module.name}")
        assert module.name not in measure.__all__
