"""A page of the explorer run by Streamlit's own test harness."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

TIMEOUT = 60  # seconds


def script(page: str) -> str:
    """What runs the page in ``roadmap/views/<page>/`` alone."""
    return f"from roadmap.views.{page} import page\npage.show()"


def opened(page: str, **parameters: str) -> AppTest:
    """``page``, the URL saying ``parameters``."""
    return run(AppTest.from_string(script(page), default_timeout=TIMEOUT), **parameters)


def run(app: AppTest, **parameters: str) -> AppTest:
    for name, value in parameters.items():
        app.query_params[name] = value
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception
    assert not app.warning
    return app


def html(app: AppTest) -> str:
    """All HTML of the page but its scripts."""
    parts = (element.proto for element in app.get("html"))
    return "\n".join(part.body for part in parts if not part.unsafe_allow_javascript)


def view(app: AppTest) -> str:
    """The HTML of the page's one component."""
    (component,) = app.get("bidi_component")
    return json.loads(component.proto.json)["html"]


def title(app: AppTest) -> str:
    """Of the step or network that is shown."""
    return html(app).split('class="step">')[1].split("<")[0]


def address(app: AppTest) -> dict[str, str]:
    """The parameters of the URL."""
    values = dict(app.query_params)
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}
