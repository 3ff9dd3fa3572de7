"""The answer to a question: a sentence, and the lines that build and run the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from roadmap.find.candidates import OWN, Candidate
from roadmap.find.question import Question
from roadmap.text import number

#: Figures nearer than this share are too near to call one network better.
TIE = 0.03


@dataclass(frozen=True)
class MeasuredPoint:
    """A candidate with its measured figure; ``disturbed`` says what disturbed it, or is empty.

    ``date`` is the day of the measurement.
    """

    candidate: Candidate
    value: float
    disturbed: str = ""
    date: str = ""


def points(
    question: Question, networks: Iterable[Candidate], rows: Iterable[Mapping[str, Any]]
) -> list[MeasuredPoint]:
    """Return the measured candidates under the question's conditions, the best first.

    Of equal figures, the more accurate network comes first.
    """
    by_place = {each.place: each for each in networks}
    found = []
    for row in rows:
        place = row["source"], row["name"], int(row["image_size"])
        if question.applies_to(row) and place in by_place:
            value = question.value(row)
            if value:
                disturbed = row["disturbed"] if question.is_timed else ""
                found.append(MeasuredPoint(by_place[place], value, disturbed, row["date"]))
    found.sort(key=_top1, reverse=True)
    found.sort(key=lambda each: each.value, reverse=question.measured.more_is_better)
    return found


def winners(question: Question, measured: Iterable[MeasuredPoint]) -> list[MeasuredPoint]:
    """Return the points with the asked accuracy, the best first."""
    return [
        each
        for each in measured
        if each.candidate.top1 is not None and each.candidate.top1 >= question.top1
    ]


def front(measured: Iterable[MeasuredPoint]) -> list[MeasuredPoint]:
    """Return the Pareto front: points that no other beats in accuracy and figure, the best first.

    ``measured`` is sorted from the best figure, as ``points`` returns it.
    """
    best, kept = 0.0, []
    known = [each for each in measured if each.candidate.top1 is not None]
    for value in dict.fromkeys(each.value for each in known):
        top = max((each for each in known if each.value == value), key=_top1)
        if _top1(top) > best:
            best = _top1(top)
            kept.append(top)
    return kept


def alone(question: Question, point: MeasuredPoint) -> str:
    """Return a sentence on a Pareto front of one network."""
    figure = f"{'higher' if question.measured.more_is_better else 'lower'} {question.measured.name}"
    return (
        f"The Pareto front is one network: no other measured network has {figure} or higher "
        f"accuracy than {point.candidate.title}."
    )


def _top1(point: MeasuredPoint) -> float:
    return point.candidate.top1 or 0.0


def sentence(
    question: Question, measured: list[MeasuredPoint], networks: Iterable[Candidate]
) -> str:
    """Return the answer in one or two sentences; without an answer, what is missing."""
    able = winners(question, measured)
    asked = f"at least {question.top1:.1f}% top-1"
    if not able:
        highest = max(networks, key=lambda each: each.top1 or 0)
        if (highest.top1 or 0) < question.top1:
            return (
                f"No candidate has {asked}; the most accurate one is {highest.title} with "
                f"{highest.top1:.1f}%."
            )
        return f"No network with {asked} has been measured yet on {question.conditions}."
    best = able[0]
    show = question.measured.show
    place = (
        f"the {question.measured.best} of the {len(able)} measured networks"
        if len(able) > 1
        else "the only measured network so far"
    )
    text = (
        f"{best.candidate.title} is {place} with {asked}: {show(best.value)} on "
        f"{question.conditions}, {best.candidate.top1:.1f}% top-1 "
        f"({_trained(best.candidate)})."
    )
    return " ".join(
        [text, *_trainable(question, able), *_second(question, able), *_caution(able[:2])]
    )


def other_conditions(question: Question, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a sentence on the conditions measured on the question's device, or nothing."""
    found = {
        (int(row["batch_size_asked"]), row["dtype"])
        for row in rows
        if row["device_name"] == question.device_name
    }
    known = "; ".join(f"--batch-size {batch} --dtype {dtype}" for batch, dtype in sorted(found))
    return f"Measured on this device: {known}." if known else ""


def _trainable(question: Question, able: list[MeasuredPoint]) -> list[str]:
    """Of an answer without published weights, say so and name the best network with them."""
    if able[0].candidate.weights:
        return []
    text = "Its weights are not published"
    trained = next((each for each in able if each.candidate.weights), None)
    if trained is None:
        return [f"{text}."]
    name = f"{trained.candidate.title}, with {trained.candidate.top1:.1f}%"
    best, value = question.measured.best, question.measured.show(trained.value)
    return [f"{text}; the {best} with weights is {name} and {value}."]


