"""`python -m linmap` is the `linmap` program."""

from __future__ import annotations

import sys

from linmap.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
