"""What a widget leaves in a notebook for when its kernel is gone: words that say what to do.

Of a widget without its kernel, JupyterLab says "model not found" and takes no other form of that output
instead. So the words are an output of their own below it. The page hides them while the widget lives, and
else hides JupyterLab's message.
"""

from __future__ import annotations

import html
from typing import Final

from anywidget import AnyWidget
from IPython.display import display

_CHILD: Final = ".jp-OutputArea-child"
_LIVE: Final = ":has(> .jp-OutputArea-output > .lm-Widget)"
_DEAD: Final = ":has(> .jp-OutputArea-output.jupyter-widgets)"
# In a notebook that is not trusted, JupyterLab takes the style away, and shows the widget's own text.
_STYLE: Final = (
    f"<style>{_CHILD}{_LIVE} + {_CHILD}:has(.secnb-remains), "
    f"{_CHILD}{_DEAD}:has(+ {_CHILD} .secnb-remains) {{ display: none; }}</style>"
)


def show_with_remains(widget: AnyWidget, *, text: str, words: str) -> None:
    """Show a widget in a notebook, and below it what is read without its kernel.

    Parameters
    ----------
    widget : anywidget.AnyWidget
        What is shown.
    text : str
        The same, where there are no widgets.
    words : str
        What it was, and what to do to have it again.
    """
    data, metadata = widget._repr_mimebundle_() or ({}, {})
    display({**data, "text/plain": text}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
    remains = f'{_STYLE}<p class="secnb-remains">{html.escape(words)}</p>'
    display({"text/html": remains, "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]
