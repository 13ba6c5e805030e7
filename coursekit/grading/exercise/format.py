"""nbformat, without the second and more that one of its imports takes.

nbformat checks with jsonschema, and that builds the grammars of rfc3987_syntax where it is installed, for addresses
that no notebook's schema asks to be checked. It does without where the import fails.
"""

import sys

_WITHOUT = "rfc3987_syntax"

if "jsonschema" in sys.modules or _WITHOUT in sys.modules:
    import nbformat
else:
    sys.modules[_WITHOUT] = None
    try:
        import nbformat
    finally:
        del sys.modules[_WITHOUT]

__all__ = ["nbformat"]
