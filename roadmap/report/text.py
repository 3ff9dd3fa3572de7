"""What the analysis says, in sentences. Every number in them is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from models.text import shortened
from roadmap.ablation import GAIN, LOSS, NOISE, Ablation, StepResult
from roadmap.paired import ALPHA, MOST_SEEDS, Estimate
from roadmap.runs import Run, Runs
from roadmap.text import ABSENT, counted, number, signed

#: Sentences on the tests, for people who have not met them.
METHOD = (
    "A step and the one before it are trained with the same seeds, and the differences seed by "
    "seed are what is tested (paired t-test, two-sided): luck that both share with a seed cancels "
    "out.",
    "The 95% interval is the range of true changes that the differences do not contradict at the "
    "5% level, each change looked at alone.",
    "Among many changes that do nothing, some would look real by chance, so the p values are "
    "adjusted for all changes tested (Holm 1979) and a change is called real where the adjusted p "
    "is at most 0.05: the chance that even one that does nothing is called real is then at most "
    "5%.",
    "Few seeds say little about their spread. If seeds spread alike at every step, all steps "
    "together say more (what an analysis of variance of steps and seeds leaves over), and tests "
    "with that one spread mostly find smaller changes. Where they do not spread alike, such tests "
    "call too much real: so the verdicts do without.",
    "Seeds for 80%: as many would find a change of the size and spread seen here in 80% of all "
    "cases, at the level that Holm's method asks of the smallest p; with few seeds "
    "size and spread are themselves uncertain, so take it as a hint.",
)


def finding(ablation: Ablation) -> str:
    """The answer in two or three sentences."""
    return f"{_overall(ablation)} {_tested(ablation)}"


def together(ablation: Ablation) -> list[str]:
    """What stands out with one spread for all changes; empty where fewer than two were tested."""
    if len(ablation.tested) < 2:
        return []
    out = [r for r in ablation.tested if r.change.p_pooled <= ALPHA]
    count = f"{len(out) or 'none'} of {len(ablation.tested)}"
    verb = "stands" if len(out) < 2 else "stand"
    return [
        f"If seeds spread alike at every step (a change's standard deviation: "
        f"{number(ablation.spread.std, 2)} points), {count} {verb} out"
        f"{f': {_with_own_spread(out)}' if out else ''}. The verdicts do not take that for granted."
    ]


def _with_own_spread(results: Sequence[StepResult]) -> str:
    listed = _listed([f"{r.step.title} {signed(r.change.points, 2)}" for r in results])
    own = sorted(r.change.interval.std for r in results)
    ends = list(dict.fromkeys(number(std, 2) for std in (own[0], own[-1])))
    deviations = "its own standard deviation" if len(own) == 1 else "their own standard deviations"
    return f"{listed} ({deviations}: {' to '.join(ends)})"


def changes(ablation: Ablation) -> str:
    """What the figures of the changes are."""
    if not ablation.tested:
        return (
            "Top-1 points over the step before, of one seed: intervals and tests take two that "
            "both steps have."
        )
    return (
        "Top-1 points over the step before, seed by seed, with 95% intervals. An interval is of "
        "one change alone; whether a change is called real is decided for all of them together, "
        "by p."
    )


def agreement(ablation: Ablation) -> str:
    """How the order of the steps compares with the paper's."""
    found = ablation.agreement
    if found is None:
        return "Too few steps differ in accuracy to compare their order with the published one."
    return (
        f"Over {found.n} steps, the rank correlation of the mean top-1 here with the published is "
        f"{signed(found.spearman, 2)} (Spearman's rho, p {p_value(found.spearman_p, '=')}) and "
        f"{signed(found.kendall, 2)} (Kendall's tau, p {p_value(found.kendall_p, '=')}); 1 is "
        "the same order, 0 none."
    )


def notes(ablation: Ablation, found: Runs) -> list[str]:
    """What the reader has to know beside the figures: what is missing, what is not comparable."""
    said = []
    if ablation.untrained:
        said.append(f"Without a finished run: {', '.join(ablation.untrained)}.")
    if fewer := _fewer_pairs(ablation):
        said.append(
            "Compared over those seeds only that the step and the one before both have: "
            f"{', '.join(fewer)}."
        )
    waiting = unfinished(ablation, found.runs)
    if waiting:
        counts = Counter(run.status for run in waiting)
        listed = ", ".join(f"{count} {status}" for status, count in counts.items())
        said.append(f"Runs that do not count, as they are not finished: {listed}.")
    if others := _of_other_data(ablation, found.runs):
        listed = ", ".join(f"{count} on {shortened(name, 60)}" for name, count in others.items())
        said.append(
            f"Finished runs in the same folder that are left out, as they are on other data than "
            f"{shortened(ablation.data, 60)}: {listed}. Keep the runs of each data set in a folder "
            "of their own."
        )
    if ablation.runs[0].scale == "pocket":
        said.append("The networks are small (scale pocket); GFLOPs are those of the full ones.")
    return said


