"""The panel that Python reads and moves: a widget, for as long as a kernel runs."""

from __future__ import annotations

from functools import cache
from numbers import Real
from typing import Any, Final

import altair as alt
import traitlets
import vl_convert
from altair.jupyter.jupyter_chart import load_js_src

from secnb.errors import BadInputError
from secnb.view.marks import Spec
from secnb.view.pages import VEGA_LITE
from secnb.view.panels import Panel
from secnb.view.remains import show_with_remains
from secnb.view.sliders import resting

_DRAWN: Final = "finalize = api.finalize;"
# With that, JupyterLab leaves the keys of the menus alone.
_KEYS: Final = "for (const menu of el.querySelectorAll('select')) menu.dataset.lmSuppressShortcuts = 'true';"
_DEBOUNCE_MS: Final = 20
_WORDS: Final = (
    "A panel linked with Python is here while its kernel runs. If it is not: run the notebook again up to "
    "this cell. Without link=True, a panel stays live."
)


@cache
def _script() -> str:
    """Return the widget's JavaScript with all that it loads, so that it works without a network."""
    lines = [line for line in load_js_src().splitlines() if not line.startswith("import ")]
    source = "\n".join(lines).replace(_DRAWN, f"{_DRAWN} {_KEYS}", 1)
    script: str = vl_convert.javascript_bundle(source, vl_version=VEGA_LITE)
    return script


class _Number(traitlets.Float):  # type: ignore[type-arg]
    """A float that may be set to any real number, such as one out of a frame."""

    def validate(self, obj: Any, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise BadInputError(f"{self.name} is {value!r}. Allowed: a number.")
        return super().validate(obj, float(value))


class LinkedPanel(alt.JupyterChart):
    """A panel that is linked with Python; made by ``panel(sweep, link=True)``.

    It is a widget: it needs a kernel, and in a notebook that is only read, words say so. The page
    sends the threshold when the slider is released, not while it moves.

    Parameters
    ----------
    panel : Panel
        What is shown.

    Attributes
    ----------
    threshold : float
        Where the slider stands. A number that is set moves it to the position next to it, of which the
        thresholds chosen and in force are some, as of ``panel``;
        ``observe(function, "threshold")`` tells of every change, from either side.
    """

    threshold = _Number()

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self._esm = _script()
        spec = panel.spec
        self._stops: list[float] = _param(spec, "stops")["value"]
        start = self._stops[_param(spec, "position")["value"]]
        # A chart of altair is not needed, since the specification is there.
        super().__init__(None, debounce_wait=_DEBOUNCE_MS, embed_options={"renderer": "svg"})  # type: ignore[arg-type]
        self.threshold = start
        with self.hold_sync():
            self.spec = _released(spec, start)
            # Only what is named here goes to and fro.
            self._params = {"released": start}

    def __repr__(self) -> str:
        return f"<LinkedPanel: {self.panel.title}, at {self.threshold:g}>"

    def _ipython_display_(self) -> None:
        show_with_remains(self, text=repr(self), words=_WORDS)

    @traitlets.validate("threshold")
    def _at_a_position(self, proposal: dict[str, Any]) -> float:
        """Return the position next to what is asked for; outside of the slider there is none."""
        stops, asked = self._stops, proposal["value"]
        if not stops[0] <= asked <= stops[-1]:
            raise BadInputError(f"threshold is {asked!r}. Allowed: {stops[0]:g} to {stops[-1]:g}.")
        return min(stops, key=lambda stop: abs(stop - asked))

    @traitlets.observe("threshold")
    def _tell_the_page(self, change: dict[str, Any]) -> None:
        if self._params and self._params["released"] != change["new"]:
            self._params = {"released": change["new"]}

    @traitlets.observe("_params")
    def _hear_the_page(self, change: dict[str, Any]) -> None:
        released = change["new"].get("released")
        if released is not None and released != self.threshold:
            self.threshold = released


def _param(spec: Spec, name: str) -> Spec:
    found: Spec = next(param for param in spec["params"] if param["name"] == name)
    return found


def _released(spec: Spec, start: float) -> Spec:
    """Add a second threshold, which follows the slider's when that is released, and which it follows."""
    there = "indexof(stops, released)"
    for name, update in (("position", there), ("threshold", f"stops[places[{resting(there)}]]")):
        _param(spec, name)["on"].append({"events": {"signal": "released"}, "update": update})
    follow = {"events": "window:change", "update": "cut"}
    spec["params"].append({"name": "released", "value": start, "on": [follow]})
    return spec
