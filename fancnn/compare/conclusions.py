"""What a comparison came to, in sentences and in a small table."""

from collections.abc import Sequence

from fancnn.compare.pairwise_comparisons import PairwiseComparison
from fancnn.metrics.intervals import parts_needed
from fancnn.metrics.replacement import VERDICTS, NewMistakes, Verdict
from fancnn.metrics.rounding import percent_at_most
from fancnn.pages.formatting import probability
from fancnn.plurals import agreeing, plural

ESCAPE_COLUMNS = ("new escapes", "caught", "overkills", "thresholds")
LEADS = {
    "new escapes": "New escapes.",
    "new overkills": "New overkills.",
    "not proven": "Not proven.",
    "not all compared": "Not all compared.",
    "passes": "Passes.",
}


def overall(comparisons: Sequence[PairwiseComparison]) -> Verdict:
    """Return the worst of all verdicts."""
    return max((item.verdict for item in comparisons), key=VERDICTS.index)


def conclusion(comparison: PairwiseComparison) -> str:
    """Return what matters most: the verdict, and what new escapes and new overkills are open, with their bounds."""
    return " ".join(conclusion_sentences(comparison))


def conclusion_sentences(comparison: PairwiseComparison) -> list[str]:
    """Return the sentences of `conclusion`: the verdict with new escapes, new overkills, then what these rest on."""
    escapes, overkills = comparison.new_escapes, comparison.new_overkills
    lead = f"{LEADS[comparison.verdict]} "
    if comparison.verdict == "passes" and None in (escapes.margin, overkills.margin):
        lead = ""  # a bound that nobody was asked to keep comes first, and no word of success
    sentences = (
        lead + _escapes(comparison),
        _overkills(comparison),
        _certainty(comparison),
        _person(comparison),
        _trained_on(comparison),
        *_excluded(comparison),
    )
    return [sentence for sentence in sentences if sentence]


def mcnemar_words(comparison: PairwiseComparison) -> str:
    """Return McNemar's test with its unit, corrected for several models."""
    by_group = ", by group (exact sign-flip test)" if comparison.unit == "group" else ""
    text = f"McNemar's exact test on the mistakes{by_group}: p {probability(comparison.mcnemar)}"
    if comparison.models > 1:
        text += f", adjusted for {comparison.models} models (Holm) p {probability(comparison.mcnemar_adjusted)}"
    return text


def interval_title(comparison: PairwiseComparison) -> str:
    """Return what the intervals of differences are.

    Example: `95 %, by image`, `95 % for all 2 models together, by group`.
    """
    return f"{_confidence(comparison)}, by {comparison.unit}"


def threshold_note(comparison: PairwiseComparison) -> str:
    """Return that the thresholds differ; empty where they do not."""
    first, second = comparison.thresholds
    if first == second:
        return ""
    both = f"{comparison.first} decides {first.in_words()}; {comparison.second} decides {second.in_words()}"
    return f"The thresholds differ: {both}. Part of what changes comes from them, not from the models."


def equal_note(comparison: PairwiseComparison) -> str:
    """Return how many new escapes there are at equal overkill."""
    equal = comparison.equal
    recheck = " and sends as many to a person" if comparison.thresholds[0].has_recheck else ""
    what = f"At {comparison.second}'s threshold that rejects as many good parts as {comparison.first} does now{recheck}"
    if equal is None:
        return f"{what}: undefined, no good part is in common."
    at = f"{equal.overkills:,}; {equal.thresholds.in_words()}"
    return f"{what} ({at}): {plural(equal.new_escapes, 'new escape')}."


def escape_rows(comparison: PairwiseComparison) -> list[list[str]]:
    """Return how the second model stands, and there the `ESCAPE_COLUMNS`."""
    now = (comparison.new_escapes.count, comparison.counts["escape caught"], comparison.overkills[1])
    rows = [["as it is", *(f"{count:,}" for count in now), comparison.thresholds[1].in_words()]]
    if (equal := comparison.equal) is not None:
        there = (equal.new_escapes, equal.caught, equal.overkills)
        rows.append(["equal overkill", *(f"{count:,}" for count in there), equal.thresholds.in_words()])
    return rows


