"""The scripts of demos/coursework import each other from their folder; so do their tests."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "demos" / "coursework")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
