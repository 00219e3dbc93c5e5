"""One detection as a picture with its box, which a notebook shows."""

from __future__ import annotations

import base64
import html
import math
from dataclasses import dataclass
from typing import Final

from secnb.view.marks import TEXT, VERMILLION

_SHOWN_WIDTH: Final = 640
_EMPTY_SIZE: Final = (1920, 1080)


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A detection with its box, and with the image where it was asked for; made by ``site.show``.

    Attributes
    ----------
    title : str
        Detection, camera, label, confidence and time.
    path : str
        The file, as recorded.
    box : tuple of float or None
        Left, top, width and height in pixels; None where it was not recorded in full.
    note : str
        Why there is no image; ``""`` where there is one.
    content : bytes
        The image; empty where there is none.
    """

    title: str
    path: str
    label: str
    box: tuple[float, float, float, float] | None
    note: str = ""
    mime: str = ""
    size: tuple[int, int] = _EMPTY_SIZE
    content: bytes = b""

    def __repr__(self) -> str:
        return f"<Picture: {_plain(self.title)}{f'; {_plain(self.note)}' if self.note else ''}>"

    def _repr_html_(self) -> str:
        width, height = self.extent
        # Sizes on screen do not depend on those of the image.
        unit = width / _SHOWN_WIDTH
        shown = [f'<rect width="{width}" height="{height}" fill="{TEXT}" fill-opacity="0.12"/>']
        if self.content:
            data = base64.b64encode(self.content).decode()
            # The box is in the pixels of the file, which a browser would turn as its EXIF data says.
            shown = [
                f'<image width="{width}" height="{height}" style="image-orientation:none" '
                f'href="data:{self.mime};base64,{data}"/>'
            ]
        shown += self._drawn_box(unit)
        caption = "<br>".join(_escaped(line) for line in (self.title, self.path, self.note) if line)
        return (
            f'<figure style="margin:0;max-width:{_SHOWN_WIDTH}px">'
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{_escaped(self.title)}" '
            f'viewBox="0 0 {width} {height}" style="width:100%;height:auto;display:block">'
            f"{''.join(shown)}</svg>"
            f'<figcaption style="font-size:12px;color:{TEXT};overflow-wrap:anywhere">{caption}</figcaption>'
            "</figure>"
        )

    @property
    def extent(self) -> tuple[int, int]:
        """The size of the image in pixels, or one that the box fits into."""
        width, height = self.size
        if self.content or self.box is None:
            return width, height
        x, y, w, h = self.box
        return max(width, math.ceil(x + w)), max(height, math.ceil(y + h))

    def _drawn_box(self, unit: float) -> list[str]:
        if self.box is None:
            return []
        x, y, w, h = self.box
        # Inside the image, also where the box begins at its upper edge.
        base = y - 4 * unit if y > 20 * unit else y + 15 * unit
        left = x if y > 20 * unit else x + 4 * unit
        return [
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="none" stroke="{VERMILLION}" '
            f'stroke-width="{2 * unit:.3g}"/>',
            f'<text x="{left:g}" y="{base:g}" font-family="sans-serif" font-weight="600" '
            f'font-size="{13 * unit:.3g}" fill="{VERMILLION}" stroke="white" stroke-width="{3 * unit:.3g}" '
            f'paint-order="stroke">{_escaped(self.label)}</text>',
        ]


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(text: str) -> str:
    return html.escape(_plain(text))
