"""A comparison of thresholds as HTML: the numbers, what flips, where, and the true ones that would go."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

import pandas as pd

from secnb.analysis.captions import count, thin
from secnb.analysis.columns import TRUE, read_truth

if TYPE_CHECKING:
    from secnb.analysis.flips_found import ThresholdComparison

_MOST_ROWS: Final = 10
# Short ones, so that the table fits on a small screen.
_NAMES: Final = {
    "camera_id": "camera",
    "object_type": "label",
    "risk_score": "risk",
    "risk_level_now": "level",
}
# A page breaks lines at hyphens, and a date that wraps is hard to read.
_DAY: Final = re.compile(r"\b\d{4}-\d\d-\d\d\b(?= \d\d:)")
_UNBROKEN: Final = r'<span style="white-space:nowrap">\g<0></span>'
_SHOWN: Final = (
    *("event_id", "detection_id", "camera_id", "object_type", "started_at", "detected_at"),
    *("risk_score", "risk_level_now", "file_path"),
)


def render_comparison(comparison: ThresholdComparison) -> str:
    """Return HTML without colours, so that it reads on dark and on light; every text is escaped."""
    parts = [
        f"<p><b>{html.escape(comparison.headline)}</b></p>",
        _table(_numbers(comparison)),
        _flips(comparison),
        _cameras(comparison),
        _lost(comparison),
        f'<p style="opacity:.75"><small>{"<br>".join(map(html.escape, comparison.caption))}</small></p>',
    ]
    return "".join(parts)


def _table(frame: pd.DataFrame) -> str:
    return str(
        frame.to_html(index=False, border=0, na_rep="\N{EN DASH}", float_format="{:,.4g}".format, escape=True)
    )


def _numbers(comparison: ThresholdComparison) -> pd.DataFrame:
    """Write each row with as many decimals as its largest number asks for."""
    table = comparison.summary
    per = "per day" if table.attrs.get("per") == "day" else "in all"
    what, values = table["what"], table[["current", "proposed", "change"]]
    decimals = (values.abs().max(axis=1) < 10).map({True: 2, False: 1})
    if (values % 1 == 0).all(axis=None):
        decimals[:] = 0
    if comparison.is_weighted or _n_unlabelled(comparison):
        # Those that nobody has looked at are true or false, too.
        how = "estimated" if comparison.is_weighted else "of those verified"
        what = what.replace({f"{kind} alarms": f"{kind} alarms, {how}" for kind in ("true", "false")})
    shown: dict[str, object] = {per: what}
    for name, sign in (("current", ""), ("proposed", ""), ("change", "+")):
        shown[name] = [
            f"{value:{sign if value else ''},.{n}f}".replace(",", "\N{THIN SPACE}").replace(
                "-", "\N{MINUS SIGN}"
            )
            for value, n in zip(values[name], decimals, strict=True)
        ]
    return pd.DataFrame(shown)


def _n_unlabelled(comparison: ThresholdComparison) -> float:
    """Return how many units that fire now nobody has verified, in the numbers of the summary."""
    now = comparison.summary.set_index("what")["current"]
    return round(float(now.iloc[0] - now.filter(like=" alarms").sum()), 6)


def _flips(comparison: ThresholdComparison) -> str:
    """Say what of it was verified; nothing where none was."""
    row = comparison.whole.iloc[0]
    lines = []
    for name in ("appear", "disappear"):
        n_labelled = row[f"{name}_true"] + row[f"{name}_false"]
        if row[f"n_{name}"] and n_labelled:
            low, high = row[f"{name}_precision_low"], row[f"{name}_precision_high"]
            n_true, n_false = (thin(round(row[f"{name}_{kind}"])) for kind in ("true", "false"))
            n_unlabelled = int(row[f"{name}_unlabelled"])
            if comparison.is_weighted:
                known = f"estimated, from {count(int(row[f'n_{name}']) - n_unlabelled, 'label')}"
            else:
                known = f"known, {thin(n_unlabelled)} are unverified"
            lines.append(
                f"Of what would {name}, {n_true} true and {n_false} false alarms are {known}. "
                f"Precision of it: {row[f'{name}_precision']:.3g} "
                f"({low:.3g} to {high:.3g}, 95 % interval)."
            )
        elif row[f"n_{name}"]:
            lines.append(f"Nothing of what would {name} was verified.")
    n_lost = int((comparison.events["change"] == "disappears").sum())
    if n_lost and comparison.unit != "event":
        lines.append(f"Events that would lose all their detections: {thin(n_lost)}.")
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _cameras(comparison: ThresholdComparison) -> str:
    """Show the cameras where most flips, and what of it was verified, if anything was."""
    table = comparison.by_camera
    flips = table["n_appear"] + table["n_disappear"]
    if len(table) < 2 or not flips.any():
        return ""
    top = table.loc[flips.sort_values(ascending=False, kind="stable").index].head(_MOST_ROWS)
    # What is estimated does not add up to what is counted beside it.
    how = ", estimated" if comparison.is_weighted else ""
    kinds = {kind: f"{kind}{how}" for kind in ("true", "false")}
    if not comparison.is_weighted and table[["appear_unlabelled", "disappear_unlabelled"]].any(axis=None):
        kinds["unlabelled"] = "unverified"
    columns = {"camera_id": "camera", "n_current": "current", "n_proposed": "proposed"}
    for name in ("appear", "disappear"):
        if table[f"n_{name}"].any():
            columns[f"n_{name}"] = name
            is_known = table[[f"{name}_true", f"{name}_false"]].any(axis=None)
            columns |= {f"{name}_{kind}": word for kind, word in kinds.items() if is_known}
    shown = top[list(columns)].set_axis(list(columns.values()), axis=1)
    # Estimates from a few labels have no decimals.
    text = shown.to_html(index=False, border=0, na_rep="missing", float_format="{:.0f}".format, escape=True)
    more = f"{len(top)} of {len(table)} cameras shown; all in .by_camera, " if len(table) > len(top) else ""
    return f"{text}<p>{more or 'The same '}per local hour in .by_hour.</p>"


def _lost(comparison: ThresholdComparison) -> str:
    """Show the true ones that would disappear, of the highest risk first, up to a number that is read."""
    gone = comparison.disappear
    if gone.empty:
        return ""
    # The names of both axes, which may be those of columns, are not shown.
    gone = gone.reset_index(drop=True).rename_axis(columns=None)
    true = gone[read_truth(gone[comparison.truth]) == TRUE]
    if true.empty:
        return ""
    by = "risk_score" if "risk_score" in true.columns else comparison.score
    shown = true.sort_values(by, ascending=False, kind="stable", na_position="last").head(_MOST_ROWS)
    columns = [name for name in (*_SHOWN[:6], comparison.score, *_SHOWN[6:]) if name in shown.columns]
    shown = shown[columns].copy()
    for name in shown.select_dtypes("datetimetz").columns:
        shown[name] = shown[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%d %H:%M:%S")
        shown = shown.rename(columns={name: f"{name} (UTC)"})
    if "file_path" in shown.columns:
        paths = shown.pop("file_path")
        shown["picture"] = [None if pd.isna(path) else str(path).rpartition("/")[2] for path in paths]
    shown = shown.rename(columns=_NAMES)
    what = (
        f"{thin(len(shown))} of {thin(len(true))} verified true ones that would disappear; all in .disappear."
    )
    return f"<p>{html.escape(what)}</p>{_DAY.sub(_UNBROKEN, _table(shown))}"
