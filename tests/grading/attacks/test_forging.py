"""Marks that are not earned: whatever a wrong answer does to the kernel it runs in, it stays wrong.

An answer that spoils what all cells of its kernel use (``builtins.exec``, say) costs its own learner the later
tasks, too; so most of these take care to hit one task only, and the others have to keep their marks.
"""

import pytest

from tests.grading.attacks.attack import ALL, HONEST, WRONG, Attack, answer_cell

IN_KERNEL = {
    "an input transformer drops the cells of its task": Attack(
        "get_ipython().input_transformers_cleanup.append(\n"
        "    lambda lines: ['pass\\n'] if 'double' in ''.join(lines) else lines)\n" + WRONG,
        says="no value came",
    ),
    "an input transformer drops every later cell": Attack(
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\n" + WRONG,
        points=(0, 0, 0),
        says="no value came",
    ),
    "an AST transformer turns each 3 into 2": Attack(
        """
        import ast
        class Two(ast.NodeTransformer):
            def visit_Constant(self, node):
                return ast.copy_location(ast.Constant(3), node) if node.value == 2 else node
        get_ipython().ast_transformers.append(Two())
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got .*, wanted",
    ),
    "asserts of NumPy patched": Attack(
        """
        import numpy.testing
        for place, name in ((np, "isclose"), (np, "allclose"), (np, "array_equal"), (np.testing, "assert_allclose")):
            setattr(place, name, lambda *args, **kwargs: np.True_)
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got .*, wanted",
    ),
    "the comparison patched": Attack(
        """
        import coursekit.grading.checks, coursekit.grading.compare
        coursekit.grading.compare.difference = lambda *args, **kwargs: None
        coursekit.grading.checks.difference = lambda *args, **kwargs: None
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got .*, wanted",
        shows="^double: right",
        quick=True,
    ),
    "the visible check says right": Attack(
        """
        Check.__repr__ = lambda self: "right, 2 of 2 cases"
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got .*, wanted",
        shows="right, 2 of 2 cases",
    ),
    "the display of values replaced": Attack(
        """
        publish, left = get_ipython().display_pub.publish, [2]
        def lie(data, *args, **kwargs):
            for kind, value in data.items():
                if "coursekit" in kind and left[0]:
                    left[0] -= 1
                    data[kind] = {"case": value["case"], "value": {"kind": "bool", "value": True}}
            return publish(data, *args, **kwargs)
        get_ipython().display_pub.publish = lie
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got True, wanted an array",
    ),
    "the display of values swallowed": Attack(
        """
        publish, left = get_ipython().display_pub.publish, [2]
        def lie(data, *args, **kwargs):
            if any("coursekit" in kind for kind in data) and left[0]:
                left[0] -= 1
                return
            return publish(data, *args, **kwargs)
        get_ipython().display_pub.publish = lie
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="no value came",
    ),
    "clocks patched": Attack(
        """
        import time
        for name in ("time", "perf_counter", "monotonic", "process_time"):
            setattr(time, name, lambda: 0.0)
        time.sleep = lambda seconds: None
        def double(x):
            return 3 * np.asarray(x)
        """,
    ),
    "random numbers patched to be zero": Attack(
        """
        import zlib
        real = np.random.default_rng
        class Zeros:
            def __getattr__(self, name):
                return lambda *args, size=None, **kwargs: np.zeros(size)
        def default_rng(seed=None):
            return Zeros() if seed[-1:] == [zlib.crc32(b"double")] else real(seed)
        np.random.default_rng = default_rng
        def double(x):
            return 0 * np.asarray(x)
        """,
        says=r"drawn: at \[0\]: got 0, wanted",
    ),
    "the judge replaced by one that emits True": Attack(
        """
        import coursekit.grading.judge as j
        real = j.judge
        def judge(task):
            emit, rng = real(task)
            return ((lambda case, *args, **kwargs: emit(case, True)) if task == "double" else emit), rng
        j.judge = judge
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="got True, wanted",
    ),
    "what encodes values replaced": Attack(
        """
        import coursekit.grading.judge as j
        real, left = j.encode, [2]
        def encode(value, *args, **kwargs):
            left[0] -= isinstance(value, np.ndarray)
            lie = {"kind": "raised", "type": "Exception", "types": ["right"]}
            return lie if isinstance(value, np.ndarray) and left[0] >= 0 else real(value, *args, **kwargs)
        j.encode = encode
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="raised Exception, wanted",
    ),
    "the judge's module replaced": Attack(
        """
        import sys, types
        real = sys.modules["coursekit.grading.judge"]
        def run_apart(source, names):
            if 'judge("double")' in source:
                source = source.replace("emit(", "print(")
            real.SEED, real.FORBID = fake.SEED, fake.FORBID
            real.run_apart(source, names)
        fake = types.ModuleType("coursekit.grading.judge")
        fake.__dict__.update(real.__dict__, run_apart=run_apart)
        sys.modules["coursekit.grading.judge"] = fake
        import coursekit.grading
        coursekit.grading.judge = fake
        def double(x):
            return 3 * np.asarray(x)
        """,
        says="no value came",
    ),
    "exec patched to run nothing": Attack(
        "import builtins\nbuiltins.exec = lambda *args: None\n" + WRONG,
        points=(0, 0, 0),
        says="no value came",
    ),
    "frames and the garbage collector searched for expected values": Attack(
        """
        import gc, sys
        def double(x):
            x = np.asarray(x)
            seen = [v for frame in frames() for v in frame.f_locals.values()] + gc.get_objects()
            for found in seen:
                for value in found.values() if isinstance(found, dict) else (found,):
                    if isinstance(value, np.ndarray) and value.shape == x.shape and not np.may_share_memory(value, x):
                        if value.dtype == float and not np.array_equal(value, x):
                            return value
            return x
        def frames():
            frame = sys._getframe(2)
            while frame is not None:
                yield frame
                frame = frame.f_back
        """,
        says="got .*, wanted",
    ),
    "the judge cell read from a frame and hard-wired": Attack(
        """
        import sys
        def double(x):
            frame = sys._getframe()
            while frame is not None and "source" not in frame.f_locals:
                frame = frame.f_back
            source = frame.f_locals["source"] if frame else ""
            print("read", "emit(" in source)
            return np.array([1.0, 2.0, 3.0, 4.0, 5.0]) if "size=5" in source else np.asarray(x)
        """,
        says="got 1, wanted",
    ),
    "a trace function that changes what is emitted": Attack(
        """
        import ctypes, sys
        def trace(frame, event, arg):
            mine = frame.f_code.co_name == "emit" and frame.f_locals["function"] is double
            if mine and "data" in frame.f_locals:
                frame.f_locals["data"] = {"kind": "bool", "value": True}
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
            return trace
        def double(x):
            sys.settrace(trace)
            sys._getframe(1).f_trace = trace
            return 3 * np.asarray(x)
        """,
        says="got .*, wanted",
    ),
    "the kernel's session replaced": Attack(
        """
        from jupyter_client.session import Session
        get_ipython().kernel.session = Session(key=b"mine")
        get_ipython().display_pub.session = get_ipython().kernel.session
        def double(x):
            return 2 * np.asarray(x)
        """,
        status="timeout|garbled",
        says="stopped",
    ),
    "the kernel's signature broken": Attack(
        "def double(x):\n    get_ipython().kernel.session.key = b'mine'\n    return 2 * np.asarray(x)",
        status="garbled",
        says="broke the connection",
        quick=True,
    ),
    "idle messages for the cells to come": Attack(
        """
        import threading, time
        kernel = get_ipython().kernel
        mine = kernel.get_parent()["header"]
        def forge():
            for _ in range(300):
                head, _, count = mine["msg_id"].rpartition("_")
                for later in range(1, 12):
                    number = int(count) + later if count.isdigit() else later
                    parent = {"header": mine | {"msg_id": f"{head}_{number}"}}
                    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
                    kernel.session.send(kernel.iopub_socket, "execute_reply", {"status": "ok"}, parent=parent)
                time.sleep(0.005)
        threading.Thread(target=forge, daemon=True).start()
        def double(x):
            return 2 * np.asarray(x)
        """,
        answers={
            "total": "import time\ntime.sleep(0.3)\ndef total(x):\n    s = 0.0\n    for v in x: s += v\n    return s"
        },
        points=ALL,
        status="right",
    ),
    "an idle message before the values": Attack(
        """
        import coursekit.grading.judge as j
        real = j.run_apart
        def run_apart(source, names):
            if 'judge("double")' in source:
                kernel = get_ipython().kernel
                kernel.session.send(
                    kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=kernel.get_parent())
            real(source, names)
        j.run_apart = run_apart
        def double(x):
            return 2 * np.asarray(x)
        """,
        says="no value came",
    ),
    "values of no form at all": Attack(
        """
        import coursekit.grading.judge as j
        from IPython.display import display
        real = j.run_apart
        forms = [None, 1, [], {"kind": "pickle"}, {"kind": ["array"]}, {"kind": "array", "shape": [-1]},
                 {"kind": "array", "dtype": "float64", "shape": [10**9] * 9, "data": ""},
                 {"kind": "array", "dtype": "object", "shape": [1], "data": "AAAAAAAAAAA="},
                 {"kind": "array", "dtype": "float64", "shape": [1], "data": "not base64"},
                 {"kind": "integer", "value": "__import__('os')"}, {"kind": "dict", "items": [[1]]}]
        deep = {"kind": "none"}
        for _ in range(200):
            deep = {"kind": "list", "items": [deep]}
        def run_apart(source, names):
            real(source, names)
            if 'judge("double")' in source:
                for form in [*forms, deep]:
                    display({j.MIME: {"case": "drawn", "value": form}}, raw=True)
                    display({j.MIME: form}, raw=True)
        j.run_apart = run_apart
        def double(x):
            return 2 * np.asarray(x)
        """,
        says="what came is no value",
    ),
    "right values first, wrong ones after them": Attack(
        """
        import coursekit.grading.judge as j
        real = j.run_apart
        def run_apart(source, names):
            real(source, names)
            if 'judge("double")' in source:
                real(source, names | {"double": lambda x: 7.0})
        j.run_apart = run_apart
        def double(x):
            return 2 * np.asarray(x)
        """,
        says=r"got shape \(\), wanted",
    ),
    "wrong values first, right ones after them": Attack(
        """
        import coursekit.grading.judge as j
        real = j.run_apart
        def run_apart(source, names):
            if 'judge("double")' in source:
                real(source, names | {"double": lambda x: 7.0})
            real(source, names)
        j.run_apart = run_apart
        def double(x):
            return 2 * np.asarray(x)
        """,
        points=ALL,
        status="right",
    ),
    "cases under other names": Attack(
        """
        import coursekit.grading.judge as j
        real = j.run_apart
        def run_apart(source, names):
            real(source.replace('"drawn", double', '"Drawn", double'), names)
        j.run_apart = run_apart
        def double(x):
            return 2 * np.asarray(x)
        """,
        says="drawn: no value came",
    ),
}

