"""The face of a review in JupyterLab: what is sent to the page, and what its keys send back.

All of it goes as messages and none as widget state, which JupyterLab may save with the notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import anywidget

from secnb.view.cards import Look, Tally
from secnb.view.pictures import Picture
from secnb.view.remains import show_with_remains

_HERE: Final = Path(__file__)
_WORDS: Final = (
    "A review is here while its kernel runs. If it is not: run the notebook again up to this cell, and it "
    "goes on where it stopped. All verdicts are in the label store."
)


class ReviewWidget(anywidget.AnyWidget):
    """The card of one unit with its keys.

    Parameters
    ----------
    on_message : callable
        Is given what the page sends: ``kind`` is "ready", "record" (with unit and verdict) or "back".
    """

    _esm = _HERE.with_suffix(".js")
    _css = _HERE.with_suffix(".css")

    def __init__(self, on_message: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self.on_msg(lambda _widget, content, _buffers: on_message(content))

    def appear(self, text: str) -> None:
        """Show the card in a notebook; `text` stands where there are no widgets."""
        show_with_remains(self, text=text, words=_WORDS)

    def show(
        self,
        unit: str | None,
        tally: Tally,
        *,
        facts: Mapping[str, str],
        verdict: str | None,
        can_go_back: bool,
        said: str,
        problem: str,
        is_answer: bool,
        keep: Iterable[str],
    ) -> None:
        """Show a unit, or None where nothing is left.

        Parameters
        ----------
        facts : mapping of str to str
            As `secnb.view.cards.facts`.
        verdict : str or None
            The one that the unit has.
        said : str
            What a screen reader says.
        problem : str
            Why the last verdict was not stored, or ``""``.
        is_answer : bool
            Whether this answers a key; until then the page takes no other.
        keep : iterable of str
            The units whose pictures the page goes on to hold.
        """
        card = {
            "kind": "card",
            "unit": unit,
            "n": tally.n,
            "n_done": tally.n_done,
            "progress": str(tally),
            "facts": [[name, text] for name, text in facts.items()],
            "verdict": verdict,
            "can_go_back": can_go_back,
            "said": said,
            "problem": problem,
            "is_answer": is_answer,
            "keep": list(keep),
        }
        self.send(_sendable(card))

    def send_look(self, unit: str, look: Look) -> None:
        """Send what there is to see of a unit, for now or for later."""
        picture = look.picture
        message = {
            "kind": "look",
            "unit": unit,
            "picture": _drawn(picture),
            "said": [[name, text] for name, text in look.said.items()],
        }
        self.send(_sendable(message), [picture.content] if picture.content else None)


def _drawn(picture: Picture) -> dict[str, Any]:
    return {
        "path": picture.path,
        "note": picture.note,
        "label": picture.label,
        "mime": picture.mime,
        "extent": list(picture.extent),
        "box": None if picture.box is None else list(picture.box),
    }


def _sendable(value: Any) -> Any:
    """Return a message without lone surrogates, which no message can hold."""
    if isinstance(value, dict):
        return {name: _sendable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_sendable(each) for each in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
