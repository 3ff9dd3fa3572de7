"""Downloads of the network: code, config, weights and programs, one by one or all in a zip.

Each file that takes a moment is a job of its own, so that one that fails does not stop the others.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from models.config import ModelConfig
from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.drawing.words import label
from roadmap.export.formats import check_text
from roadmap.export.packages import onnx_refusal
from roadmap.measure.complexity import count
from roadmap.measure.limits import export_refusal, refusal
from roadmap.text import number
from roadmap.views.common import markup, press, work
from roadmap.views.common.number_field import number_field

SEEDS = (0, 2**31 - 1)
#: Formats that take a moment to create, with their names on the page.
MADE = {"safetensors": "weights", "onnx": "ONNX", "pt2": "torch.export"}
#: The largest zip in bytes, since it is sent from memory.
LARGEST_ZIP = 1e9


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
            _json(config),
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


def _json(config: ModelConfig) -> str:
    return config.to_json(indent=2) + "\n"


def _made_files(config: ModelConfig, image_size: int, stem: str) -> None:
    size = count(config, image_size).parameters * 4 / 1e6
    megabytes = number(size, 0 if size >= 10 else 2)
    busy = _running()
    refused = {form: _refusal(form, config, image_size) for form in MADE}
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        seed, wrong = number_field(
            "Seed",
            *SEEDS,
            "seed",
            width=130,
            help="Seed of the random initial weights. The file's metadata includes the config.",
        )
        wanted = _wanted(config, seed, image_size)
        press.button(
            "Create all files",
            _begin,
            tuple(MADE),
            *wanted,
            stem,
            key="make-all",
            disabled=bool(wrong) or busy or all(refused.values()),
            help="Python file, config, weights, ONNX and torch.export, as one zip or one by one.",
        )
    if wrong:
        st.html(markup.refusal(wrong))
    with st.expander("Create one file"), st.container(horizontal=True, gap="small"):
        for form, name in MADE.items():
            press.button(
                f"Create {name}",
                _begin,
                (form,),
                *wanted,
                stem,
                key=f"make-{form}",
                disabled=bool(wrong or busy or refused[form]),
            )
    st.html(markup.paragraph(f"Weights, ONNX and torch.export: {megabytes} MB per file.", "faint"))
    for reason in dict.fromkeys(filter(None, refused.values())):
        st.html(markup.paragraph(reason, "faint"))
    _follow(config, seed, image_size)


def _refusal(form: str, config: ModelConfig, image_size: int) -> str:
    """Return why the file cannot be created here, or an empty string."""
    if reason := refusal(config, image_size):
        return reason
    if form == "onnx" and (missing := onnx_refusal()):
        return f"{missing}, where this explorer runs."
    return export_refusal(MADE[form], form, config, image_size)


# The jobs


def _key(form: str) -> str:
    return f"exporting-{form}"


def _running() -> bool:
    return any(work.running(_key(form)) for form in MADE)


def _wanted(config: ModelConfig, seed: int, image_size: int) -> tuple[ModelConfig, int, int]:
    """Identify a file's content; a file is only offered beside the network that it holds."""
    return config, seed, image_size


def _begin(
    forms: tuple[str, ...], config: ModelConfig, seed: int, image_size: int, stem: str
) -> None:
    """Start a job per file; the queue runs them one after the other."""
    for form in MADE:
        work.stop(_key(form))
    for form in forms:
        if reason := _refusal(form, config, image_size):  # or a program pressed the button
            work.refuse(_key(form), reason)
            continue
        file = f"{stem}.{form}"
        job = Job("export", form=form, config=config.to_dict(), seed=seed, image_size=image_size)
        work.begin(
            _key(form),
            job,
            {"path": str(job.folder / file)},
            stem=stem,
            file=file,
            wanted=_wanted(config, seed, image_size),
        )


def _jobs() -> dict[str, Job]:
    jobs = {form: st.session_state.get(_key(form)) for form in MADE}
    return {form: job for form, job in jobs.items() if job is not None}