def _escapes(comparison: PairwiseComparison) -> str:
    """Return the bound of new escapes, then what was seen."""
    first, second, seen = comparison.first, comparison.second, comparison.new_escapes
    if not seen.parts:
        return f"{first} and {second} have no NG part in common: nothing is known of new escapes."
    what = f"of NG parts may pass {second} that do not pass {first}"
    caught = comparison.counts["escape caught"]
    also = f", {caught:,} the other way round" if caught else ""
    return _bounded(comparison, seen, what, "new escape", "NG", "new_escape_rate") + also + "."


def _overkills(comparison: PairwiseComparison) -> str:
    """Return the bound of new overkills, then what was seen."""
    first, second, seen = comparison.first, comparison.second, comparison.new_overkills
    if not seen.parts:
        return f"{first} and {second} have no GO part in common: nothing is known of new overkills."
    what = f"of GO parts may be rejected by {second} that {first} does not reject"
    gone = comparison.counts["overkill gone"]
    also = f", {gone:,} the other way round" if gone else ""
    text = _bounded(comparison, seen, what, "new overkill", "GO", "new_overkill_rate") + also
    if seen.margin is None and seen.count > gone:
        text += "; new_overkill_rate=... says how many are allowed"
    return text + "."


def _bounded(
    comparison: PairwiseComparison, seen: NewMistakes, what: str, mistake: str, class_name: str, key: str
) -> str:
    bound = percent_at_most(seen.bound)
    groups = f" in {plural(seen.units, 'group')}" if comparison.unit == "group" else ""
    counted = f"{plural(seen.count, mistake)} among {plural(seen.parts, f'{class_name} part')}{groups}"
    if seen.margin is None:
        if seen.count:
            return f"Up to {bound} {what}: {counted}"
        return f"Up to {bound} {what}, nothing below that is ruled out: {counted}"
    asked = percent_at_most(seen.margin)
    if seen.within:
        return f"At most {bound} {what}, and {key} allows {asked}: {counted}"
    text = f"Up to {bound} {what}, and {key} allows {asked}: {counted}"
    if not seen.count and comparison.unit != "group":
        needed = parts_needed(seen.margin, seen.level)
        text += f" (with none among {needed:,} it would be proven)"
    return text


def _certainty(comparison: PairwiseComparison) -> str:
    kept = ", groups kept together" if comparison.unit == "group" else ""
    return f"({_confidence(comparison, ' confidence')}{kept}.)"


def _confidence(comparison: PairwiseComparison, noun: str = "") -> str:
    together = f" for all {comparison.models} models together" if comparison.models > 1 else ""
    return f"{100 * comparison.confidence:.6g} %{noun}{together}"


def _person(comparison: PairwiseComparison) -> str:
    before, now = comparison.rechecked
    if before == now:
        return ""
    of_all = f"of {plural(comparison.images, comparison.noun)} to a person"
    return f"{comparison.second} sends {now:,} {of_all}, {comparison.first} {before:,}."


def _trained_on(comparison: PairwiseComparison) -> str:
    if not comparison.trained_on:
        return ""
    seen = f"{comparison.trained_on:,} of these {comparison.noun}s"
    return f"{comparison.second} was trained on {seen}: that proves nothing of others."


def _excluded(comparison: PairwiseComparison) -> list[str]:
    """Return what is open about the parts that are not compared, bad ones first."""
    first, second = comparison.first, comparison.second
    sentences = []
    for label, name, would in ((1, "bad", "pass"), (0, "good", "reject")):
        count = sum(item.row.label == label for item in comparison.excluded)
        if count:
            them = "it" if count == 1 else "them"
            sentences.append(
                f"{plural(count, f'{name} part')} that {first} decided {agreeing(count, 'is')} not compared: "
                f"whether {second} would {would} {them} is open."
            )
    return sentences
