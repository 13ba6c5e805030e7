"""Forbidden calls are found under other names, and nothing else is."""

import pytest

from coursekit.grading.exercise.forbidden import find_forbidden

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
        "from numpy import *",
        "vars(numpy)['dot']",
        "(n := numpy).dot(a, b)",
        "import numpy as np\ndef _():\n    np = math\nnp.dot(a, b)",
        "%precision 3\nsorted(x)",
        "!true\nsorted(x)",
        "await x\nsorted(x)",
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
        "def sorted(x):\n    return x\nsorted(y)",
        "s.sort = 3",
        "'how it is sorted'",
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


def test_follows_calls_into_other_answers():
    helper = "def helper(x):\n    return sorted(x)"
    assert "an answer that it calls uses sorted" in find_forbidden("helper(x)", FORBID, "", [helper])
    assert find_forbidden("other(x)", FORBID, "", [helper]) is None


def test_a_long_chain_of_calls_takes_no_time():
    source = "T = 'x'" + ".replace('a', 'b')" * 200
    assert find_forbidden(source, FORBID) is None


def test_what_nobody_can_look_through_is_refused():
    assert "nested or tangled too deeply" in find_forbidden("x = " + "-" * 5000 + "1", FORBID)
    assert "nested or tangled too deeply" in find_forbidden("x = 1" + " + 1" * 20_000, FORBID)
