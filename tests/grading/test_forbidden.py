"""Forbidden calls are found under other names, and nothing else is."""

import pytest

from coursekit.grading.forbidden import find_forbidden

FORBID = ("numpy.dot", "numpy.linalg", "@", ".sort", "sorted", "torch.matmul")


@pytest.mark.parametrize(
    "source",
    [
        "import numpy\nnumpy.dot(a, b)",
        "import numpy as np\nnp.dot(a, b)",
        "from numpy import dot\ndot(a, b)",
        "from numpy import dot as d\nd(a, b)",
        "import numpy as np\nf = np.dot\nf(a, b)",
        "import numpy as np\nm = np\nm.dot(a, b)",
        "import numpy as np\ngetattr(np, 'dot')(a, b)",
        "__import__('numpy').dot(a, b)",
        "import importlib\nimportlib.import_module('numpy').dot(a, b)",
        "from numpy.linalg import norm",
        "import numpy.linalg as la\nla.norm(a)",
        "import numpy as np\nnp.linalg.norm(a)",
        "c = a @ b",
        "a @= b",
        "x.sort()",
        "list(x).sort()",
        "getattr(x, 'sort')()",
        "sorted(x)",
        "s = sorted\ns(x)",
        "def f(x):\n    return [sorted(y) for y in x]",
        "map(sorted, xs)",
        "dot(a, b)",
    ],
)
def test_found(source):
    context = "from numpy import dot"
    assert "does not allow" in find_forbidden(source, FORBID, context)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.zeros(3)",
        "resorted = 1",
        "sort(x)",
        "'a @ b'",
        "# sorted(x)",
        "a.dot",
        "import numpy",
        "np.dotted(a)",
        "@decorator\ndef f(): pass",
        "def f(:",
        "",
    ],
)
def test_not_found(source):
    assert find_forbidden(source, FORBID) is None


def test_names_the_line():
    assert (
        find_forbidden("a = 1\nb = a @ a", ("@",))
        == "line 2 uses the operator @, which this task does not allow"
    )


def test_a_task_that_forbids_nothing_allows_everything():
    assert find_forbidden("sorted(x)", ()) is None