OBJECTS = {
    "an object equal to everything": Attack(
        """
        class Liar:
            __eq__ = __ne__ = __le__ = __ge__ = lambda self, other: True
            __hash__ = None
        def double(x):
            return Liar()
        """,
        says="an object of type Liar",
        quick=True,
    ),
    "an array equal to everything": Attack(
        """
        class Liar(np.ndarray):
            __eq__ = __ne__ = lambda self, other: np.True_
            def __array_ufunc__(self, *args, **kwargs): return np.True_
            def __array_function__(self, *args, **kwargs): return np.True_
        def double(x):
            return (3 * np.asarray(x)).view(Liar)
        """,
        says="got .*, wanted",
    ),
    "an __array__ that differs each time": Attack(
        """
        class Liar:
            def __array__(self, *args, **kwargs):
                return np.random.normal(size=5)
            def __len__(self): return 5
        def double(x):
            return Liar()
        """,
        says="got .*, wanted",
    ),
    "a list that lies about its length": Attack(
        """
        class Liar(list):
            __len__ = lambda self: 5
            __iter__ = lambda self: iter([1.0] * 5)
            __eq__ = lambda self, other: True
        def double(x):
            return Liar()
        """,
        says="got 1, wanted|drawn: ",
    ),
    "a float equal to everything": Attack(
        """
        class Liar(float):
            __eq__ = lambda self, other: True
            __sub__ = __rsub__ = __abs__ = lambda self, *other: 0.0
            __le__ = __lt__ = lambda self, other: True
        def double(x):
            return [Liar(1) for _ in x]
        """,
        says="got 1, wanted",
    ),
    "an int equal to everything": Attack(
        """
        class Liar(int):
            __eq__ = lambda self, other: True
            __index__ = __int__ = lambda self: 10**30
        def double(x):
            return [Liar(1) for _ in x]
        """,
        says="drawn: ",
    ),
    "an object that claims another class": Attack(
        """
        class Liar:
            __class__ = property(lambda self: bool)
            __bool__ = lambda self: True
        def double(x):
            return Liar()
        """,
        says="got True, wanted",
    ),
    "an object that pickles into a call": Attack(
        """
        class Liar:
            def __reduce__(self):
                import os
                return os.system, ("touch /tmp/unpickled",)
        def double(x):
            return Liar()
        """,
        says="an object of type Liar",
    ),
    "not a number, which equals nothing": Attack(
        "def double(x):\n    return np.full(len(x), np.nan)", says="got nan, wanted"
    ),
    "infinities": Attack("def double(x):\n    return np.full(len(x), np.inf)", says="got inf, wanted"),
    "truth values": Attack("def double(x):\n    return np.ones(len(x), bool)", says="truth values"),
    "an exception of every type": Attack(
        """
        import builtins
        class All(ValueError, KeyError, TypeError, ZeroDivisionError, AssertionError):
            pass
        def double(x):
            raise All("right")
        """,
        says=r"raised All \('right'\), wanted",
    ),
    "a type with an endless name": Attack(
        "def double(x):\n    return type('x' * 100_000, (), {})()", says="an object of type x{20,100}, wanted"
    ),
    "an exception with an endless name": Attack(
        "def double(x):\n    raise type('x' * 100_000, (Exception,), {})()",
        says="raised x{100}, wanted an array",
    ),
}


