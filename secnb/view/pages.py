"""A panel as a page that stands alone, and as a picture."""

from __future__ import annotations

import html
import json
from typing import Final

import vl_convert

from secnb.view.marks import Spec

VEGA_LITE: Final = "5.8"
"""The version nearest to JupyterLab's own, 5.6, so that a panel looks alike everywhere."""

# Nothing is loaded, and nothing sent: the page works with the network off, and says so to the browser.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 14px system-ui, sans-serif; margin: 1.5rem; background: #fff; color: #333; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #1c1c1c; color: #ddd; }} }}
h1 {{ font-size: 1.05rem; margin: 0 0 1rem; overflow-wrap: anywhere; }}
#panel {{ display: block; overflow-x: auto; }}
#panel .chart-wrapper {{ display: flex; flex-direction: column; }}
#panel .vega-bindings {{ order: -1; margin-bottom: 1rem; }}
#panel .vega-bindings {{ display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; }}
#panel select {{ max-width: 100%; }}
#panel .vega-bind:first-child {{ flex-basis: 100%; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div id="panel"></div>
<noscript>The panel needs JavaScript, which stands in this file.</noscript>
</main>
<script type="application/json" id="spec">{spec}</script>
<script>{script}</script>
<script>vegaEmbed("#panel", JSON.parse(document.getElementById("spec").textContent));</script>
</body>
</html>
"""


def page(title: str, spec: Spec) -> str:
    """Return an HTML page that is live without a network: all scripts stand in it, and texts are escaped."""
    # Within a script, only "<" could end it; in JSON it stands in strings alone.
    data = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    script: str = vl_convert.javascript_bundle(None, vl_version=VEGA_LITE)  # type: ignore[arg-type]
    return _PAGE.format(title=html.escape(title), spec=data, script=script.replace("</script", "<\\/script"))


def picture(spec: Spec, *, is_vector: bool) -> bytes:
    """Return the panel as it stands: SVG as UTF-8, or else PNG on white, two pixels for each."""
    shown = {**spec, "background": "white"}
    if is_vector:
        drawn: str = vl_convert.vegalite_to_svg(shown, vl_version=VEGA_LITE)
        return drawn.encode()
    pixels: bytes = vl_convert.vegalite_to_png(shown, vl_version=VEGA_LITE, scale=2)
    return pixels
