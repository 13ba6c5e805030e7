"""Where the course keeps what it measured and trained, and how it writes it."""

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """The folder: $COURSEKIT_HOME, or the user's cache directory. It may not exist yet."""
    if os.environ.get("COURSEKIT_HOME"):
        return Path(os.environ["COURSEKIT_HOME"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("coursekit"))


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write so that a reader finds the old file or the new one, never a part. Raises OSError."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