def _everywhere(**own):
    """Set this coursekit metadata in every code cell."""

    def change(notebook):
        for cell in notebook["cells"]:
            cell["metadata"].setdefault("coursekit", {}).update(own)

    return change


def _tagged(notebook):
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = ["raises-exception", "nbval-skip", "nbval-ignore-output", "skip-execution"]


def _own_kernel(notebook):
    notebook["metadata"]["kernelspec"] = {"name": "bash", "language": "bash", "display_name": "mine"}
    notebook["metadata"]["language_info"] = {"name": "bash"}


def _faked_outputs(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            value = {"case": "drawn", "value": {"kind": "bool", "value": True}}
            data = {
                "application/vnd.coursekit.value+json": value,
                "text/plain": "double: right, 2 of 2 cases",
            }
            cell["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
            cell["execution_count"] = 1


def _duplicated(notebook):
    cell = answer_cell(notebook)
    notebook["cells"].append(cell | {"source": HONEST})
    notebook["cells"].append(cell | {"source": "def double(x):\n    return x"})


def _own_judge(notebook):
    source = "from coursekit.grading.judge import judge\nemit, rng = judge('double')\nemit('drawn', 1)"
    for role in ("judge", "race", "check", "answer"):
        own = {"coursekit": {"role": role, "task": "double", "points": 100}}
        notebook["cells"].append(
            {"cell_type": "code", "id": f"{role}-double", "metadata": own, "source": source}
        )


def _renamed(notebook):
    for cell in notebook["cells"]:
        if cell["id"].startswith("answer-"):
            cell["metadata"]["coursekit"]["task"] = "mean"


NOTEBOOK = {
    "tags that hide errors": Attack(WRONG, change=_tagged),
    "comments that nbval obeys": Attack("# NBVAL_SKIP\n# NBVAL_RAISES_EXCEPTION\n" + WRONG),
    "a kernel of its own": Attack(WRONG, change=_own_kernel),
    "points, rules and time of its own": Attack(
        WRONG,
        change=_everywhere(points=100, forbid=[], needs=[], rtol=1e9, atol=1e9, timeout=1e9),
        quick=True,
    ),
    "all cells called answers of one task": Attack(WRONG, change=_everywhere(role="answer", task="total")),
    "all cells called given": Attack(WRONG, change=_everywhere(role="given", task=None)),
    "outputs that were faked": Attack(WRONG, change=_faked_outputs),
    "its answer cell three times": Attack(WRONG, change=_duplicated),
    "a judge cell of its own": Attack(WRONG, change=_own_judge),
    "task names changed": Attack(WRONG, change=_renamed),
}

FORBIDDEN = {
    "a forbidden name put together": Attack(
        "def total(x):\n    return getattr(np, 'su' + 'm')(x)",
        task="total",
        points=(1, 0, 3),
        status="refused",
    ),
    "a forbidden call in another answer": Attack(
        answers={
            "double": HONEST + "\ndef helper(x):\n    return np.sum(x)",
            "total": "def total(x):\n    return helper(x)",
        },
        task="total",
        points=(1, 0, 0),
        status="refused",
        says="an answer that it calls uses numpy.sum",
    ),
    "a forbidden function itself as the answer": Attack(
        "total = getattr(np, 'su' + 'm')",
        task="total",
        points=(1, 0, 3),
        status="refused",
    ),
    "an answer defined in another answer's cell": Attack(
        answers={"double": HONEST + "\ntotal = lambda x: np.sum(x)", "total": "nothing = 1"},
        task="total",
        points=(1, 0, 3),
        status="refused",
    ),
    "a forbidden call in a thread": Attack(
        """
        import threading
        def total(x):
            out = []
            thread = threading.Thread(target=lambda: out.append(eval("su" + "m")(x)))
            thread.start()
            thread.join()
            return float(out[0])
        """,
        task="total",
        points=(1, 0, 3),
        status="refused",
    ),
    "an object whose call is the forbidden function": Attack(
        "class Total:\n    __call__ = staticmethod(eval('su' + 'm'))\ntotal = Total()",
        task="total",
        points=(1, 0, 3),
        status="refused",
    ),
    "a value too deep in the place of an exception": Attack(
        """
        def mean(x):
            deep = []
            for _ in range(20):
                deep = [deep]
            return total(x) / len(x) if len(x) else deep
        """,
        task="mean",
        points=(1, 2, 0),
        says="nested more than 8 deep",
    ),
    "the watch switched off": Attack(
        "import sys\ndef total(x):\n    sys.setprofile(None)\n    return float(eval('su' + 'm')(x))",
        task="total",
        points=(1, 0, 3),
        open="not defended: a forbidden call hidden from the watch, see docs/grading.md",
    ),
    "code under the judge's file name": Attack(
        "exec(compile('def total(x):\\n    return float(eval(\"su\" + \"m\")(x))', '<judge>', 'exec'))",
        task="total",
        points=(1, 0, 3),
        open="not defended: a forbidden call hidden from the watch, see docs/grading.md",
    ),
    "an answer swapped by another answer's cell": Attack(
        answers={
            "double": HONEST
            + """
import coursekit.grading.judge as j
real = j.run_apart
def run_apart(source, names):
    real(source, names | {"total": getattr(np, "su" + "m")} if "total" in names else names)
j.run_apart = run_apart
""",
            "total": "def total(x):\n    return 0.0",
        },
        task="total",
        points=(1, 0, 0),
        open="not defended: a forbidden call hidden from the watch, see docs/grading.md",
    ),
}

ATTACKS = IN_KERNEL | OBJECTS | NOTEBOOK | FORBIDDEN


def test_marks_are_earned(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_neighbours_keep_their_marks(neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2
