"""A task that says what it allows refuses all else, however it is written."""

import pytest

from coursekit.grading.exercise.allowed import find_unlisted

ALLOW = ("numba.njit", "numpy.zeros", "numpy.float32", "math.*", ".max")
GIVEN = """
import math, tracemalloc
import numpy as np
from numba import njit
from coursekit.grading import Check
def given(x): return np.sum(max(x, default=0))
"""
OTHERS = [
    "import numpy as np\nhidden = np.dot",
    "def sound(x): return math.exp(x)",
    "def unsound(x): return sorted(x)",
    "if False:\n    vars = None",
    "x = " + "-" * 5000 + "1",
]

REFUSED = {
    "np.dot(a, a)": "numpy.dot",
    "import numpy\nnumpy.dot": "numpy.dot",
    "from numpy import dot as zeros": "numpy.dot",
    "from numpy import *": "numpy.*",
    "x = np": "numpy",
    "[np][0].dot": ".dot",
    "f = lambda x: x.sum()": ".sum",
    "def f(x):\n    return x @ x": "the operator @",
    "def f(x):\n    x @= x": "the operator @",
    "np.zeros.__self__": "numpy.zeros.__self__",
    "np.linalg.norm([1])": "numpy.linalg.norm",
    "np.zeros = given": "np.zeros anew",
    "math.__loader__": "math.__loader__",
    "import torch": "torch",
    "import numba.core.runtime": "numba.core.runtime",
    "tracemalloc.stop()": "tracemalloc.stop",
    "Check.__init__": "coursekit.grading.Check.__init__",
    "exec('np.dot')": "exec",
    "eval('np.dot')": "eval",
    "getattr(given, 'dot')": "getattr",
    "__import__('torch')": "__import__",
    "globals()['np']": "globals",
    "get_ipython()": "get_ipython",
    "_judge.race = given": ".race",
    "_judge": "_judge",
    "sum([1])": "sum",
    "def f(x):\n    match x:\n        case object(dot=d): return d": ".dot",
    "@njit(parallel=True)\ndef f(): pass": "parallel as an argument",
    "@njit(**{'parallel': True})\ndef f(): pass": "arguments from a dictionary",
    "%timeit 1": ".run_line_magic",
    "later(1)": "later",
    "if False:\n    eval = None\neval('1')": "eval",
    "eval = 1\ndel eval\neval('1')": "eval",
    "f = eval\ndef eval(): pass": "eval",
    "def f(g):\n    return g()\n@f\ndef eval():\n    return eval('1')": "eval",
    "@(lambda g: g())\ndef eval():\n    return eval('1')": "eval",
    "def f(g=eval): pass\neval = 1": "eval",
    "def f():\n    global exec\n    exec = 1\nexec('1')": "exec",
    "class A:\n    if False:\n        exec = 1\n    exec('1')": "exec",
    "try:\n    pass\nexcept ValueError as open:\n    pass\nopen('x')": "open",
    "for get_ipython in []: pass\nget_ipython()": "get_ipython",
    "f = vars": "vars",
    "'{0.data}'.format(given)": ".format",
    "def f():\n    global _judge\n    _judge = 1": "it gives _judge another meaning than the exercise does",
    "__builtins__ = {'min': given}": "it gives __builtins__ another meaning than the exercise does",
    "was = given\ndef given(x): return was(x)": "it gives given another meaning than the exercise does",
    "class tracemalloc: pass": "it gives tracemalloc another meaning than the exercise does",
    "import numpy as np\nfor np in []: pass": "it gives np another meaning than the exercise does",
    "from math import exp as njit": "it gives njit another meaning than the exercise does",
    "def f():\n    global given\n    given = f": "it gives given another meaning than the exercise does",
    "def max(*a, default=None): return 0": "it gives max another meaning than the exercise does",
    "from math import fsum as max": "it gives max another meaning than the exercise does",
    "unsound(1)": "an answer that it calls uses sorted",
    "f = hidden": "an answer that it calls uses numpy.dot",
    "def unused():\n    hidden = 1\nf = hidden": "an answer that it calls uses numpy.dot",
    "def f(x):\n    hidden = 1\ndef g(x):\n    return later": "later",
}
ALLOWED = [
    "import numpy as n, numba as nb\n@nb.njit(fastmath=True)\ndef f(x):\n    return n.zeros(3, n.float32)",
    "def f(x):\n    rows, total = x.reshape(-1, 2).copy(), 0.0\n    for row in rows:\n        total += row.max()",
    "@njit\ndef f(x):\n    if x.size < 1:\n        raise ValueError('none')\n    return math.exp(max(x[0], -math.inf))",
    "class A:\n    def f(self):\n        return [k for k in range(3)]\nA()",
    "from math import inf\nf = [n := 3, inf, *map(float, '12')]",
    "def f(x):\n    def g():\n        return n\n    n = x\n    return g() + h()\n\ndef h(): return 1",
    "def f(x):\n    global seen\n    seen = x\n    return seen",
    "def sorted(x):\n    return x\nsorted([1])",
    "def sum(x):\n    return x[0] + sum(x[1:]) if x else 0\nsum([1])",
    "@njit\ndef sum(x):\n    return x[0]\nsum([1])",
    "sum = 0\nfor n in range(3):\n    sum += n",
    "def f(x):\n    sum = 0\n    for n in x:\n        sum += n\n    return sum",
    "given(sound(1))",
    "'np.dot(a, b)'  # exec",
    "def f(:",
    "",
]


