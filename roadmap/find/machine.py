"""``python -m roadmap.find.machine``: the devices of this machine, as JSON.

Asked in a process of its own, so that the asking one imports no torch and holds no GPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

from roadmap.errors import RefusedError
from roadmap.tables.results import START

#: Kinds of devices, the fastest first.
KINDS = ("cuda", "mps", "cpu")
SECONDS = 120


@cache
def devices() -> dict[str, str]:
    """Return the hardware's name by kind of device, the fastest first.

    Raises ``RefusedError`` if PyTorch does not start.
    """
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "roadmap.find.machine"],
            cwd=START,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        raise RefusedError("PyTorch does not start on this machine, so nothing is measured") from (
            None
        )


def main() -> None:
    from roadmap.device import DeviceError, checked_device, device_name

    found = {}
    for kind in KINDS:
        try:
            found[kind] = device_name(checked_device(kind))
        except (DeviceError, RuntimeError):
            continue
    print(json.dumps(found))


if __name__ == "__main__":
    main()
