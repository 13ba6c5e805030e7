"""Make the course's .venv, or find that it stands: called by the Makefile, needs nothing but Python.

Each way this can fail ends in one sentence that says what to do. The file is written in old syntax
on purpose, so that an old Python lives long enough to say that it is too old.
"""

import hashlib
import os
import shutil
import subprocess
import sys

WANTED = (3, 11)
SPACE_GB = 4.0  # .venv measured 1.9 GB with the CPU build of torch, plus what pip unpacks on the way
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".coursekit-installed")


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def stop(text):
    sys.stderr.write("coursekit: " + text + "\n")
    sys.exit(1)


def fingerprint():
    """What the environment depends on: the dependency list and the Python that made it."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        text = file.read()
    return hashlib.sha256(text + sys.version.encode()).hexdigest()


def is_ready():
    if not os.path.exists(STAMP):
        return False
    with open(STAMP) as file:
        return file.read() == fingerprint()


def check_python():
    if sys.version_info[:2] < WANTED:
        stop(
            "Python %d.%d or newer is needed, and %s is %s; install one, or name it: make PYTHON=python3.11"
            % (WANTED[0], WANTED[1], sys.executable, ".".join(map(str, sys.version_info[:3])))
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "%s has no venv module; install it (Debian and Ubuntu: sudo apt install python3-venv) "
            "and call make again" % sys.executable
        )


def check_space():
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < SPACE_GB:
        stop("%.0f GB of free space are needed in %s, and %.1f GB are left" % (SPACE_GB, ROOT, free))


def run(command, failure):
    try:
        status = subprocess.call(command, cwd=ROOT)
    except KeyboardInterrupt:
        stop("interrupted; call make again to go on")
    if status != 0:
        stop(failure)


def main():
    check_python()
    if is_ready():
        return
    check_space()
    python = os.path.join(VENV, "bin", "python")
    if subprocess.call([python, "-c", ""], stderr=subprocess.DEVNULL) if os.path.exists(python) else True:
        say("[1/3] making .venv with Python %s" % sys.version.split()[0])
        run([sys.executable, "-m", "venv", "--clear", VENV], "the venv could not be made in %s" % VENV)
    offline = (
        "pip could not install it (its own words are above); is the network there? Call make again to go on"
    )
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    index = os.environ.get("TORCH_INDEX")
    say("[2/3] installing torch%s (the longest step)" % (" from TORCH_INDEX" if index else ""))
    run(pip + (["--index-url", index] if index else []) + [torch_spec()], offline)
    say("[3/3] installing coursekit and what it needs")
    run(pip + ["--editable", ".[dev,cluster,data]"], offline)
    quiet_news()
    with open(STAMP, "w") as file:
        file.write(fingerprint())
    say("The environment is ready in .venv")


def quiet_news():
    """Keep JupyterLab from asking each new learner whether it may fetch news over the network."""
    folder = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    if not os.path.isdir(folder):
        os.makedirs(folder)
    with open(os.path.join(folder, "overrides.json"), "w") as file:
        file.write('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')


def torch_spec():
    """The torch line of pyproject.toml, which stays the one place for it."""
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        for line in file:
            if line.strip().startswith('"torch=='):
                return line.strip().strip('",')
    stop("pyproject.toml names no torch")


if __name__ == "__main__":
    main()