def _trained(candidate: Candidate) -> str:
    only = candidate.pretraining == "in1k"
    return "trained on ImageNet-1K only" if only else f"pre-trained on {candidate.trained_on}"


def _second(question: Question, able: list[MeasuredPoint]) -> list[str]:
    if len(able) < 2 or not able[0].candidate.weights:
        return []
    best, second = able[:2]
    ratio = max(best.value, second.value) / min(best.value, second.value)
    name = f"{second.candidate.title}, with {second.candidate.top1:.1f}%"
    if ratio < 1 + TIE:
        return [f"Within {100 * TIE:.0f}% of it: {name}."]
    return [f"Second is {name} and {question.measured.show(second.value)}."]


def _caution(leaders: list[MeasuredPoint]) -> list[str]:
    """Say which of the leading networks may be faster than measured: memory is not disturbed."""
    if len(leaders) == 2 and all(point.disturbed for point in leaders):
        return [f"Both may be faster: while they were measured, {leaders[0].disturbed}."]
    return [
        f"{point.candidate.title} may be faster: while it was measured, {point.disturbed}."
        for point in leaders
        if point.disturbed
    ]


def about_own(question: Question, measured: list[MeasuredPoint]) -> str:
    """Return a sentence on the user's config, or nothing if it was not measured."""
    own = next((each for each in measured if each.candidate.source == OWN), None)
    if own is None:
        return ""
    text = f"Your config: {question.measured.show(own.value)}; its accuracy is not known"
    able = winners(question, measured)
    if not able:
        return f"{text}."
    better = question.better(own.value, able[0].value)
    ratio = max(own.value, able[0].value) / min(own.value, able[0].value)
    word = "better" if better else "worse"
    return f"{text}. That is {number(ratio, 2)} times {word} than {able[0].candidate.title}."


# Lines to copy


def create_line(candidate: Candidate) -> str:
    """Return the line that builds the network with its published weights, if there are any."""
    if candidate.source == "torchvision":
        return (
            f'network = torchvision.models.get_model("{candidate.name}", '
            f'weights="{candidate.weights}")'
        )
    name = timm_name(candidate)
    if name is None:
        return 'network = ModernResNet(ModelConfig.from_json(Path("config.json").read_text()))'
    trained = ", pretrained=True" if candidate.weights else ""
    return f'network = timm.create_model("{name}"{trained})'


def timm_name(candidate: Candidate) -> str | None:
    """Return the name in timm's registry with the tag of the weights; None if it has none."""
    tag = f".{candidate.weights}" if candidate.weights else ""
    match candidate.source:
        case "timm":
            return f"{candidate.name}{tag}"
        case "variant":
            return f"roadmap_{candidate.name}{tag}"
        case "torchvision" | "config":
            return None
    return f"roadmap_{candidate.source}_{candidate.name}"


def python_lines(candidate: Candidate, question: Question) -> str:
    """Return a program that runs the network as it was measured."""
    match candidate.source:
        case "torchvision":
            imports = ["import torch", "import torchvision"]
        case "timm":
            imports = ["import timm", "import torch"]
        case "config":
            imports = ["from pathlib import Path", "", "import torch", ""]
            imports.append("from models import ModelConfig, ModernResNet")
        case _:
            imports = ["import timm", "import torch", "", "import roadmap.timm_models"]
    shape = f"{question.batch_size}, 3, {candidate.image_size}, {candidate.image_size}"
    device = f'"{question.device}"'
    dtypes = {"bf16": "torch.bfloat16", "fp16": "torch.float16"}
    contexts = ["torch.inference_mode()"]
    if question.dtype in dtypes:
        contexts.append(f"torch.autocast({device}, {dtypes[question.dtype]})")
    layout = "memory_format=torch.channels_last"
    lines = [
        *imports,
        "",
        create_line(candidate),
        f"network = network.eval().to({device}, {layout})",
        f"images = torch.randn({shape}, device={device}).to({layout})",
        f"with {', '.join(contexts)}:",
        "    logits = network(images)",
    ]
    return "\n".join(lines)


def weights_note(candidate: Candidate) -> str:
    """Return where the published accuracy is from, on which set, and whether the weights are."""
    if candidate.top1 is None:
        return "Its accuracy is not known: train it first."
    figure = f"figure on the {candidate.test_set} set"
    top1 = f"{candidate.top1:.1f}%"
    match candidate.source:
        case "torchvision":
            return f"{top1} is torchvision's {figure} for these weights."
        case "timm":
            return f"{top1} is timm's {figure} for these weights."
        case "variant":
            return f"{top1} is timm's {figure} for these weights, which this network converts."
    return f"{top1} is the paper's {figure}; its weights are not published, so train it first."
