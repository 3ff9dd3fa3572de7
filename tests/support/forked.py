"""``python -m MODULE``, ``-c CODE`` and ``SCRIPT`` without the seconds that importing torch takes.

Each process has its own process ID, pipes, signals and exit code, like any that ``subprocess``
starts; only the start of the interpreter and its imports are skipped. Code and scripts import this
project themselves, from where an interpreter would: it may be another copy.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from fork_server import PROCESSES

#: Options of the interpreter that are understood; the last one takes an action.
OPTIONS = ("-u", "-I", "-W")


_Popen = subprocess.Popen  # which tests replace


@functools.cache
def _installed() -> list[str]:
    """``sys.path`` of an interpreter without a folder and a PYTHONPATH."""
    code = "import json, sys; print(json.dumps(sys.path))"
    with _Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE) as asked:
        return json.load(asked.stdout)


class _Python(_Popen):
    """``Popen`` for ``[sys.executable, ...]``; other commands start as usual."""

    def _execute_child(self, command: Any, *rest: Any) -> None:
        if isinstance(command, str) or command[0] != sys.executable:
            super()._execute_child(command, *rest)
            return
        # CPython 3.10 to 3.14 pass these positional arguments after the command: executable,
        # preexec_fn, close_fds, pass_fds [3], cwd, env, startupinfo, creationflags, shell, the
        # pipe ends p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite [9:15], restore_signals,
        # gid, gids, uid, umask, start_new_session [20].
        passed, folder, environment = rest[3:6]
        pipes = rest[9:15]
        own_session = rest[20]
        self.pid = self._forked(
            [str(word) for word in command[1:]],
            str(folder or os.getcwd()),  # noqa: PTH109 - as a text
            dict(os.environ if environment is None else environment),
            [*(end if end >= 0 else None for end in (pipes[0], pipes[3], pipes[5])), *passed],
            own_session,
        )
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _forked(self, *process: Any) -> int:
        """Start a process that runs ``_run(*process)``; return its process ID."""
        raise NotImplementedError


class Forked(_Python):
    """Forked from the process of ``fork_server``."""

    #: None for a command that was started as usual.
    _process: Any = None

    def _forked(self, words: Any, folder: Any, environment: Any, ends: Any, session: Any) -> int:
        begun, beginning = PROCESSES.Pipe(duplex=False)
        streams = [None if end is None else Connection(os.dup(end)) for end in ends]
        arguments = (words, folder, environment, streams, session, _installed(), beginning)
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


def forked_run(
    command: Sequence[str], lines: str = "", timeout: float = 300, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What ``subprocess.run`` does, with ``lines`` as input and all output captured as text."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with Forked(command, text=True, **pipes, **options) as process:
        printed, said = process.communicate(lines, timeout)
    return subprocess.CompletedProcess(command, process.returncode, printed, said)


class _Child(_Python):
    """Forked from a ``Forked`` process, so that torch is already imported here too."""

    installed: Sequence[str] = ()

    def _forked(self, *process: Any) -> int:
        words, folder, environment, ends, session = process
        pid = os.fork()
        if pid == 0:
            os._exit(_exit_code(words, folder, environment, ends, session, self.installed))
        return pid


def _exit_code(
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    ends: Sequence[int | None],
    session: bool,
    installed: Sequence[str],
) -> int:
    """Do what the interpreter would with ``words``; return the exit code.

    ``ends`` are those of standard input, output and error (None to keep this process's own), then
    the files that are passed on, which get other numbers.
    """
    for number, end in enumerate(ends[:3]):
        if end is not None:
            os.dup2(end, number)
    if session:
        os.setsid()
    # Other processes' pipes, which would stay open.
    closed_from = 3
    for end in sorted(end for end in ends[3:] if end is not None):
        os.closerange(closed_from, end)
        closed_from = end + 1
    os.closerange(closed_from, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww")
    )
    _Child.installed = installed
    subprocess.Popen = _Child  # type: ignore[misc]
    try:
        _interpret(list(words), installed)
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _interpret(words: list[str], installed: Sequence[str]) -> None:
    options = set()
    while words[0] in OPTIONS:
        options.add(words.pop(0))
        if "-W" in options:
            warnings.simplefilter(words.pop(0))  # type: ignore[arg-type]
            options.remove("-W")
    kind = words.pop(0) if words[0] in ("-c", "-m") else ""
    if kind == "-m":
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    for name in [name for name in sys.modules if name.partition(".")[0] in ("models", "roadmap")]:
        del sys.modules[name]
    beside = "" if kind else os.path.dirname(words[0])  # noqa: PTH120 - as a text
    more = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = installed if "-I" in options else [beside, *more, *installed]
    if kind == "-c":
        sys.argv = ["-c", *words[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), vars(main))
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def _run(
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    streams: Sequence[Connection | None],
    session: bool,
    installed: Sequence[str],
    _beginning: Connection,
) -> None:
    import torch

    gc.freeze()  # garbage collection would copy all memory shared with the fork server
    torch.set_num_threads(1)
    ends = [None if stream is None else stream.fileno() for stream in streams]
    os._exit(_exit_code(words, folder, environment, ends, session, installed))
