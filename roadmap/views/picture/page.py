"""A picture through two networks, from their stages down to one value.

torch is imported by the first forward pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap import visitors
from roadmap.palette import ORANGE
from roadmap.tables.pocket import shipped
from roadmap.tables.results import RESULTS, read_rows
from roadmap.views.common import address, assets, markup, pictures, turns
from roadmap.views.common.controls import segments, select
from roadmap.views.picture import imagenet, levels, networks, sheets
from roadmap.views.picture.levels import Side
from roadmap.views.picture.networks import Outputs, Trained
from roadmap.views.picture.tree import OpenedPart, opened_part

if TYPE_CHECKING:
    import numpy as np

KEY, NAME, OWN = "picture-view", "roadmap_picture", "own"
FAILED = "picture-imagenet-failed"
FILES = Path(__file__).parent
#: Shipped pictures by name: title, credit, and WordNet id and word of the class that it shows.
PICTURES = {row["picture"]: row for row in read_rows("pictures/pictures")}
#: WordNet ids of the small networks' classes.
CLASSES = tuple(row["wordnet_id"] for row in read_rows("pocket/classes"))
SENTENCE = (
    "Two networks look at a picture. Hover over a feature map, or click to open it. Δ and bold "
    f"type mark what differs; d is depthwise. The small networks know {len(CLASSES)} classes and "
    "name the most similar one for anything else."
)
SIGNS = "".join(
    f'<span class="signs" style="--sign:{color}">{word}</span>'
    for word, color in (("positive", sheets.POSITIVE), ("negative", sheets.NEGATIVE))
)
#: Forward passes that the server keeps; one takes about 2 MB.
MOST_KEPT = 24
#: The same of full-size networks, which take about 0.1 GB.
MOST_KEPT_LARGE = 3
PUBLIC = (
    "ImageNet weights are disabled on this public explorer; start your own with python -m roadmap "
    "app. Showing the small networks instead."
)
WEIGHTS = {"pocket": f"Small, {len(CLASSES)} classes", "imagenet": "ImageNet, full size"}


@turns.fragment
def show() -> None:
    """Show the whole page, in one fragment."""
    lead = f"{SENTENCE} {known_pictures(PICTURES.values(), CLASSES)}"
    st.html(markup.heading("Picture", 1, "title") + markup.paragraph(lead, "why"))
    weights, wrong_weights = address.option(st.query_params, "weights", tuple(WEIGHTS))
    loaded, failed = _chosen_weights(weights)
    titles = imagenet.with_weights() if loaded else shipped()
    keys = tuple(titles)
    before, wrong_a = address.option(st.query_params, "a", keys)
    after, wrong_b = address.option(st.query_params, "b", (keys[-1], *keys[:-1]))
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        with st.container(width=320):
            select("picture", "a", "First network", titles, before)
        with st.container(width=320):
            select("picture", "b", "Second network", titles, after)
        segments("picture", "weights", "Weights", WEIGHTS, weights)
    notice, view = st.empty(), st.container()
    own, refused = _own_picture()
    name, wrong_picture = _picture_name(own)
    pixels = own if own is not None and name == OWN else _shipped_picture(name)
    with view, st.spinner("Loading PyTorch (first time only)"):
        shown = [
            _shown(side, key, pixels, loaded)
            for side, key in zip("ab", (before, after), strict=True)
        ]
    trees = {one.side: one.parts for one in shown}
    opened, wrong_place = opened_part(st.query_params.get("at"), trees)
    wrong = (wrong_weights, failed, wrong_a, wrong_b, wrong_picture, refused, wrong_place)
    problems = [problem for problem in wrong if problem]
    if problems:
        notice.html(markup.notice(" ".join(problems)))
    with view:
        mount = st.components.v2.component(
            NAME,
            html='<div class="root"></div>',
            css=assets.text(FILES / "view.css"),
            js=assets.text(FILES / "view.js"),
        )
        mount(
            key=KEY,
            data={"html": _html(shown, opened, name, own), "place": str(opened or "")},
            on_go_change=_go,
            on_picture_change=_picture_chosen,
        )


def _shown(side: str, key: str, pixels: np.ndarray, loaded: Mapping[str, Trained]) -> Side:
    title, data = shipped()[key], (pixels.tobytes(), pixels.shape)  # Streamlit samples large arrays
    if loaded:
        return Side(side, title, loaded[key], _passed_large(key, *data))
    return Side(side, title, networks.pocket(key), _passed(key, *data))


@st.cache_resource(show_spinner=False, max_entries=MOST_KEPT)
def _passed(key: str, data: bytes, shape: tuple[int, ...]) -> Outputs:
    return networks.forward(networks.pocket(key), _array(data, shape))


def _array(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    return np.frombuffer(data, np.uint8).reshape(shape)


# ImageNet weights


@st.cache_resource(show_spinner=False)
def _large() -> dict[str, Trained]:
    """Return the full-size networks by step; the server loads each once."""
    return {}


@st.cache_resource(show_spinner=False, max_entries=MOST_KEPT_LARGE)
def _passed_large(key: str, data: bytes, shape: tuple[int, ...]) -> Outputs:
    return networks.forward(_large()[key], _array(data, shape))


def _chosen_weights(weights: str) -> tuple[Mapping[str, Trained], str]:
    """Return what ``_imagenet`` does, asking again only once the reader chooses it again."""
    if weights != "imagenet":
        st.session_state.pop(FAILED, None)
        return {}, ""
    if st.session_state.get(FAILED):
        return {}, st.session_state[FAILED]
    loaded, st.session_state[FAILED] = _imagenet()
    return loaded, st.session_state[FAILED]


def _imagenet() -> tuple[Mapping[str, Trained], str]:
    """Return the full-size networks and '', after a download with progress if need be; if they are
    not to be had, none and a sentence."""
    from roadmap.timm_models.weights import WeightsError

    for key, title in imagenet.with_weights().items():
        if key in _large():
            continue
        if visitors.is_public():
            return {}, PUBLIC
        download = imagenet.WeightsDownload(key)
        download.start()
        bar = st.progress(0.0, f"Downloading the ImageNet weights of {title}")
        while download.is_alive():
            download.join(0.2)
            bar.progress(download.share, f"Downloading the ImageNet weights of {title}")
        bar.empty()
        if download.problem:
            return {}, download.problem
        try:
            _large()[key] = imagenet.read(key, download.path)
        except WeightsError as error:
            return {}, f"The ImageNet weights of {title} cannot be used: {error}"
    return _large(), ""


def _html(shown: list[Side], opened: OpenedPart | None, name: str, own: np.ndarray | None) -> str:
    right = "" if name == OWN else PICTURES[name]["class"]
    if opened is None:
        level = levels.overview(shown, right)
    else:
        level = levels.inside(next(one for one in shown if one.side == opened.side), opened)
    crumbs = levels.breadcrumb(shown, opened)
    known = shown[0].trained.classes
    colors = (
        f"--map-positive:{sheets.POSITIVE};--map-negative:{sheets.NEGATIVE};--map-mark:{ORANGE}"
    )
    return (
        f'<div class="picture" style="{colors}"><div class="side">{_photo(name, own, known)}</div>'
        f'<div>{crumbs}<div class="level">{level}</div></div></div>'
    )


# The picture


def known_pictures(rows: Iterable[Mapping[str, str]], classes: Collection[str]) -> str:
    """Count the pictures in ``rows`` that show one of ``classes``, given as WordNet ids."""
    rows = list(rows)
    known = sum(row["wordnet_id"] in classes for row in rows)
    shows = "shows" if known == 1 else "show"
    return (
        f"{known} of the {len(rows)} pictures {shows} one of them; a tick marks the correct class."
    )


def caption(row: Mapping[str, str], known: Collection[str]) -> str:
    """Return the picture's class, and whether it is among the words of the ``known`` classes."""
    return f"Class: {row['class']}{'' if row['class'] in known else ', unknown to these networks'}."


