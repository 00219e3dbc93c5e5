"""Saving a panel: a page that stands alone, or a picture."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secnb.errors import BadInputError, MissingDependencyError
from secnb.view.panels import Panel
from secnb.view.sliders import stand_at

if TYPE_CHECKING:
    from secnb.view.linked import LinkedPanel

SUFFIXES: Final = (".html", ".png", ".svg")


def save_panel(panel: Panel | LinkedPanel, path: str | os.PathLike[str]) -> Path:
    """Return the path of the file written: a page with the live panel, or a picture of it.

    The page holds all that it needs, and loads and sends nothing: it works with the network off, from a
    mail or a share. A picture shows the panel at the threshold where its slider begins; that of a linked
    panel, where it stands. The file is there whole or not at all; one of that name is replaced.

    Parameters
    ----------
    panel : Panel or LinkedPanel
        What ``secnb.panel`` returns.
    path : str or path-like
        Its suffix says what is written: ``.html``, ``.png`` or ``.svg``. The folder has to exist; ``~`` is
        the home.

    Returns
    -------
    pathlib.Path
        The absolute path.

    Raises
    ------
    BadInputError
        It is no panel, or no path; the suffix is another; there is no such folder.
    MissingDependencyError
        vl-convert is not installed.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> save_panel(3, "threshold.html")
    Traceback (most recent call last):
    secnb.errors.BadInputError: save_panel needs a panel, not int.
    <BLANKLINE>
    Hint: secnb.save_panel(secnb.panel(sweep), 'threshold.html')
    """
    shown = panel if isinstance(panel, Panel) else getattr(panel, "panel", None)
    if not isinstance(shown, Panel):
        raise BadInputError(
            f"save_panel needs a panel, not {type(panel).__name__}.",
            hint="secnb.save_panel(secnb.panel(sweep), 'threshold.html')",
        )
    if not isinstance(path, str | os.PathLike):
        raise BadInputError(f"path is {path!r}. Allowed: a str or a Path.")
    target = Path(path).expanduser().absolute()
    if target.suffix.lower() not in SUFFIXES:
        raise BadInputError(
            f"A panel cannot be saved as {target.name!r}. Allowed suffixes: {', '.join(SUFFIXES)}.",
            hint=".html keeps it live; .png and .svg are pictures",
        )
    if not target.parent.is_dir():
        raise BadInputError(
            f"There is no folder {str(target.parent)!r} to save a panel in.", hint="create it first"
        )
    _replace(target, _content(panel, shown, target.suffix.lower()))
    return target


def _content(panel: Panel | LinkedPanel, shown: Panel, suffix: str) -> bytes:
    try:
        from secnb.view.pages import page, picture
    except ImportError as exc:
        raise MissingDependencyError(
            f"save_panel needs {exc.name}, which is not installed.", hint="pip install 'secnb[lab]'"
        ) from exc
    spec = shown.spec
    if not isinstance(panel, Panel):
        stand_at(spec, panel.threshold)
    if suffix == ".html":
        return page(shown.title, spec).encode("utf-8", "backslashreplace")
    return picture(spec, is_vector=suffix == ".svg")


def _replace(target: Path, content: bytes) -> None:
    """Write beside the file and then take its place, so that nobody ever reads a part of it."""
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
