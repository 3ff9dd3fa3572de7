"""What MLflow's store and W&B's offline files hold of a run, read by the clients' own means."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from training_runs import signal_at_step, wait_for

from roadmap.runs.metrics import COLUMNS
from roadmap.train.recorder import Recorder


class Seen(NamedTuple):
    """The runs of one name in a tool: their ids, every point sent, the config and the status."""

    ids: set[str]
    points: list[tuple[str, int, float]]
    config: dict[str, Any]
    status: str


def use_local_stores(folder: Path) -> None:
    """Make both clients write to files on this machine, through services of this process."""
    os.environ.pop("WANDB_SERVICE", None)  # inherited; it lives on when this process is killed
    os.environ |= {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def stopped_in(folder: Path, step: int, number: int) -> None:
    """Use local stores in this process, and get a signal at ``step``."""
    use_local_stores(folder)
    signal_at_step(step, number)


def killed_after_epoch(folder: Path, epoch: int, sent: bool) -> None:
    """Use local stores in this process, and die after an epoch, at once or once it was ``sent``."""
    use_local_stores(folder)
    # wandb writes every 15 s by default, and what it has not written is lost.
    os.environ["WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"] = "0.02"
    whole = Recorder.write_epoch

    def write(self: Recorder, row: dict[str, Any]) -> None:
        whole(self, row)
        if row["epoch"] == epoch:
            (feed,) = self._trackers._feeds
            wait_for(lambda: not sent or feed._calls.empty())
            time.sleep(0.2 if sent else 0)
            os.kill(os.getpid(), signal.SIGKILL)

    Recorder.write_epoch = write


def killed_once_mlflow_has_its_run(folder: Path) -> None:
    """Use local stores in this process, and die before the run's id is remembered."""
    import mlflow

    use_local_stores(folder)
    whole = mlflow.MlflowClient.create_run

    def create_run(*arguments: Any, **options: Any) -> None:
        whole(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    mlflow.MlflowClient.create_run = create_run


def seen_in_mlflow(folder: Path) -> Seen:
    import mlflow

    client = mlflow.MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments()]
    wanted = f"attributes.run_name = '{folder.name}'"
    (run,) = client.search_runs(experiments, wanted)
    points = [
        (name, metric.step, metric.value)
        for name in COLUMNS[1:]
        for metric in client.get_metric_history(run.info.run_id, name)
    ]
    return Seen({run.info.run_id}, points, run.data.params, run.info.status)


def seen_in_wandb(folder: Path) -> Seen:
    ids, points, config, status = set(), [], {}, ""
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for record in _records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                ids.add(record.run.run_id)
                assert record.run.display_name == folder.name
                for item in record.run.config.update:
                    config[item.key] = json.loads(item.value_json)
            elif kind == "history":
                row = {
                    item.key or item.nested_key[0]: json.loads(item.value_json)
                    for item in record.history.item
                }
                points += [(k, row["_step"], v) for k, v in row.items() if k in COLUMNS]
            elif kind == "summary":
                for item in record.summary.update:
                    if "status" in (item.key, *item.nested_key):
                        status = json.loads(item.value_json)
    return Seen(ids, points, config, status)


def _records(path: Path) -> Iterator[Any]:
    """Records of an offline file: a header of 7 bytes, then LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    content, place, block, whole = path.read_bytes(), 7, 32768, b""
    while place + 7 <= len(content):
        if block - place % block < 7:  # the rest of a block is padding
            place += block - place % block
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
