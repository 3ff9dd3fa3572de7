"""The analysis in sentences; every number in them is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.text import shortened
from roadmap.analysis.ablation import Ablation, Change, PairedCheck, Span
from roadmap.analysis.significance import Spread
from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS
from roadmap.runs import Run, Runs
from roadmap.text import ABSENT, counted, data_title, number, p_value, signed

#: Explanation of the tests, for readers who do not know them.
METHOD = (
    "A change is the difference between the mean top-1 of a step and of the previous step. It is "
    "tested with a two-sided t-test. The variance is that between seeds of one step, pooled over "
    "all trained steps (one-way analysis of variance: steps are groups, seeds are replicates).",
    "Pooling assumes that seeds vary equally at every step. Levene's test about medians (Brown and "
    "Forsythe 1974) checks this. If it rejects at 5%, each change is tested with Welch's t-test "
    "instead, using the variances of its own two steps. With three seeds per step, the check has "
    "little power: it rarely detects that some steps vary five times as much as others.",
    "The 95% interval uses the same standard error and degrees of freedom. It applies to one "
    "change, without correction for the others.",
    "Among many changes without effect, some would look significant by chance. The p values are "
    "therefore adjusted for all changes tested (Holm 1979). With an adjusted p of at most 0.05 a "
    "change is a gain or a loss, otherwise it is inconclusive. The chance of even one false gain "
    "or loss is then at most 5% if seeds vary equally. If half of 17 steps vary twice as much as "
    "the others, it is about 11% (simulated with three seeds).",
    "As a check, a paired t-test compares the steps seed by seed. Pairing helps if runs with the "
    "same seed have correlated scores; if not, it only loses degrees of freedom.",
    "An inconclusive change comes with the number of seeds needed: with that many seeds per step, "
    "a change as large as the one seen here would be significant in 80% of cases, at the level "
    "that Holm's method requires for the smallest p. With few seeds, the size of the change is "
    "uncertain, so this is a rough guide.",
)


def finding(ablation: Ablation) -> str:
    """Return the main result in two or three sentences."""
    return f"{overall(ablation)} {verdicts(ablation)}"


def tests(ablation: Ablation) -> list[str]:
    """Say which test gave the verdicts and what its checks found; empty if nothing was tested."""
    if not ablation.tested or ablation.spread is None:
        return []
    return [_test(ablation.spread), *([_paired(ablation.paired)] if ablation.paired else [])]


def _test(spread: Spread) -> str:
    said = (
        f"The standard deviation between seeds of one step is {number(spread.std, 2)} points "
        f"(pooled, {spread.degrees} degrees of freedom)."
    )
    if spread.levene_p is None:
        return f"{said} Checking that it is equal at every step requires three seeds per step."
    p = p_value(spread.levene_p, "=")
    if spread.differs:
        return (
            f"{said} It is not equal at every step (Levene's test, p {p}), so the verdicts use "
            "Welch's t-test with the variances of each change's own two steps."
        )
    return f"{said} Levene's test does not reject that it is equal at every step (p {p})."


def _paired(check: PairedCheck) -> str:
    others = Counter(
        verdict for step, verdict in check.verdicts.items() if step not in check.agreeing
    )
    listed = ", ".join(f"{count} {verdict}" for verdict, count in others.items())
    return (
        f"As a check, a paired t-test agrees in sign and verdict on {len(check.agreeing)} of "
        f"{counted(len(check.verdicts), 'change')}{f' (the others: {listed})' if listed else ''}; "
        f"the standard deviation of a change is {number(check.paired_std, 2)} points when paired "
        f"by seed and {number(check.unpaired_std, 2)} points unpaired."
    )


def changes(ablation: Ablation) -> str:
    """Explain the figures for changes."""
    if not ablation.tested:
        return (
            "Change in top-1 from the previous step, in points. Intervals and tests need two seeds "
            "of both steps."
        )
    return (
        "Change in top-1 from the previous step, in points, with 95% intervals. Each interval is "
        "for one change alone. The verdict corrects p for all changes tested, so an interval may "
        "exclude 0 although the change is inconclusive."
    )


def agreement(ablation: Ablation) -> str:
    """Compare the order of the steps with the paper's."""
    found = ablation.agreement
    if found is None:
        return "Too few steps differ in accuracy to compare their order with the published one."
    return (
        f"Over {found.n} steps, the rank correlation of mean top-1 here and published top-1 is "
        f"{signed(found.spearman, 2)} (Spearman's rho, p {p_value(found.spearman_p, '=')}) and "
        f"{signed(found.kendall, 2)} (Kendall's tau, p {p_value(found.kendall_p, '=')}); 1 = same "
        "order, 0 = no relation."
    )