def timing(ablation: Ablation) -> str:
    """Whose the seconds are, and what has none."""
    said = f"Training seconds are the fastest run's on {ablation.timed_on}."
    if ablation.not_timed:
        said += f" Not counted for them: runs on {'; on '.join(map(str, ablation.not_timed))}."
    without = [result.step.key for result in ablation.steps if result.seconds is None]
    return f"{said} Without any: {', '.join(without)}." if without else said


def _fewer_pairs(ablation: Ablation) -> list[str]:
    seeds = {result.step.key: len(result.seeds) for result in ablation.steps}
    return [
        f"{result.step.key} ({result.change.n} of {most})"
        for result in ablation.steps
        if result.change
        and result.change.n < (most := max(seeds[result.step.key], seeds[result.previous]))
    ]


def unfinished(ablation: Ablation, runs: Iterable[Run]) -> list[Run]:
    """The runs of the same data and roadmap that have no score yet."""
    place = ablation.data, ablation.roadmap.name
    return [run for run in runs if (run.data, run.roadmap) == place and not run.finished]


def _of_other_data(ablation: Ablation, runs: Iterable[Run]) -> Counter[str]:
    """How many finished runs of the roadmap are beside those analyzed, by the name of the data."""
    folders = {run.path.parent for run in ablation.runs}
    return Counter(
        run.data
        for run in runs
        if run.finished
        and run.path.parent in folders
        and run.roadmap == ablation.roadmap.name
        and run.data != ablation.data
    )


def p_value(p: float | None, equals: str = "") -> str:
    """To three decimals; smaller ones as a bound. ``equals`` goes before one that is not."""
    if p is None or p != p:
        return ABSENT
    sign = f"{equals} " if equals else ""
    return f"{'< ' if equals else '<'}0.001" if p < 0.001 else f"{sign}{p:.3f}"


def interval(low: float | None, high: float | None) -> str:
    return ABSENT if low is None or low != low else f"{signed(low, 2)} to {signed(high, 2)}"


def seeds(needed: float | None, p: float | None) -> str:
    """Seeds needed, where the change was tested."""
    if p is None or p != p:
        return ABSENT
    return f">{MOST_SEEDS}" if needed is None or needed != needed else f"{needed:.0f}"


def _overall(ablation: Ablation) -> str:
    spans = [
        f"by {_with_interval(span.change)} from {span.first.step.title} to {span.last.step.title}"
        f"{how}"
        for span, how in ((ablation.whole, ""), (ablation.one_recipe, " under one recipe"))
        if span is not None
    ]
    if not spans:
        return _best(ablation)
    return f"Top-1 on {ablation.data} changes {', and '.join(spans)}."


def _best(ablation: Ablation) -> str:
    best = max(ablation.steps, key=lambda result: result.top1)
    steps, seeds = counted(len(ablation.steps), "trained step"), counted(len(best.seeds), "seed")
    return (
        f"The best of {steps} on {ablation.data} is {best.step.title} with "
        f"{number(best.top1, 2)}% top-1 ({seeds})."
    )


def _with_interval(change: Estimate) -> str:
    return (
        f"{signed(change.mean, 2)} points (95% interval {interval(change.low, change.high)}, "
        f"{change.n} seeds)"
    )


def _tested(ablation: Ablation) -> str:
    tested = ablation.tested
    if not tested:
        return "No change could be tested: that takes two seeds that both steps have."
    counts = Counter(result.change.verdict for result in tested)
    changes = counted(len(tested), "change")
    if set(counts) == {NOISE}:
        return f"Of {changes} tested, none can be told from noise at this number of seeds."
    real = [
        f"{count} {'is a' if count == 1 else 'are'} {verdict}{'' if count == 1 else plural} "
        f"({_largest(tested, verdict)})"
        for verdict, plural in ((GAIN, "s"), (LOSS, "es"))
        if (count := counts[verdict])
    ]
    noise = counts[NOISE]
    parts = [*real, *([f"{noise} could be noise"] if noise else [])]
    return f"Of {changes} tested, {_listed(parts)} at this number of seeds."


def _largest(tested: Sequence[StepResult], verdict: str) -> str:
    those = [result for result in tested if result.change.verdict == verdict]
    most = max(those, key=lambda result: abs(result.change.points))
    which = "" if len(those) == 1 else "the largest: "
    return f"{which}{most.step.title}, {signed(most.change.points, 2)} points"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