@pytest.mark.parametrize(("source", "named"), REFUSED.items())
def test_what_is_not_listed_is_refused_by_its_name(source, named):
    found = find_unlisted(source, ALLOW, GIVEN, OTHERS)
    assert found and f"{named}, which this task does not allow" in found.replace(" (**)", ""), found


@pytest.mark.parametrize("source", ALLOWED)
def test_what_is_listed_harmless_or_one_s_own_is_not(source):
    assert find_unlisted(source, ALLOW, GIVEN, OTHERS) is None


def test_another_answer_does_not_replace_what_the_exercise_calls_of_python():
    assert find_unlisted("f = 1", ALLOW, GIVEN, ["def max(*x, default): return 0"]).startswith(
        "another answer gives max another meaning"
    )
    assert find_unlisted("def f(max):\n    len = max\n    return len", ALLOW, GIVEN) is None


def test_another_answer_does_not_replace_what_the_exercise_gives():
    other = "import numpy as np\nimport math\ndef given(x): return 0.0"
    assert find_unlisted("f = 1", ALLOW, GIVEN, [other]).startswith(
        "another answer gives given another meaning"
    )
    assert find_unlisted("f = 1", ALLOW, GIVEN, [other.replace("given", "mine")]) is None
    assert find_unlisted("def f(given):\n    return given", ALLOW, GIVEN) is None


def test_says_what_is_allowed_in_its_place():
    assert find_unlisted("np.dot", ALLOW, GIVEN).endswith("; it allows numpy.zeros, numpy.float32")


def test_a_task_that_lists_nothing_allows_everything():
    assert find_unlisted("exec('1')", ()) is None
    assert find_unlisted("@njit(parallel=True)\ndef f(): pass", (*ALLOW, "parallel="), GIVEN) is None


@pytest.mark.parametrize("source", ["x = " + "-" * 5000 + "1", "x = 1" + " + 1" * 20_000])
def test_what_nobody_can_look_through_is_refused(source):
    assert "nested or tangled too deeply" in find_unlisted(source, ALLOW)
    assert find_unlisted("x = 1", ALLOW, "", [source]) is None


def test_a_long_list_is_cut_to_what_is_most_like_it():
    names = ("zeros", "float32", "maximum", "minimum", "max", "argmax", "int8", "where", "unique")
    found = find_unlisted("np.fmax", tuple(f"numpy.{name}" for name in names), GIVEN)
    listed = found.partition("; it allows ")[2]
    assert listed.startswith("numpy.max, ") and listed.endswith(" and 4 more") and listed.count(",") == 4
