"""What runs in a kernel before anything of a learner's: limits, the imports that every exercise needs, the kernel.

``python -I -m coursekit.grading.kernels.launch CONNECTION_FILE LIMITS SOCKETS``, the last two as JSON
"""

import json
import os
import sys

from coursekit.grading.kernels.limits import Limits, threads

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(connection_file: str, limits: str, sockets: str) -> None:
    """Become a kernel. `limits` may be 'null': then this process is not bound. `sockets` are the file descriptors
    to listen on, by the number that the connection file gives for a port."""
    os.environ |= dict.fromkeys(ONE_THREAD, "1") | {"NUMBA_NUM_THREADS": str(threads()), "MPLBACKEND": "agg"}
    os.environ["IPYTHONDIR"] = os.path.join(os.getcwd(), ".ipython")
    bounds = json.loads(limits)
    if bounds:
        Limits(**bounds).apply()

    sys.modules["debugpy"] = None  # nobody debugs a submission, and its import takes a tenth of the start
    import numpy  # noqa: F401
    import zmq
    from ipykernel.kernelapp import IPKernelApp

    import coursekit.grading.checks
    import coursekit.grading.judge  # noqa: F401

    inherited = {int(port): descriptor for port, descriptor in json.loads(sockets).items()}

    class App(IPKernelApp):
        """A kernel that keeps every message until it is read: none is dropped where a cell displays a lot.
        It listens on what it was given, as it can make no socket that the grader would see."""

        def init_iopub(self, context):
            context.sndhwm = 0
            super().init_iopub(context)

        def init_heartbeat(self):
            """Nobody listens to it."""

        def _try_bind_socket(self, s, port):
            if port in inherited:
                s.setsockopt(zmq.USE_FD, inherited[port])
            return super()._try_bind_socket(s, port)

    App.launch_instance(["-f", connection_file, "--HistoryManager.enabled=False"])


if __name__ == "__main__":
    main(*sys.argv[1:])
