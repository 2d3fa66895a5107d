"""The figures as notebooks show them.  Imported on first use: it needs Matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A Matplotlib figure that a notebook shows by itself, without pyplot's list of open figures."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