def _follow(config: ModelConfig, seed: int, image_size: int) -> None:
    """Show progress while files are created, then the files or what went wrong, each by itself."""
    for form, name in MADE.items():
        if reason := work.refusal(_key(form)):
            st.html(markup.notice(f"The {name} file was not created. {reason}"))
    if _running():
        st.fragment(_progress, run_every=work.POLL)()
        return
    wanted = _wanted(config, seed, image_size)
    jobs = {f: job for f, job in _jobs().items() if _about(f)["wanted"] == wanted}
    for form, job in jobs.items():
        _outcome(form, job)
    if sum(job.state == "done" for job in jobs.values()) > 1:
        _offer_zip(config, {form: job for form, job in jobs.items() if job.state == "done"})


def _about(form: str) -> dict[str, Any]:
    return work.about(_key(form))


def _progress() -> None:
    """Show how far all files together are, in percent, and each file as soon as it is finished."""
    jobs = _jobs()
    pending = [form for form, job in jobs.items() if not job.ended]
    if not pending:
        st.rerun()  # the whole page, which then stops polling
    states = [jobs[form].look() for form in pending]
    share = sum(map(_share, jobs.values())) / len(jobs)
    st.progress(share, progress_words([MADE[form] for form in pending], share, states))
    st.button("Cancel", key="cancel-exporting", on_click=_cancel)
    for form, job in jobs.items():
        if job.ended:
            _outcome(form, job)


def _share(job: Job) -> float:
    """Return the share of a file's stages that are done."""
    return 1.0 if job.ended else job.done / max(job.total, 1)


def progress_words(pending: Sequence[str], share: float, states: Sequence[str]) -> str:
    """Say what is created now, and the ``share`` of all files: ``33%: creating ONNX``."""
    if "running" not in states:
        return f"{share:.0%}: {work.QUEUED}"
    now = pending[list(states).index("running")]
    rest = [name for name in pending if name != now]
    return f"{share:.0%}: creating {now}" + (f", then {' and '.join(rest)}" if rest else "")


def _cancel() -> None:
    for job in _jobs().values():
        if not job.ended:
            job.cancel()


def _outcome(form: str, job: Job) -> None:
    """Offer the file, or say by name why there is none."""
    if job.state == "done":
        _offer(form, job)
    else:
        name = label(MADE[form])
        work.outcome(job, lambda _: None, f"{name}: ")


def _offer(form: str, job: Job) -> None:
    file = _about(form)["file"]
    st.download_button(
        f"Save {file}",
        (job.folder / file).read_bytes,
        file,
        "application/octet-stream",
        key=f"download-{form}",
        on_click="ignore",
    )
    st.html(markup.paragraph(check_text(form, job.result["difference"]), "faint"))


def _offer_zip(config: ModelConfig, jobs: Mapping[str, Job]) -> None:
    files = [job.folder / _about(form)["file"] for form, job in jobs.items()]
    stem = files[0].stem
    size = sum(file.stat().st_size for file in files if file.exists())
    if size > LARGEST_ZIP:
        text = f"One zip of all files would have {size / 1e9:.1f} GB: save them one by one."
        st.html(markup.paragraph(text, "faint"))
        return
    st.download_button(
        f"Save all as {stem}.zip",
        lambda: zipped(config, files),
        f"{stem}.zip",
        "application/zip",
        key="download-all",
        on_click="ignore",
        type="primary",
    )


def zipped(config: ModelConfig, files: Sequence[Path]) -> bytes:
    """Return a zip with ``files``, the network's Python file and its config, named alike.

    It is written beside the files first, so that the memory holds their contents only once.
    """
    stem = files[0].stem
    with tempfile.TemporaryFile(dir=files[0].parent) as whole:
        with zipfile.ZipFile(whole, "w") as together:  # weights cannot be compressed
            together.writestr(f"{stem}.py", _source(config))
            together.writestr(f"{stem}.json", _json(config))
            for file in files:
                together.write(file, file.name)
        whole.seek(0)
        return whole.read()
