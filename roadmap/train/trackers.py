"""TensorBoard, Weights & Biases and MLflow: what a run sends to each of them, behind one face."""

from __future__ import annotations

import importlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from models.text import ended
from roadmap.errors import RefusedError
from roadmap.files import read_json, write_json
from roadmap.runs.metrics import COLUMNS, METRICS, read_columns
from roadmap.runs.record import RecordError, RunRecord

#: The project in W&B and the experiment in MLflow, unless their environment variables name one.
PROJECT = "modernizing-resnet"
#: Seconds that a run waits at its end for its tools to take what is left.
PATIENCE = 60.0

Row = Mapping[str, Any]


class TrackedRun(NamedTuple):
    """A run as its tools see it: its folder, its ``config`` and the epochs already done."""

    folder: Path
    config: dict[str, Any]
    epochs: int


class Tracker:
    """One tool, for one run. Its methods are called one after the other, on one thread.

    Any of them may raise; the tool then gets nothing more until the run is resumed.
    """

    title: ClassVar[str]

    def __init__(self, run: TrackedRun):
        self.run = run

    @property
    def has_all(self) -> bool:
        """Whether the tool already has all of this finished run."""
        raise NotImplementedError

    def open(self) -> None:
        """Start the run there, or continue it."""
        raise NotImplementedError

    def write(self, row: Row) -> None:
        """Send a row of metrics.csv, unless the tool has it."""
        raise NotImplementedError

    def close(self, status: str) -> None:
        """Report the run's ``status`` as in run.json."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Release what is open, after an error."""


class TensorBoard(Tracker):
    """Event files in the run's folder."""

    title = "TensorBoard"

    @property
    def has_all(self) -> bool:
        return self._folder.exists()

    @property
    def _folder(self) -> Path:
        return self.run.folder / "events"

    def open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._first = self.run.epochs + 1 if self._folder.exists() else 1
        self._writer = SummaryWriter(str(self._folder), purge_step=self._first)

    def write(self, row: Row) -> None:
        if row["epoch"] >= self._first:
            for name, value in _metrics(row).items():
                self._writer.add_scalar(name, value, row["epoch"])
            self._writer.flush()

    def close(self, status: str) -> None:  # noqa: ARG002
        self._writer.close()


class _Remembered(Tracker):
    """A tool whose run has an id, kept in a file in the run's folder with what was sent."""

    file: ClassVar[str]

    def __init__(self, run: TrackedRun):
        super().__init__(run)
        self._sent: dict[str, Any] = {"id": None, "epochs": 0, "status": "running"}

    @property
    def has_all(self) -> bool:
        try:
            self._recall()
        except (OSError, ValueError, TypeError):
            return False  # reported when it is opened
        return self._sent["status"] == "finished" and self._sent["epochs"] >= self.run.epochs

    def _recall(self) -> None:
        path = self.run.folder / self.file
        if path.exists():
            self._sent |= read_json(path)

    def _remember(self, **values: Any) -> None:
        self._sent |= values
        write_json(self.run.folder / self.file, self._sent)


class WeightsAndBiases(_Remembered):
    """A run in W&B with one step per epoch.

    Online, the server knows which epochs it has. Offline, every part of a resumed run has a folder,
    to which wandb writes late: the folder of a part that was killed is set aside and sent again.
    """

    title, file = "W&B", "wandb.json"
    #: The exit codes that wandb itself reports for these.
    CODES: ClassVar = {"finished": 0, "failed": 1, "interrupted": 255}
    _run: Any = None

    def open(self) -> None:
        import wandb

        self._recall()
        self._set_aside()
        self._remember(id=self._sent["id"] or uuid.uuid4().hex[:12], status="running")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=self._sent["id"],
            name=self.run.folder.name,
            config=self.run.config,
            dir=os.environ.get("WANDB_DIR") or self.run.folder,
            resume="allow",
            reinit="create_new",  # the user's own run, in a notebook, stays as it is
            settings=wandb.Settings(console="off"),
        )
        offline = self._run.offline
        self._epochs = self._sent["epochs"] if offline else max(0, self._run.starting_step - 1)
        self._remember(unfinished=str(Path(self._run.dir).parent) if offline else None)

    def write(self, row: Row) -> None:
        if row["epoch"] > self._epochs:
            self._run.log(_metrics(row), step=row["epoch"], commit=True)
            self._epochs = row["epoch"]

    def close(self, status: str) -> None:
        self._run.summary["status"] = status
        self._run.finish(exit_code=self.CODES[status])
        self._remember(status=status, epochs=self._epochs, unfinished=None)

    def give_up(self) -> None:
        if self._run is not None:  # otherwise, its id stays in use in this process
            self._run.finish(exit_code=self.CODES["failed"])
            self._remember(epochs=self._epochs, unfinished=None)

    def _set_aside(self) -> None:
        """Rename the folder of a part that was killed, so that ``wandb sync`` skips it."""
        unfinished = self._sent.get("unfinished")
        if unfinished and Path(unfinished).is_dir():
            path = Path(unfinished)
            path.rename(path.with_name(f"unfinished-{path.name}"))


