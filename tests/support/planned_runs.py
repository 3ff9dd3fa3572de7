"""Records of runs that were planned and never trained."""

from __future__ import annotations

from roadmap.runs.record import RunPoint, RunRecord
from roadmap.train.data.split import Source
from roadmap.train.settings import Settings, trained_config


def planned_record(settings: Settings, source: Source, status: str = "finished") -> RunRecord:
    """What a run of ``settings`` on ``source`` would record, by one process on a CPU."""
    return RunRecord(
        **settings.identity(trained_config(settings), settings.device or "cpu"),
        status=status,
        point=RunPoint(**settings.point) if settings.point else None,
        recipe_name=settings.recipe_name,
        data=source.name,
        data_sha256="0" * 64,
        classes=len(source.class_names),
        class_names=source.class_names if source.named else None,
        train_images=len(source.train.labels),
        val_images=len(source.val.labels),
        compiled=settings.compiled,
        device="a CPU",
        processes=1,
        versions={},
        date="2026-01-01",
        wall_seconds=1.0,
        scores={"top1": 60.5} if status == "finished" else {},
    )
