"""The pictures of the README exist, are small, and can be made again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
SHOWN = re.findall(r"!\[[^\]]*\]\((docs/[^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_every_picture_of_the_readme_exists_and_every_one_of_the_gallery_is_shown():
    assert all((ROOT / name).is_file() for name in SHOWN)
    made = {f"docs/gallery/{path.name}" for path in (ROOT / "docs" / "gallery").iterdir()}
    assert made and made <= set(SHOWN)


def test_the_gallery_is_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "gallery").iterdir()}
    assert max(sizes.values()) <= 150_000 and sum(sizes.values()) <= 1_500_000, sizes


def test_the_gallery_can_be_made_again(tmp_path):
    command = [sys.executable, str(ROOT / "demos" / "gallery.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    expected = {path.name for path in (ROOT / "docs" / "gallery").iterdir()}
    made = {path.name for path in tmp_path.iterdir()}
    assert made == (expected if "no Chromium" not in done.stdout else expected - {"page.png"})
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5, f"{path.name} is blank"
            assert image.width <= 1200