class MLflow(_Remembered):
    """A run in MLflow with one step per epoch."""

    title, file = "MLflow", "mlflow.json"
    STATUSES: ClassVar = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
    #: The tag by which a run is found again.
    KEY = "modernizing_resnet_run"
    #: MLflow accepts that many parameters per request.
    MOST_PARAMS = 100

    def open(self) -> None:
        import mlflow
        from mlflow.entities import Param

        self._recall()
        uri = mlflow.get_tracking_uri()
        if not mlflow.is_tracking_uri_set():  # the default depends on the working directory
            uri = self._sent.get("tracking_uri", uri)
        self._client = mlflow.MlflowClient(uri)
        if self._exists():
            self._client.update_run(self._sent["id"], status="RUNNING")
            self._remember(status="running")
        else:
            self._remember(id=self._created(), tracking_uri=uri, epochs=0, status="running")
        params = [Param(name, str(value)) for name, value in _flat(self.run.config)]
        for start in range(0, len(params), self.MOST_PARAMS):
            self._client.log_batch(
                self._sent["id"], params=params[start : start + self.MOST_PARAMS]
            )
        # Killed while it sent a row, a run may have sent a part of it.
        self._known = {
            (name, metric.step)
            for name in COLUMNS[1:]
            for metric in self._client.get_metric_history(self._sent["id"], name)
        }

    def write(self, row: Row) -> None:
        from mlflow.entities import Metric

        epoch, now = row["epoch"], int(1000 * time.time())
        metrics = [
            Metric(name, value, now, epoch)
            for name, value in _metrics(row).items()
            if (name, epoch) not in self._known
        ]
        if metrics:
            self._client.log_batch(self._sent["id"], metrics=metrics)
        self._remember(epochs=epoch)

    def close(self, status: str) -> None:
        self._client.set_terminated(self._sent["id"], self.STATUSES[status])
        self._remember(status=status)

    def _exists(self) -> bool:
        """Return whether the remembered run is in this store, which may be another one now."""
        from mlflow.exceptions import MlflowException

        if self._sent["id"] is None:
            return False
        try:
            self._client.get_run(self._sent["id"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def _created(self) -> str:
        """Create a run and return its id, or that of one created before its id was remembered."""
        experiment = self._experiment()
        key = self._sent.get("key") or uuid.uuid4().hex
        self._remember(key=key)
        for run in self._client.search_runs([experiment], f"tags.{self.KEY} = '{key}'"):
            return str(run.info.run_id)
        name = self.run.folder.name
        started = self._client.create_run(experiment, tags={self.KEY: key}, run_name=name)
        return str(started.info.run_id)

    def _experiment(self) -> str:
        """Return the id of the experiment, which another run may create at this moment."""
        from mlflow.exceptions import MlflowException

        if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise error
            return str(found.experiment_id)


TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
#: Per tracker: what is imported, and the extra and the package that install it.
_PACKAGES = {
    "tensorboard": ("torch.utils.tensorboard", "train", "tensorboard"),
    "wandb": ("wandb", "wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow", "mlflow-skinny sqlalchemy alembic"),
}


def check_trackers(names: Iterable[str]) -> None:
    """Raise ``RefusedError`` if the package of a tracker is missing or W&B has no login."""
    for name in names:
        module, extra, package = _PACKAGES[name]
        try:
            importlib.import_module(module)
        except ImportError:
            raise RefusedError(
                f"--{name} needs the {package.split()[0]} package: install this project with the "
                f"[{extra}] extra, or run pip install {package}"
            ) from None
        if name == "wandb":
            _check_login()


def _check_login() -> None:
    """Let wandb ask for the API key now, where there is a terminal, not during the training."""
    import wandb

    if os.environ.get("RANK", "0") != "0" or wandb.setup().settings.mode != "online":
        return
    outer = os.environ.get("WANDB_SERVICE")
    try:
        wandb.login()
    except wandb.errors.UsageError:
        raise RefusedError(
            "--wandb needs an API key: run wandb login, set WANDB_API_KEY, or set "
            "WANDB_MODE=offline to write files for wandb sync"
        ) from None
    except wandb.Error:
        pass  # no network, or a wrong key: the run says so once it reports
    finally:
        # The runs of a sweep use services of their own: in a shared one, the run of a process that
        # was killed stays in use.
        if outer is None:
            os.environ.pop("WANDB_SERVICE", None)


class Trackers:
    """The tools that a run reports to, each on a thread of its own.

    A tool that fails or hangs costs the run nothing but one sentence to ``say``.
    """

    def __init__(
        self,
        names: Iterable[str],
        folder: Path,
        record: RunRecord,
        history: Sequence[Row],
        say: Callable[[str], None],
    ):
        run = TrackedRun(folder, _config(record), len(history))
        self._feeds = [_Feed(TRACKERS[name](run), history, say) for name in names]

    def write(self, row: Row) -> None:
        """Send a row of metrics.csv."""
        for feed in self._feeds:
            feed.call(feed.tracker.write, row)

    def close(self, status: str) -> None:
        """Report how the run ended, and wait until all is sent, for at most ``PATIENCE``."""
        for feed in self._feeds:
            feed.call(feed.tracker.close, status)
        end = time.monotonic() + PATIENCE
        for feed in self._feeds:
            feed.close(end)


def send_finished(
    names: Sequence[str], folder: Path, record: RunRecord, say: Callable[[str], None]
) -> None:
    """Send a finished run to the tools that do not have all of it."""
    if not names:
        return
    try:
        rows = _rows(folder)
    except (OSError, RecordError) as error:
        say(f"nothing was sent to {', '.join(names)}: {ended(str(error))}")
        return
    run = TrackedRun(folder, _config(record), len(rows))
    missing = [name for name in names if not TRACKERS[name](run).has_all]
    Trackers(missing, folder, record, rows, say).close("finished")


class _Feed:
    """Calls a tracker's methods in order, on a thread, until one of them fails."""

    def __init__(self, tracker: Tracker, history: Iterable[Row], say: Callable[[str], None]):
        self.tracker, self._say = tracker, say
        self._warned = False
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.call(tracker.open)
        for row in history:
            self.call(tracker.write, row)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def call(self, method: Callable[..., None], *values: Any) -> None:
        self._calls.put(partial(method, *values))

    def close(self, end: float) -> None:
        """Wait for the calls so far, until ``end`` of the monotonic clock."""
        self._calls.put(None)
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            self._warn("no answer")

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call()
        except Exception as error:  # whatever a client, a server or a disk may do
            self._warn(f"{type(error).__name__}: {error}")
            with suppress(Exception):
                self.tracker.give_up()

    def _warn(self, reason: str) -> None:
        """Say once that the tool failed."""
        if not self._warned:
            self._warned = True
            self._say(
                f"{self.tracker.title} failed ({' '.join(reason.split())}); the training does not "
                "depend on it, and the same command later sends what is missing there"
            )


def _config(record: RunRecord) -> dict[str, Any]:
    """Return the step, seed, data, recipe and network of a run."""
    content = record.to_json()
    names = ("roadmap", "step", "seed", "scale", "precision", "recipe", "config")
    return {name: content[name] for name in names} | {"data": record.data}


def _flat(config: Mapping[str, Any], start: str = "") -> list[tuple[str, Any]]:
    """Return the values in ``config`` with names such as ``recipe.lr``."""
    found: list[tuple[str, Any]] = []
    for name, value in config.items():
        found += (
            _flat(value, f"{start}{name}.") if isinstance(value, dict) else [(start + name, value)]
        )
    return found


def _metrics(row: Row) -> dict[str, float]:
    return {name: row[name] for name in COLUMNS[1:] if row[name] is not None}


def _rows(folder: Path) -> list[Row]:
    """Return the rows of metrics.csv. Raises as ``read_columns``."""
    columns = read_columns(folder / METRICS)
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return [row | {"epoch": int(row["epoch"] or 0)} for row in rows]
