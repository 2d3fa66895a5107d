"""The frames of a film: two pictures of one layout, of which each step shows the parts that are known by then."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import render as rendering
from .geometry import Drawn, DrawnEdge, Point, Rect, drawn
from .numbers import gradient_text
from .page_svg import places_of
from .tape import Step
from .theme import Theme

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

BAND = 132  # pixels below the picture, for the sentence
PADDING = 24


@dataclass
class _Known:
    """What has been computed up to one step."""

    values: set[str]
    gradients: set[str]
    sums: dict[str, str]  # gradients that lack a share, as text
    forward: set[int]
    backward: set[int]


class Film:
    """Two pictures of one layout, of which every frame is put together: all of it, and faint edges without numbers."""

    def __init__(
        self, source: str, view: Any, steps: list[Step], theme: Theme, size: tuple[int, int], renderer: str
    ) -> None:
        from PIL import Image as images

        self.steps, self.theme, self.size, self.place = steps, theme, size, places_of(view)
        self.edges = view.graph.edges
        self.leaves = {v.id for v in view.graph.vertices if not v.op}
        self.members = {box.id: [v.id for v in box.members] for box in view.boxes}
        self.geometry: Drawn = drawn(
            rendering.run(source, "svg", expect="value", renderer=renderer).decode("utf-8"), view
        )
        pictures = []
        for text in (source, _faint(source, theme)):
            picture = images.open(BytesIO(rendering.run(text, "png", expect="value", renderer=renderer))).convert("RGB")
            pictures.append(picture)
        scale = pictures[0].width / self.geometry.width
        room = (size[0], size[1] - BAND)
        whole = min(room[0] / self.geometry.width, room[1] / self.geometry.height)
        # As large as it was drawn, or smaller if then all of it fits and can still be read.
        self.scale = min(scale, whole) if whole >= 1.0 else min(scale, max(whole, 1.35))
        wide, high = (round(n * self.scale) for n in (self.geometry.width, self.geometry.height))
        self.plain, self.faint = (p.resize((wide, high), images.Resampling.LANCZOS) for p in pictures)
        self.camera = (max(0, wide - room[0]) / 2 if wide > room[0] else 0.0, 0.0)

    def frames(self) -> Iterator[Image]:
        """One image for each step."""
        known = _Known(set(), set(), {}, set(), set())
        for k, step in enumerate(self.steps):
            self._learn(known, k, step)
            yield self._frame(known, k, step)

    def _learn(self, known: _Known, k: int, step: Step) -> None:
        if step.phase == "given":
            known.values |= self.leaves
        elif step.phase == "forward":
            known.values.add(step.vertex)
            known.forward.update(step.edges)
        elif step.phase == "seed":
            known.gradients.add(step.vertex)
        for share in step.shares:
            known.backward.add(share.edge)
            known.sums.pop(share.source, None)
            if share.complete:
                known.gradients.add(share.source)
            elif share.total is not None:
                known.sums[share.source] = gradient_text(share.total) + " ⊕…"

    def _pixels(self, rect: Rect, grow: float = 0.0) -> tuple[int, int, int, int]:
        left, top, right, bottom = (n * self.scale for n in rect)
        return round(left - grow), round(top - grow), round(right + grow), round(bottom + grow)

    def _frame(self, known: _Known, k: int, step: Step) -> Image:
        from PIL import Image as images
        from PIL import ImageDraw

        theme, whole = self.theme, step.phase == "whole"
        picture = (self.plain if whole else self.faint).copy()
        draw = ImageDraw.Draw(picture)
        if not whole:
            mask = images.new("L", picture.size, 0)
            pen = ImageDraw.Draw(mask)
            for edge in self.geometry.edges:
                if any(place in (known.backward if edge.backward else known.forward) for place in edge.places):
                    self._stroke(pen, edge, 255, 9 * self.scale, 8 * self.scale)
            for box in self.geometry.boxes.values():  # an edge may be drawn up to a box, never over it
                pen.rectangle(self._pixels(box.rect), fill=0)
            picture.paste(self.plain, (0, 0), mask)
            self._boxes(picture, draw, known)
        back = step.phase in ("seed", "backward")
        strong = theme.backward if back else theme.forward
        for edge in self.geometry.edges:
            if edge.backward == back and set(edge.places) & set(step.edges):
                self._stroke(draw, edge, strong, 2.6 * self.scale, 0.0)
        groups = []
        for vertex in dict.fromkeys([step.vertex, *(share.source for share in step.shares)]):
            box_id = self.place.get(vertex)
            if box_id is None or box_id not in self.geometry.boxes:
                continue
            rect = self.geometry.boxes[box_id].rect
            groups.append(rect)
            width = round((3.2 if vertex == step.vertex else 1.6) * self.scale)
            draw.rounded_rectangle(self._pixels(rect, 4 * self.scale), 10 * self.scale, None, strong, width)
        self._badges(draw, step)
        return self._composed(picture, groups, k, step)

    def _boxes(self, picture: Image, draw: Any, known: _Known) -> None:
        """Put in the numbers that are known, and fade what has none yet."""
        from PIL import Image as images

        font = _font(round(9 * self.scale))
        value, gradient = self.theme.value.lower(), self.theme.gradient.lower()
        for box_id, box in self.geometry.boxes.items():
            members = self.members.get(box_id, [])
            for cell in box.cells:
                texts = [text.lower() for text in cell.texts]
                area = self._pixels(cell.rect)
                computed = all(m in known.values for m in members)
                arrived = any(m in known.gradients for m in members)
                if (gradient in texts and arrived) or (value in texts and gradient not in texts and computed):
                    picture.paste(self.plain.crop(area), area[:2])
                part = known.sums.get(members[0], "") if len(members) == 1 and gradient in texts else ""
                if part:
                    place = (area[0] + 4 * self.scale, (area[1] + area[3]) / 2)
                    text = _cut(part, font, area[2] - area[0] - 6 * self.scale)
                    draw.text(place, text, self.theme.gradient, font, "lm")
            if not any(m in known.values for m in members):
                area = self._pixels(box.rect, 1)
                faded = picture.crop(area)
                picture.paste(images.blend(faded, images.new("RGB", faded.size, self.theme.background), 0.72), area[:2])

    def _stroke(self, draw: Any, edge: DrawnEdge, fill: Any, width: float, head: float) -> None:
        points = [(x * self.scale, y * self.scale) for x, y in edge.line]
        draw.line(points, fill=fill, width=max(2, round(width)), joint="curve")
        if edge.head:
            tip = [(x * self.scale, y * self.scale) for x, y in edge.head]
            draw.polygon(tip, fill=fill, outline=fill, width=max(2, round(head or width)))

    def _badges(self, draw: Any, step: Step) -> None:
        """What flows, beside the middle of the edge along which it flows."""
        font = _font(round(10 * self.scale))
        taken: list[tuple[float, ...]] = [self._pixels(box.rect) for box in self.geometry.boxes.values()]
        taken += [self._pixels(edge.label) for edge in self.geometry.edges if edge.label is not None]
        for share in step.shares:
            edge = next((e for e in self.geometry.edges if e.backward and share.edge in e.places), None)
            if edge is None or share.value is None:
                continue
            text = ("+ " if share.of > 1 else "") + gradient_text(share.value)
            x, y = _middle(edge.line)
            wide, high = font.getlength(text) + 12, 16 * self.scale
            area = _beside((x * self.scale, y * self.scale), wide, high, taken, 9 * self.scale)
            taken.append(area)
            draw.rounded_rectangle(area, 5 * self.scale, self.theme.paper, self.theme.backward, 2)
            draw.text(((area[0] + area[2]) / 2, (area[1] + area[3]) / 2), text, self.theme.gradient, font, "mm")

    def _composed(self, picture: Image, groups: list[Rect], k: int, step: Step) -> Image:
        """The part of the picture where it happens, and the sentence below."""
        from PIL import Image as images
        from PIL import ImageDraw

        theme, (wide, high) = self.theme, self.size
        room = high - BAND
        self._follow(groups, picture, wide, room)
        frame = images.new("RGB", self.size, theme.background)
        spare_x, spare_y = max(0, wide - picture.width) // 2, max(0, room - picture.height) // 2
        part = picture.crop((round(self.camera[0]), round(self.camera[1]), picture.width, picture.height))
        frame.paste(part.crop((0, 0, min(part.width, wide), min(part.height, room))), (spare_x, spare_y))
        draw = ImageDraw.Draw(frame)
        draw.rectangle((0, room, wide, high), fill=theme.scope_fill)
        draw.line((0, room, wide, room), fill=theme.scope_line, width=2)
        back = step.phase in ("seed", "backward")
        done = k / (len(self.steps) - 1)
        draw.rectangle((0, high - 6, round(done * wide), high), fill=theme.backward if back else theme.parameter.line)
        counter = f"{k} / {len(self.steps) - 1}"
        small, plain = _font(15), _font(20)
        draw.text((wide - PADDING, high - 24), counter, theme.muted, small, "rm")
        sentence = "Forward and back, step by step." if step.phase == "whole" else step.sentence
        detail = step.formula if step.phase == "seed" else step.worked or _formulas(step)
        columns = int((wide - 2 * PADDING) / plain.getlength("n"))
        lines = textwrap.wrap(sentence, columns)[:2]
        for row, line in enumerate(lines):
            draw.text((PADDING, room + 14 + 28 * row), line, theme.text, plain)
        if detail:
            text = _cut(detail, small, wide - 2 * PADDING - 80)
            draw.text((PADDING, high - 26), text, theme.gradient if back else theme.value, small, "lm")
        return frame

    def _follow(self, groups: list[Rect], picture: Image, wide: int, room: int) -> None:
        """Move the window only if what happens lies outside it, or near its edge."""
        x, y = self.camera
        if groups:
            areas = [self._pixels(rect) for rect in groups]
            left, top = min(a[0] for a in areas), min(a[1] for a in areas)
            right, bottom = max(a[2] for a in areas), max(a[3] for a in areas)
            if left < x + 20 or right > x + wide - 20:
                x = (left + right - wide) / 2
            if top < y + 60 or bottom > y + room - 60:
                y = (top + bottom - room) / 2
        x = min(max(0.0, x), max(0.0, picture.width - wide))
        y = min(max(0.0, y), max(0.0, picture.height - room))
        self.camera = (x, y)


def _formulas(step: Step) -> str:
    return "     ".join(f"{share.name}:  {share.worked or share.formula}" for share in step.shares)


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mixed(ink: str, ground: str, part: float) -> tuple[int, int, int]:
    red, green, blue = (round(part * a + (1 - part) * b) for a, b in zip(rgb(ink), rgb(ground), strict=True))
    return red, green, blue


def _faint(source: str, theme: Theme) -> str:
    """The same DOT text, hence the same layout, with edges close to the paper and numbers that cannot be seen."""
    edge = re.compile(r'^\s*("[^"]*"|\w+) -> ("[^"]*"|\w+) \[')
    number = re.compile(f'COLOR="({theme.value}|{theme.gradient})"', re.IGNORECASE)

    def lighter(match: re.Match[str]) -> str:
        return ' color="#{:02X}{:02X}{:02X}"'.format(*mixed(match[1], theme.background, 0.16))

    lines = source.split("\n")
    for k, line in enumerate(lines):
        if edge.match(line):
            lines[k] = re.sub(r'(?<![A-Za-z])color="(#[0-9A-Fa-f]{6})"', lighter, line)
        elif "label=<<TABLE" in line and not line.lstrip().startswith("graph ["):
            lines[k] = number.sub(f'COLOR="{theme.paper}"', line)
    return "\n".join(lines)


def _font(size: int) -> FreeTypeFont:
    """DejaVu Sans, which Matplotlib carries: it has every sign that formulas use."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _cut(text: str, font: FreeTypeFont, room: float) -> str:
    """As much of the text as fits, … where it was cut."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def _middle(line: list[Point]) -> Point:
    """The point half way along a line."""
    lengths = [math.dist(a, b) for a, b in itertools.pairwise(line)]
    left = sum(lengths) / 2
    for (a, b), length in zip(itertools.pairwise(line), lengths, strict=True):
        if length >= left and length > 0:
            t = left / length
            return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t
        left -= length
    return line[len(line) // 2]


def _beside(
    point: Point, wide: float, high: float, taken: list[tuple[float, ...]], gap: float
) -> tuple[float, float, float, float]:
    """An area beside a point that covers least of what is there: right, left, above, below, or on it."""
    x, y = point
    corners = [(x + gap, y - high / 2), (x - gap - wide, y - high / 2), (x - wide / 2, y - gap - high)]
    corners += [(x - wide / 2, y + gap), (x - wide / 2, y - high / 2)]

    def covered(corner: Point) -> float:
        left, top = corner
        across = (max(0.0, min(left + wide, t[2]) - max(left, t[0])) for t in taken)
        down = (max(0.0, min(top + high, t[3]) - max(top, t[1])) for t in taken)
        return sum(a * b for a, b in zip(across, down, strict=True))

    left, top = min(corners, key=covered)
    return left, top, left + wide, top + high
