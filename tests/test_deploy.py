"""The files for public hosts. No container is built here: docs/deploy.md says what was tried."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from distribution import FOLDERS, SOURCES
from streamlit.testing.v1 import AppTest

from roadmap import cli
from roadmap.tables.results import read_rows

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
#: Continued lines of the Dockerfile as one.
DOCKERFILE = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
LAST_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]


def instruction(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", LAST_STAGE, re.M)


def test_the_image_runs_as_nobody_special_and_writes_to_one_volume():
    user, folder, volume = (instruction(name)[0] for name in ("USER", "WORKDIR", "VOLUME"))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert folder == volume == "/data"
    assert LAST_STAGE.index("\nUSER ") < LAST_STAGE.index("\nCMD ")
    variables = dict(word.split("=") for line in instruction("ENV") for word in line.split())
    assert variables["ROADMAP_PUBLIC"] == "1"


def test_the_image_starts_and_asks_the_explorer_on_its_port():
    command, *options = json.loads(instruction("CMD")[0])
    assert f'{command} = "roadmap.__main__:main"' in (ROOT / "pyproject.toml").read_text()
    assert options == ["app", "--address", "0.0.0.0"]
    port = instruction("EXPOSE")[0]
    assert port == str(cli.app_command.__defaults__[0])
    asked = json.loads(instruction("HEALTHCHECK")[0].partition("CMD ")[2])
    compile(asked[-1], "health check", "exec")
    assert f"http://localhost:{port}/_stcore/health" in asked[-1]


def let_in(path: str) -> bool:
    """Whether .dockerignore leaves ``path`` in: the last line that fits it decides."""
    found = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        words = re.split(r"(\*\*/|\*)", pattern)
        parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
        fits = "".join(parts.get(word) or re.escape(word) for word in words) + "(?:/.*)?"
        if re.fullmatch(fits, path):
            found = line.startswith("!")
    return found


def test_the_image_gets_what_a_wheel_is_built_from_and_nothing_else():
    left_in = {path.name for path in ROOT.iterdir() if let_in(path.name)}
    assert left_in == {*SOURCES, *FOLDERS} - {".streamlit"}
    assert let_in(".streamlit/config.toml")
    assert not let_in(".streamlit/secrets.toml")
    assert let_in("results/runs/digits/resnet50-baseline-seed0/run.json")
    run = "results/runs/digits/resnet50-baseline-seed0"
    for path in (f"{run}/checkpoints/last.pt", f"{run}/weights.safetensors", f"{run}/train.log"):
        assert not let_in(path)
    for path in ("results/runs/.background/task.json", "roadmap/views/__pycache__/a.pyc"):
        assert not let_in(path)


@pytest.mark.parametrize("name", ["compose.yaml", "deploy/replicas.yaml"])
def test_composed_services_are_read_only_but_for_their_volumes(name):
    composed = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    for service in composed["services"].values():
        assert service["read_only"] is True
        named = [volume.partition(":")[0] for volume in service["volumes"]]
        for volume in named:
            here = volume.startswith("./")
            assert (
                ((ROOT / name).parent / volume).is_file() if here else volume in composed["volumes"]
            )
    explorer = composed["services"]["explorer"]
    assert explorer["volumes"] == ["results:/data"]
    assert explorer["tmpfs"] == "/tmp"
    assert explorer["cap_drop"] == ["ALL"]
    assert ((ROOT / name).parent / explorer["build"] / "Dockerfile").is_file()


def test_both_composed_explorers_are_the_same_but_for_their_number():
    one, several = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["services"]["explorer"]
        for name in ("compose.yaml", "deploy/replicas.yaml")
    )
    own = {"build", "ports", "deploy", "cpus"}
    assert {key: one[key] for key in one.keys() - own} == {
        key: several[key] for key in several.keys() - own
    }
    assert "ports" not in several


def test_the_balancer_keeps_visitors_by_a_cookie_and_takes_what_the_explorer_takes():
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert re.search(r"^\s*lb_policy cookie \w+$", text, re.M)
    assert re.search(rf"^\s*dynamic a explorer {instruction('EXPOSE')[0]} ", text, re.M)
    most = int(re.search(r"max_size (\d+)MB", text)[1])
    config = (ROOT / ".streamlit/config.toml").read_text(encoding="utf-8")
    uploads = re.search(r"^maxUploadSize = (\d+)$", config, re.M)
    assert uploads is None or most > int(uploads[1])


@pytest.mark.skipif(shutil.which("caddy") is None, reason="wants caddy")
def test_caddy_reads_the_file():
    command = ["caddy", "adapt", "--validate", "--config", str(DEPLOY / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_space_names_the_port_of_the_image():
    text = (DEPLOY / "huggingface/README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["sdk"] == "docker"
    assert str(head["app_port"]) == instruction("EXPOSE")[0]
    assert len(head["short_description"]) <= 60  # or the host refuses it


def test_the_community_cloud_page_is_the_app():
    folder = DEPLOY / "community-cloud"
    app = AppTest.from_file(str(folder / "streamlit_app.py"), default_timeout=60).run()
    assert not app.exception
    assert any("ResNet" in page.proto.body for page in app.get("html"))
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    included = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    assert [(folder / path).resolve() for path in included] == [ROOT / "requirements.txt"]


def test_measured_figures_in_the_text_are_the_tables():
    table = read_rows("measured/app_load")
    measured = {row["sessions"]: row for row in table if row["what"] == "control"}
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| (\d+)% \| (\d+) \|$", text, re.M)
    assert len(rows) == 3
    for sessions, median, p95, share, megabytes in rows:
        row = measured[sessions]
        assert (float(median), float(p95)) == (float(row["median_s"]), float(row["p95_s"]))
        assert int(share) == round(100 * float(row["cpu_share"]))
        assert megabytes == row["server_mb"]


def test_hostile_figures_in_the_texts_are_the_tables():
    rows = read_rows("measured/app_hostile_memory")
    now = [row for row in rows if row["rows"] == "now"]
    server = max(int(row["server_mb"]) for row in now)
    both = max(int(row["server_mb"]) + int(row["children_mb"]) for row in now)
    together = f"{both} MB together with the "
    for name, alone in (
        ("docs/deploy.md", f"took up to {server} MB,"),
        ("results/measured/README.md", f"up to {server} MB, without growth"),
    ):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        assert alone in text
        assert together in text
