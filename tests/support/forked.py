"""``python -m MODULE`` without the seconds that importing torch takes: forked, then run.

Each process has its own process ID, pipes, signals and exit code, like any that ``subprocess``
starts; only the start of the interpreter and its imports are skipped.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from training_runs import PROCESSES


class _Module(subprocess.Popen):
    """``Popen`` for ``[sys.executable, "-m", MODULE, ...]``; other commands start as usual."""

    def _execute_child(self, command: Any, *rest: Any) -> None:
        if list(command[:2]) != [sys.executable, "-m"]:
            super()._execute_child(command, *rest)
            return
        # CPython 3.10 to 3.14 pass these positional arguments after the command: executable,
        # preexec_fn, close_fds, pass_fds, cwd [4], env [5], startupinfo, creationflags, shell, the
        # pipe ends p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite [9:15], restore_signals,
        # gid, gids, uid, umask, start_new_session [20].
        folder, environment = rest[4:6]
        pipes = rest[9:15]
        own_session = rest[20]
        self.pid = self._forked(
            list(command[2:]),
            folder or os.getcwd(),  # noqa: PTH109 - as a text
            dict(os.environ if environment is None else environment),
            [end if end >= 0 else None for end in (pipes[0], pipes[3], pipes[5])],
            own_session,
        )
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _forked(self, *process: Any) -> int:
        """Start a process that runs ``_run(*process)``; return its process ID."""
        raise NotImplementedError


class Forked(_Module):
    """Forked from the fork server of ``training_runs``."""

    #: None for a command that was started as usual.
    _process: Any = None

    def _forked(self, words: Any, folder: Any, environment: Any, ends: Any, session: Any) -> int:
        begun, beginning = PROCESSES.Pipe(duplex=False)
        streams = [None if end is None else Connection(os.dup(end)) for end in ends]
        arguments = (words, folder, environment, streams, session, beginning)
        self._process = PROCESSES.Process(target=_run, args=arguments, daemon=True)
        self._polling = threading.Lock()
        self._process.start()
        for stream in (*streams, beginning):
            if stream is not None:
                stream.close()  # or it would not end with the process
        begun.poll(None)  # closed: the process has its session, or has ended
        begun.close()
        assert self._process.pid
        return self._process.pid

    def _internal_poll(self, *arguments: Any, **options: Any) -> int | None:
        if self._process is None:
            return super()._internal_poll(*arguments, **options)
        if self.returncode is None:
            with self._polling:  # the server's report of an exit can be read only once
                self.returncode = self._process.exitcode
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._process is None:
            return super()._wait(timeout)
        if self.returncode is None and not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self._internal_poll()
        assert self.returncode is not None
        return self.returncode


class _Child(_Module):
    """Forked from a ``Forked`` process, so that torch is already imported here too."""

    def _forked(self, *process: Any) -> int:
        words, folder, environment, ends, session = process
        pid = os.fork()
        if pid == 0:
            os._exit(_exit_code(words, folder, environment, ends, session))
        return pid


def _exit_code(
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    ends: Sequence[int | None],
    session: bool,
) -> int:
    """Run a module as the interpreter would; return the exit code."""
    for number, end in enumerate(ends):
        if end is not None:
            os.dup2(end, number)
    if session:
        os.setsid()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # other processes' pipes, which would stay open
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww")
    )
    subprocess.Popen = _Child  # type: ignore[misc]
    sys.argv = list(words)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _run(
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    streams: Sequence[Connection | None],
    session: bool,
    _beginning: Connection,
) -> None:
    import torch

    gc.freeze()  # garbage collection would copy all memory shared with the fork server
    torch.set_num_threads(1)
    ends = [None if stream is None else stream.fileno() for stream in streams]
    os._exit(_exit_code(words, folder, environment, ends, session))