def _photo(name: str, own: np.ndarray | None, known: Collection[str]) -> str:
    """Return the picture, in which receptive fields light up, and the choice of pictures."""
    if name == OWN and own is not None:
        source = sheets.uri(pictures.jpeg(networks.square(own)), "jpeg")
        seen, lines = "Your picture", ""
    else:
        source = _file_uri(name)
        row = PICTURES[name]
        seen, lines = row["title"], f"{escape(caption(row, known))}<br>{escape(row['credit'])}<br>"
    buttons = "".join(
        f'<button type="button" data-picture="{each}" aria-pressed="{str(each == name).lower()}" '
        f'aria-label="{escape(row["title"])}" style="background-image:url({_file_uri(each)})">'
        "</button>"
        for each, row in PICTURES.items()
    )
    return (
        f'<figure class="photo"><div class="frame"><img src="{source}" alt="{escape(seen)}">'
        f'<i class="field"></i></div><figcaption>{lines}{SIGNS}<br><span class="seen"></span>'
        f'</figcaption></figure><div class="choices">{buttons}</div>'
    )


@cache
def _file_uri(name: str) -> str:
    return sheets.uri((RESULTS / "pictures" / f"{name}.jpg").read_bytes(), "jpeg")


@cache
def _shipped_picture(name: str) -> np.ndarray:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(RESULTS / "pictures" / f"{name}.jpg").convert("RGB"))


def _picture_name(own: np.ndarray | None) -> tuple[str, str]:
    """Return the picture of the URL, and a sentence if there is none of that name."""
    if own is None and st.query_params.get("picture") == OWN:  # a shared link, or a new session
        return next(iter(PICTURES)), ""
    options = (*PICTURES, OWN) if own is not None else tuple(PICTURES)
    return address.option(st.query_params, "picture", options)


def _own_picture() -> tuple[np.ndarray | None, str]:
    """Show the upload and the camera; return the reader's picture, if any, and what was wrong."""
    with st.expander("Your own picture"):
        left, right = st.columns(2)
        with left:
            upload = st.file_uploader(
                "Upload, at most 10 MB",
                type=["jpg", "jpeg", "png", "webp"],
                max_upload_size=pictures.MOST_BYTES // 2**20,
                key="picture-upload",
                on_change=_own_chosen,
                args=("picture-upload",),
            )
        with right:
            photo = None
            if st.toggle("Use the camera", key="picture-camera-on"):
                photo = st.camera_input(
                    "Camera",
                    key="picture-camera",
                    label_visibility="collapsed",
                    on_change=_own_chosen,
                    args=("picture-camera",),
                )
        st.caption("Stored only on this explorer's server, until you leave.")
    given: list[Any] = [each for each in (photo, upload) if each is not None]
    kept = st.session_state.setdefault("picture-read", {})
    found, problems = pictures.read(given, kept)
    return (found[0][0] if found else None), " ".join(problems)


def _own_chosen(key: str) -> None:
    if st.session_state.get(key) is not None:
        st.query_params["picture"] = OWN
    elif st.query_params.get("picture") == OWN:
        del st.query_params["picture"]


def _picture_chosen() -> None:
    chosen = str(st.session_state[KEY].get("picture"))
    if chosen in PICTURES:
        st.query_params["picture"] = chosen


def _go() -> None:
    """Open what was clicked; a browser may send anything, which ``opened_part`` then refuses."""
    chosen = str(st.session_state[KEY].get("go") or "")[:100]
    if chosen:
        st.query_params["at"] = chosen
    else:
        st.query_params.pop("at", None)