def notes(ablation: Ablation, found: Runs) -> list[str]:
    """Return notes on the figures: what is missing and what is not comparable."""
    said = []
    if ablation.untrained:
        titles = [ablation.roadmap.step(key).full_title for key in ablation.untrained]
        said.append(f"Steps without a finished run: {', '.join(titles)}.")
    waiting = unfinished(ablation, found.runs)
    if waiting:
        counts = Counter(run.status for run in waiting)
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        said.append(f"Unfinished runs, not included: {listed}.")
    if others := _of_other_data(ablation, found.runs):
        listed = ", ".join(
            f"{count} on {shortened(data_title(name), 60)}" for name, count in others.items()
        )
        said.append(
            "Finished runs in the same folder, left out because their data is not "
            f"{shortened(data_title(ablation.data), 60)}: {listed}. Keep the runs of each data set "
            "in a separate folder."
        )
    if ablation.runs[0].scale == "pocket":
        said.append(
            "The networks are small (scale pocket); GFLOPs are those of the full-size networks."
        )
    return said


def timing(ablation: Ablation) -> str:
    """Say which machine the seconds are from, and which steps have none."""
    said = f"Training seconds are those of the fastest run on {ablation.timed_on}."
    if ablation.not_timed:
        said += f" Runs on {'; on '.join(map(str, ablation.not_timed))} are not included."
    without = [result.step.full_title for result in ablation.steps if result.seconds is None]
    return f"{said} Steps without a time: {', '.join(without)}." if without else said


def unfinished(ablation: Ablation, runs: Iterable[Run]) -> list[Run]:
    """Return the runs on the same data and roadmap that have no score yet."""
    place = ablation.data, ablation.roadmap.name
    return [run for run in runs if (run.data, run.roadmap) == place and not run.finished]


def _of_other_data(ablation: Ablation, runs: Iterable[Run]) -> Counter[str]:
    """Count the roadmap's other finished runs by the name of their data."""
    folders = {run.path.parent for run in ablation.runs}
    return Counter(
        run.data
        for run in runs
        if run.finished
        and run.path.parent in folders
        and run.roadmap == ablation.roadmap.name
        and run.data != ablation.data
    )


def listed(rows: Iterable[Mapping[str, Any]]) -> str:
    """List the changes among ``roadmap.analysis.table.rows``, each with interval and verdict."""
    return "; ".join(
        f"{row['title']} {signed(row['change'], 2)} "
        f"({interval(row['change_low'], row['change_high'])}), {row['verdict']}"
        for row in rows
        if row["change"] is not None
    )


def interval(low: float | None, high: float | None) -> str:
    return ABSENT if low is None or low != low else f"{signed(low, 2)} to {signed(high, 2)}"


def overall(ablation: Ablation) -> str:
    """Return the change from the first step to the last, or the best step, in a sentence or two."""
    sentences: list[str] = []
    alone = " where only the network changes,"
    for span, where in ((ablation.whole, ""), (ablation.one_recipe, alone)):
        if span is not None:
            score = "it" if sentences else f"top-1 on {data_title(ablation.data)}"
            ends = f"{span.first.step.full_title} to {span.last.step.full_title}"
            sentences.append(f"From {ends},{where} {score} changes by {_with_interval(span)}.")
    return " ".join(sentences) or _best(ablation)


def _best(ablation: Ablation) -> str:
    best = max(ablation.steps, key=lambda result: result.top1)
    steps, seeds = counted(len(ablation.steps), "trained step"), counted(len(best.seeds), "seed")
    return (
        f"The best of {steps} on {data_title(ablation.data)} is {best.step.full_title} with "
        f"{number(best.top1, 2)}% top-1 ({seeds})."
    )


def _with_interval(span: Span) -> str:
    counts = dict.fromkeys(len(end.seeds) for end in (span.first, span.last))
    seeds = f"{' and '.join(map(str, counts))} seeds"
    low, high = span.change.low, span.change.high
    return f"{signed(span.change.mean, 2)} points (95% interval {interval(low, high)}, {seeds})"


def verdicts(ablation: Ablation) -> str:
    """Return the number of gains and losses in one sentence."""
    tested = [(result.step.title, result.change) for result in ablation.tested if result.change]
    if not tested:
        return "No change could be tested; a test needs two seeds of both steps."
    counts = Counter(change.verdict for _, change in tested)
    changes = counted(len(tested), "change")
    if set(counts) == {INCONCLUSIVE}:
        return f"Of {changes} tested, none is significant at this number of seeds."
    parts = [
        f"{count} {'is a' if count == 1 else 'are'} {verdict}{'' if count == 1 else plural} "
        f"({_largest(tested, verdict)})"
        for verdict, plural in ((GAIN, "s"), (LOSS, "es"))
        if (count := counts[verdict])
    ]
    if count := counts[INCONCLUSIVE]:
        parts.append(f"{count} {'is' if count == 1 else 'are'} inconclusive")
    return f"Of {changes} tested, {_listed(parts)} at this number of seeds."


def _largest(tested: Sequence[tuple[str, Change]], verdict: str) -> str:
    those = [(title, change.points) for title, change in tested if change.verdict == verdict]
    title, points = max(those, key=lambda one: abs(one[1]))
    which = "" if len(those) == 1 else "the largest: "
    return f"{which}{title}, {signed(points, 2)} points"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
