"""A picture through two networks, from their stages down to one value.

torch is imported by the first forward pass.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.palette import ORANGE
from roadmap.tables.results import RESULTS
from roadmap.views.common import address, markup, pictures, turns
from roadmap.views.common.controls import select
from roadmap.views.picture import levels, networks, sheets
from roadmap.views.picture.levels import Shown
from roadmap.views.picture.networks import Outputs, shipped
from roadmap.views.picture.tree import Place, place

if TYPE_CHECKING:
    import numpy as np

KEY, NAME, OWN = "picture-view", "roadmap_picture", "own"
FILES = Path(__file__).parent
#: Shipped pictures; ``results/pictures/README.md`` has their credits.
PICTURES = {
    "cat": ("A cat's face", "Stefan van der Walt, CC0"),
    "flower": ("A dahlia", "vultilion, CC BY 2.0"),
    "temple": ("A pagoda above a lake", "danielbuechele, CC BY 2.0"),
    "coffee": ("A cup of coffee", "Rachel Michetti, CC0"),
    "rocket": ("A rocket before its launch", "SpaceX, public domain"),
    "astronaut": ("Astronaut Eileen Collins", "NASA, public domain"),
}
SENTENCE = "Two small networks, trained on 100 classes at 64 pixels. Hover over a map, or click to open it."
SIGNS = "".join(
    f'<span class="signs" style="--sign:{color}">{word}</span>'
    for word, color in (("positive", sheets.POSITIVE), ("negative", sheets.NEGATIVE))
)
#: Forward passes that the server keeps; one takes about 2 MB.
MOST_KEPT = 24
_component = st.components.v2.component(
    NAME,
    html='<div class="root"></div>',
    css=(FILES / "view.css").read_text(encoding="utf-8"),
    js=(FILES / "view.js").read_text(encoding="utf-8"),
)


def show() -> None:
    """Show the whole page, in one fragment."""
    _page()


@turns.fragment
def _page() -> None:
    st.html(markup.heading("Picture", 1, "title") + markup.paragraph(SENTENCE, "why"))
    titles = shipped()
    keys = tuple(titles)
    before, wrong_a = address.option(st.query_params, "a", keys)
    after, wrong_b = address.option(st.query_params, "b", (keys[-1], *keys[:-1]))
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        with st.container(width=320):
            select("picture", "a", "First network", titles, before)
        with st.container(width=320):
            select("picture", "b", "Second network", titles, after)
    notice, view = st.empty(), st.container()
    own, refused = _own_picture()
    name, wrong_picture = _picture_name(own)
    pixels = own if own is not None and name == OWN else _shipped_picture(name)
    with view, st.spinner("Loading PyTorch (first time only)"):
        shown = [_shown("a", before, pixels), _shown("b", after, pixels)]
    trees = {one.side: one.parts for one in shown}
    opened, wrong_place = place(st.query_params.get("at"), trees)
    problems = [p for p in (wrong_a, wrong_b, wrong_picture, refused, wrong_place) if p]
    if problems:
        notice.html(markup.notice(" ".join(problems)))
    with view:
        _component(
            key=KEY,
            data={"html": _html(shown, opened, name, own), "place": str(opened or "")},
            on_go_change=_go,
            on_picture_change=_picture_chosen,
        )


def _shown(side: str, key: str, pixels: np.ndarray) -> Shown:
    trained = networks.pocket(key)
    return Shown(side, shipped()[key], trained, _outputs(key, pixels))


def _outputs(key: str, pixels: np.ndarray) -> Outputs:
    return _passed(key, hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)


@st.cache_resource(show_spinner=False, max_entries=MOST_KEPT)
def _passed(key: str, _digest: str, _pixels: np.ndarray) -> Outputs:
    return networks.forward(networks.pocket(key), _pixels)


def _html(shown: list[Shown], opened: Place | None, name: str, own: np.ndarray | None) -> str:
    if opened is None:
        level = levels.overview(shown)
    else:
        level = levels.inside(next(one for one in shown if one.side == opened.side), opened)
    crumbs = levels.breadcrumb(shown, opened)
    colors = (
        f"--map-positive:{sheets.POSITIVE};--map-negative:{sheets.NEGATIVE};--map-mark:{ORANGE}"
    )
    return (
        f'<div class="picture" style="{colors}"><div class="side">{_photo(name, own)}</div>'
        f'<div>{crumbs}<div class="level">{level}</div></div></div>'
    )


# The picture


def _photo(name: str, own: np.ndarray | None) -> str:
    """Return the picture, in which receptive fields light up, and the choice of pictures."""
    if name == OWN and own is not None:
        source, (seen, credit) = (
            sheets.uri(pictures.jpeg(networks.square(own)), "jpeg"),
            ("Your picture", ""),
        )
    else:
        source, (seen, credit) = _file_uri(name), PICTURES[name]
    buttons = "".join(
        f'<button type="button" data-picture="{each}" aria-pressed="{str(each == name).lower()}" '
        f'aria-label="{escape(PICTURES[each][0])}" style="background-image:url({_file_uri(each)})">'
        "</button>"
        for each in PICTURES
    )
    return (
        f'<figure class="photo"><div class="frame"><img src="{source}" alt="{escape(seen)}">'
        f'<i class="field"></i></div><figcaption>{SIGNS}<br>{escape(credit)}<br>'
        f'<span class="seen"></span></figcaption></figure><div class="choices">{buttons}</div>'
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
    """Open what was clicked; a browser may send anything, which ``place`` then refuses."""
    chosen = str(st.session_state[KEY].get("go") or "")[:100]
    if chosen:
        st.query_params["at"] = chosen
    else:
        st.query_params.pop("at", None)
