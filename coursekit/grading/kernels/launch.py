"""What runs in a kernel before anything of a learner's: limits, the imports that every exercise needs, the kernel.

``python -I -m coursekit.grading.kernels.launch CONNECTION_FILE LIMITS_AS_JSON``
"""

import json
import os
import sys

from coursekit.grading.kernels.limits import Limits, threads

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(connection_file: str, limits: str) -> None:
    """Become a kernel. `limits` may be 'null': then this process is not bound."""
    os.environ |= dict.fromkeys(ONE_THREAD, "1") | {"NUMBA_NUM_THREADS": str(threads()), "MPLBACKEND": "agg"}
    os.environ["IPYTHONDIR"] = os.path.join(os.path.dirname(connection_file), ".ipython")
    bounds = json.loads(limits)
    if bounds:
        Limits(**bounds).apply()

    sys.modules["debugpy"] = None  # nobody debugs a submission, and its import takes a tenth of the start
    import numpy  # noqa: F401
    from ipykernel.kernelapp import IPKernelApp

    import coursekit.grading.checks
    import coursekit.grading.judge  # noqa: F401

    class App(IPKernelApp):
        """A kernel that keeps every message until it is read: none is dropped where a cell displays a lot."""

        def init_iopub(self, context):
            context.sndhwm = 0
            super().init_iopub(context)

    App.launch_instance(["-f", connection_file, "--HistoryManager.enabled=False"])


if __name__ == "__main__":
    main(*sys.argv[1:])
