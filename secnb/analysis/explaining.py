"""A choice in plain sentences, for whoever has to stand behind it; the whole comes first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from secnb.analysis.captions import amount, count, exact, few_labels_sentence, number, rate, thin
from secnb.analysis.corrected import corrected_rates
from secnb.analysis.counting import FEW_LABELS
from secnb.analysis.deciding import Decision
from secnb.analysis.evidence import possible_precision, possible_recall
from secnb.analysis.rules import Outcomes, Rule
from secnb.analysis.verifying import drifted, verified

if TYPE_CHECKING:
    from secnb.analysis.choices import ThresholdChoice

_MOST_GROUPS = 20


def explain_choice(choice: ThresholdChoice) -> list[str]:
    """Return the sentences of a choice, the headline first."""
    return [
        sentence_of(headline(choice)),
        asked_for(choice),
        *_outcome(choice),
        *_change(choice),
        *reasons(choice),
        *_groups(choice),
        *choice.caption,
    ]


def asked_for(choice: ThresholdChoice) -> str:
    """Say what the rule was."""
    text = f"Asked for: {choice.rule.sentence}."
    return f"{text} Each group is to keep that by itself." if choice.by else text


def reasons(choice: ThresholdChoice) -> list[str]:
    """Say what is guaranteed, how firm the choice is, and whether it lasts."""
    guarantee, n_labelled = choice.whole.guarantee, choice.whole.n_labelled
    sentences = []
    if choice.rule.needs_labels and 0 < n_labelled < FEW_LABELS:
        where = " in the part chosen on" if choice.periods.n_labelled_later else ""
        sentences.append(few_labels_sentence(n_labelled, unit=choice.unit, few=FEW_LABELS, where=where))
    if guarantee is not None and guarantee.sentence != choice.whole.reason:
        about = "with one threshold for all, " if choice.by else ""
        sentences.append(sentence_of(about + guarantee.sentence))
    return [
        *sentences,
        *choice.notes,
        *_origin(choice),
        *_firmness(choice),
        *verified(choice),
        *drifted(choice),
    ]


def _origin(choice: ThresholdChoice) -> list[str]:
    """Say what precision rests on where nothing says how verdicts came about; a guarantee says it itself."""
    numbers = choice.earlier.iloc[0]
    is_asked = choice.rule.precision_at_least is not None and choice.rule.confidence is None
    if not is_asked or choice.probability is not None or not numbers["n_unlabelled"] > 0:
        return []
    return [
        "Precision rests on verdicts whose selection is unknown: if true alarms were verified more often "
        'than false ones, it is lower; label_next(design="audit") draws labels that tell.'
    ]


def headline(choice: ThresholdChoice) -> str:
    """Return in a few words what is to be done."""
    if not choice.by:
        return _advice(choice.whole, choice.score)
    statuses = Counter[str](decision.status for decision in choice.decisions[1:])
    parts = [
        f"{thin(statuses[status])} {words}"
        for status, words in (
            ("chosen", "with a threshold of their own"),
            ("kept", "best left as they are"),
            ("inherited", "with that of their parent"),
            ("none", "without one"),
        )
        if statuses[status]
    ]
    groups = f"{count(len(choice.decisions) - 1, 'group')} by {', '.join(map(str, choice.by))}"
    one = _advice(choice.whole, choice.score)
    return f"{groups}: {', '.join(parts) or 'none'}; with one threshold for all: {one}"


def _advice(decision: Decision, score: str) -> str:
    threshold, current = decision.threshold, decision.current
    if threshold is None:
        return f"no threshold of {score}: {decision.reason}"
    if decision.status == "kept":
        return f"keep {score} at {exact(threshold)}: {decision.reason}"
    if current is None or current == threshold:
        return f"set the threshold of {score} to {exact(threshold)}"
    verb = "raise" if threshold > current else "lower"
    return f"{verb} the threshold of {score} from {exact(current)} to {exact(threshold)}"


def _outcome(choice: ThresholdChoice) -> list[str]:
    """Say how good the alerts are, and how sure that is."""
    numbers = choice.earlier.iloc[0]
    if pd.isna(numbers["n_fired"]):
        return []
    if not choice.by:
        where = f"At {exact(choice.whole.threshold)}"
    else:
        where = "All groups together, each at its own threshold"
        if any(decision.threshold is None for decision in choice.decisions[1:]):
            where += " (at the one in force where it has none)"
    sentences = [f"{where}: {_alerts(choice, numbers)}"]
    if not pd.isna(numbers["precision"]):
        sentences[0] += " In brackets: 95 % intervals."
    if choice.probability is not None:
        sentences.append("These numbers are corrected for how probable each label was.")
    else:
        sentences += _unverified(choice, numbers)
    if choice.rule.objective == "cost":
        sentences.append(_cost(choice.rule, numbers, choice.earlier_current.iloc[0]))
    return sentences


def _alerts(choice: ThresholdChoice, numbers: pd.Series) -> str:
    """Say what fires and what of it is true, in units, or in what the labels stand for."""
    fired, tp, labelled = numbers["n_fired"], numbers["tp"], numbers["tp"] + numbers["fp"]
    precision, recall = rate(numbers, "precision"), rate(numbers, "recall")
    text = f"{amount(fired)} {'unit fires' if fired == 1 else 'units fire'}"
    if choice.weight is not None:
        text = f"what fires weighs {amount(fired)}, by {choice.weight}"
    if choice.weight is not None or choice.probability is not None:
        labels = count(int(numbers["n_labelled_fired"]), "label")
        return f"{text}; from {labels} among them, weighted: {precision}. {sentence_of(recall)}"
    of = "of them" if labelled == fired else f"of the {amount(labelled)} labelled among them"
    reached = f"{amount(tp)} of {amount(tp + numbers['fn'])}"
    return f"{text}, {amount(tp)} {of} true: {precision}. {reached} known to be true fire: {recall}."


def _unverified(choice: ThresholdChoice, numbers: pd.Series) -> list[str]:
    """Say what the rates may be where not all was verified, and nothing says how that was picked."""
    above, below = numbers["n_unlabelled"], numbers["n_unlabelled_below"]
    if not above + below:
        return []
    tp, fn = numbers["tp"], numbers["fn"]
    counts = (tp, numbers["n_fired"], tp + fn, above, below)
    true, fired, known, unknown, rest = (np.array([float(part)]) for part in counts)
    precision, recall = possible_precision(true, fired, unknown), possible_recall(true, known, unknown, rest)
    text = f"Nobody verified {amount(above)} of those that fire and {amount(below)} of those below: "
    if choice.weight is not None:
        # How many units that is was not counted.
        text = "Not all was verified, of what fires or of what lies below: "
    text += f"whatever they are, precision lies between {precision[0][0]:.3g} and {precision[1][0]:.3g}, "
    text += f"recall lies between {recall[0][0]:.3g} and {recall[1][0]:.3g}"
    silent = {"fn": fn - numbers["n_missed"], "tn": numbers["tn"]}
    n_silent = silent["fn"] + silent["tn"] + below
    rates = corrected_rates(n_fired=numbers["n_fired"], n_silent=n_silent, tp=tp, fp=numbers["fp"], **silent)
    if rates.recall > 0:
        true = numbers["n_fired"] * tp / (tp + numbers["fp"])
        corrected = true / (true / float(rates.recall) + numbers["n_missed"])
        text += f", and is {corrected:.3g} if those verified are like the rest of their side"
    return [f"{text}."]


def _cost(rule: Rule, numbers: pd.Series, now: pd.Series) -> str:
    """Say what misses and false alarms cost, and the net benefit at that ratio of costs."""
    cost, before = (float(rule.costs(_outcomes(each))[0]) for each in (numbers, now))
    n = numbers[["tp", "fp", "fn", "tn"]].sum()
    instead = "" if np.isnan(before) or cost == before else f" instead of {number(before)}"
    text = f"Misses and false alarms cost {number(cost)}{instead}"
    if not n or not rule.cost_missed or not rule.cost_false_alarm:
        return f"{text}."
    benefit = (numbers["tp"] - numbers["fp"] * rule.cost_false_alarm / rule.cost_missed) / n
    return f"{text}; net benefit {benefit:.3g} per labelled unit."


def _outcomes(numbers: pd.Series) -> Outcomes:
    names = ("n_fired", "tp", "fp", "fn")
    return Outcomes(**{name: np.array([numbers[name]], dtype=np.float64) for name in names})


def _change(choice: ThresholdChoice) -> list[str]:
    changes = choice.changes
    if changes.empty or (choice.is_kept and not choice.by):
        return []
    parts = []
    for name, current, new in changes[["what", "current", "chosen"]].to_numpy().tolist():
        chosen = number(new)
        what = name.removesuffix("s") if chosen == "1" else name
        parts.append(f"{chosen} {what} instead of {number(current)}")
    start = "Per day" if changes.attrs["per"] == "day" else "In all"
    return [f"{start}: {', '.join(parts)} ({labels_note(choice)})."]


def labels_note(choice: ThresholdChoice) -> str:
    """Say what true and false alarms are counted among."""
    estimated = choice.probability is not None
    return "true and false estimated from labels" if estimated else "true and false among labelled units"


def _firmness(choice: ThresholdChoice) -> list[str]:
    """Say which other thresholds are as good, and where the best might lie."""
    whole = choice.whole
    if whole.best is None or whole.plateau is None:
        return []
    about = "with one threshold for all, " if choice.by else ""
    low, high = whole.plateau
    near = f"thresholds from {exact(low)} to {exact(high)} are" if low < high else f"only {exact(low)} is"
    tolerance = "1 %" if choice.rule.objective in ("cost", "n_fired") else "0.01"
    text = f"{about}{near} within {tolerance} of the best, {exact(whole.best)}"
    if whole.interval is not None:
        resampled = "days" if not choice.rule.needs_labels else "labelled units"
        text += f"; with {resampled} resampled, 95 % of the best lie from {exact(whole.interval[0])} to "
        text += exact(whole.interval[1])
    else:
        text += "; how far it moves with other units cannot be said, since most resamples have none"
    return [sentence_of(text)]


def _groups(choice: ThresholdChoice) -> list[str]:
    """One sentence per group, up to a number that is still read."""
    sentences = []
    for row, decision in enumerate(choice.decisions[1 : _MOST_GROUPS + 1], start=1):
        parts = [f"{decision.name}: {_advice(decision, choice.score)}"]
        if decision.status == "inherited":
            parts[0] += f" ({decision.reason})"
        numbers = choice.earlier.iloc[row]
        if not pd.isna(numbers["precision"]):
            parts.append(f"{rate(numbers, 'precision')}, {rate(numbers, 'recall')}")
        if decision.guarantee is not None and decision.threshold is not None:
            parts.append("guaranteed" if decision.guarantee.is_given else decision.guarantee.sentence)
        sentences.append(f"{'; '.join(parts)}.")
    more = len(choice.decisions) - 1 - _MOST_GROUPS
    return [*sentences, f"{count(more, 'more group')}: see .thresholds."] if more > 0 else sentences


def sentence_of(text: str) -> str:
    """Begin with a capital letter, unless that would change a name, and end with a full stop."""
    return f"{text[0].upper()}{text[1:]}."
