"""What a comparison came to, in sentences and in a small table."""

from collections.abc import Sequence

from fancnn.reporting.duels import Duel
from fancnn.reporting.words import plural


def overall(duels: Sequence[Duel]) -> str | None:
    """The worst of all outcomes: one of `fancnn.reporting.duels.VERDICTS`, or None where one pair has none."""
    found = {duel.outcome for duel in duels}
    return next(outcome for outcome in ("new escapes", None, "not all compared", "no new escapes") if outcome in found)


def verdict(duel: Duel) -> str:
    """What matters most, in one or two sentences."""
    first, second, caught = duel.first, duel.second, duel.counts["escape caught"]
    if not duel.ng:
        said = f"No verdict: {first} and {second} have no bad part in common."
    elif duel.new_escapes:
        number, parts = plural(duel.new_escapes, "new escape"), plural(duel.new_escapes, "bad part")
        other_way = f" ({caught} the other way round)" if caught else ""
        said = f"{number}: {second} passes {parts} that {first} does not pass{other_way}."
    elif duel.left_out:
        said = f"Not all compared: no new escapes among {plural(duel.ng, 'bad part')} in common, but others are open."
    else:
        also = f", and catches {caught} that {first} passes" if caught else ""
        said = f"No new escapes: {second} passes no bad part that {first} does not pass{also}."
    return said + _gap(duel)


def threshold_note(duel: Duel) -> str:
    """That the thresholds differ; empty where they do not."""
    first, second = duel.thresholds
    if first == second:
        return ""
    both = f"{duel.first} decides {first.in_words()}; {duel.second} decides {second.in_words()}"
    return f"The thresholds differ: {both}. Part of what changes comes from them, not from the models."


def equal_note(duel: Duel) -> str:
    """How many new escapes there are at equal overkill."""
    recheck = " and sends as many to a person" if duel.thresholds[0].has_recheck else ""
    what = f"At {duel.second}'s threshold that rejects as many good parts as {duel.first} does now{recheck}"
    if duel.equal is None:
        return f"{what}: undefined, no good part is in common."
    at = f"{duel.equal.overkills:,}; {duel.equal.thresholds.in_words()}"
    return f"{what} ({at}): {plural(duel.equal.new_escapes, 'new escape')}."


def escape_rows(duel: Duel) -> list[list[str]]:
    """How the second model stands, and there the `ESCAPE_COLUMNS`."""
    now = (duel.new_escapes, duel.counts["escape caught"], duel.overkills[1])
    rows = [["as it is", *(f"{count:,}" for count in now), duel.thresholds[1].in_words()]]
    if duel.equal is not None:
        there = (duel.equal.new_escapes, duel.equal.caught, duel.equal.overkills)
        rows.append(["equal overkill", *(f"{count:,}" for count in there), duel.equal.thresholds.in_words()])
    return rows


ESCAPE_COLUMNS = ("new escapes", "caught", "overkills", "thresholds")


def _gap(duel: Duel) -> str:
    """The bad parts that are not compared, after a blank."""
    if not duel.left_out:
        return ""
    lacking = sum(item.letter == duel.second for item in duel.left_out)
    who, count = (duel.second, lacking) if lacking else (duel.left_out[0].letter, len(duel.left_out))
    would = "whether it would pass" if count == 1 else "whether they would pass"
    return f" {who} has not decided {plural(count, 'bad part')} that {duel.first} decided: {would} is open."
