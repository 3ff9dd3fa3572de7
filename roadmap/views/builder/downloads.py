"""Downloads of the network: code, config, weights and programs."""

from __future__ import annotations

import streamlit as st

from models.config import ModelConfig
from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.export.formats import verdict
from roadmap.export.packages import missing_packages
from roadmap.measure.complexity import count
from roadmap.measure.limits import export_refusal, refusal
from roadmap.text import number
from roadmap.views.builder import work as builder_work
from roadmap.views.common import markup
from roadmap.views.common.bounds import within

KEY = "exporting"
SEEDS = (0, 2**31 - 1)
#: Formats that take a moment to create, with their names on the page.
MADE = {"safetensors": "weights", "onnx": "ONNX", "pt2": "torch.export"}


def show(config: ModelConfig, image_size: int, stem: str) -> None:
    """Offer the files of a network; their names begin with ``stem``."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Python file",
            lambda: _source(config),
            f"{stem}.py",
            "text/x-python",
            key="download-source",
            on_click="ignore",
            help="The network in one readable file that only needs PyTorch.",
        )
        st.download_button(
            "Config, JSON",
            config.to_json(indent=2) + "\n",
            f"{stem}.json",
            "application/json",
            key="download-config",
            on_click="ignore",
            help="For ModelConfig.from_json and python -m roadmap profile --config.",
        )
    if visitors.is_public():
        sentence = (
            "Creating weights, ONNX and torch.export files is disabled on this public explorer. "
            "Create them from the config above:"
        )
        command = f"python -m roadmap export --config {stem}.json --format onnx"
        st.html(markup.own_machine(sentence, command))
    else:
        _made_files(config, image_size, stem)


def _source(config: ModelConfig) -> str:
    from models.source import network_source

    return network_source(config)


def _made_files(config: ModelConfig, image_size: int, stem: str) -> None:
    megabytes = number(count(config, image_size).parameters * 4 / 1e6, 0)
    busy = builder_work.running(KEY)
    refused = {form: _refusal(form, config, image_size) for form in MADE}
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        seed = st.number_input(
            "Seed",
            *SEEDS,
            key="seed",
            width=130,
            help="Seed of the random initial weights. The file's metadata includes the config.",
        )
        seed = within(seed, *SEEDS)
        for form, name in MADE.items():
            st.button(
                f"Create {name}",
                key=f"make-{form}",
                on_click=_begin,
                args=(form, config, seed, image_size, stem),
                disabled=bool(busy or refused[form]),
            )
    st.html(markup.paragraph(f"Weights, ONNX and torch.export: {megabytes} MB per file.", "faint"))
    for reason in dict.fromkeys(filter(None, refused.values())):
        st.html(markup.paragraph(reason, "faint"))
    told = builder_work.about(KEY)
    if told.get("wanted") in (None, _wanted(config, seed, image_size)) or busy:
        builder_work.follow(KEY, f"Creating {told.get('name')}", _offer)


def _refusal(form: str, config: ModelConfig, image_size: int) -> str:
    """Return why the file cannot be created here, or an empty string."""
    if reason := refusal(config, image_size):
        return reason
    if form == "onnx" and (missing := missing_packages()):
        return (
            f"ONNX export needs {', '.join(missing)}. Install with pip install -e '.[onnx]' where "
            "this explorer runs."
        )
    return export_refusal(MADE[form], form, config, image_size)


def _wanted(config: ModelConfig, seed: int, image_size: int) -> tuple[ModelConfig, int, int]:
    """Identify a file's content; a file is only offered beside the network that it holds."""
    return config, seed, image_size


def _begin(form: str, config: ModelConfig, seed: int, image_size: int, stem: str) -> None:
    if reason := _refusal(form, config, image_size):  # or a program pressed the button
        builder_work.refuse(KEY, reason)
        return
    file = f"{stem}.{form}"
    job = Job("export", form=form, config=config.to_dict(), seed=seed, image_size=image_size)
    builder_work.begin(
        KEY,
        job,
        {"path": str(job.folder / file)},
        name=MADE[form],
        form=form,
        file=file,
        wanted=_wanted(config, seed, image_size),
    )


def _offer(job: Job) -> None:
    told = builder_work.about(KEY)
    path = job.folder / told["file"]
    st.download_button(
        f"Save {told['file']}",
        path.read_bytes,
        told["file"],
        "application/octet-stream",
        key="download-made",
        on_click="ignore",
        type="primary",
    )
    text = verdict(told["form"], job.result["difference"])
    st.html(markup.paragraph(text, "faint"))
