"""Files that come inside other packages: real data without the network."""

from importlib.util import find_spec
from pathlib import Path


def packaged(package: str, path: str, what: str, distribution: str | None = None) -> Path:
    """The path of a file inside an installed package, which is not imported.

    Parameters
    ----------
    package : str
        Its name as it is imported, such as "skimage".
    path : str
        The file inside it.
    what : str
        What is in the file, for the message.
    distribution : str or None
        Its name as it is installed, where that differs.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed; the message says what to install.
    FileNotFoundError
        If this version of it has no such file.
    """
    distribution = distribution or package
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(
            f"{what} comes with {distribution}, which is not installed: run pip install {distribution}, "
            "or make env in the course's folder",
            name=package,
        )
    found = Path(spec.submodule_search_locations[0]) / path
    if not found.is_file():
        raise FileNotFoundError(
            f"this version of {distribution} has no {path}, where {what} should be: install a newer one"
        )
    return found
