"""Servers and loads: each on a core of its own, each ended by its own process id, each wait bounded."""

import contextlib
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time

SERVER_CORE, LOAD_CORE = 0, 1
# Seconds for a server to take connections, or to end.
TIMEOUT = 30


class Failed(Exception):
    """What a peer did instead of what was asked of it."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def raise_open_files():
    """For 10,000 connections, here and in what is started from here."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pinned(core):
    return lambda: os.sched_setaffinity(0, {core})


class Process:
    """A server that runs, and what the system tells of it."""

    def __init__(self, popen, directory, log):
        self.popen, self.directory, self._log = popen, directory, log

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self.popen.pid}/{name}").read_text(encoding="ascii")

    def _field(self, file, name):
        line = next(line for line in self._proc(file).splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1])

    def cpu(self):
        """Seconds of processor time, of all its threads. To the nanosecond: the figure for the whole process is
        kept in ticks of a hundredth of a second, too coarse for short rounds."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.popen.pid}/task").iterdir():
            # A thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9

    def resident(self):
        """Bytes of memory."""
        return self._field("status", "VmRSS") * 1024

    def written(self):
        """Bytes that the disk below its directory has written, for whomever, once it has all that there is to
        write. (What /proc has of the process counts a page again for each time that it goes to the page cache.)"""
        os.sync()
        device = self.directory.stat().st_dev
        numbers = [str(os.major(device)), str(os.minor(device))]
        disks = pathlib.Path("/proc/diskstats").read_text(encoding="ascii").splitlines()
        for disk in map(str.split, disks):
            if disk[:2] == numbers:
                return int(disk[9]) * 512
        raise Failed(f"{self.directory} lies on no disk of /proc/diskstats, and what is written to it is not told")

    def log(self):
        self._log.flush()
        return pathlib.Path(self._log.name).read_text(encoding="utf-8", errors="replace")[-2000:]


def wait_for_port(process, port):
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        if process.popen.poll() is not None:
            raise Failed(f"ended with {process.popen.returncode} before it was ready: {process.log()}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.01)
    raise Failed(f"takes no connections on port {port}: {process.log()}")


@contextlib.contextmanager
def serving(command, ports, directory, environment=None):
    """Runs `command` on the server's core until the block ends; it has to listen on `ports`."""
    with open(directory / "log", "w+", encoding="utf-8") as log:
        popen = subprocess.Popen(
            [str(word) for word in command],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=pinned(SERVER_CORE),
        )
        process = Process(popen, directory, log)
        try:
            for port in ports:
                wait_for_port(process, port)
            yield process
            if popen.poll() is not None:
                raise Failed(f"{command[0]} ended under load: {process.log()}")
        finally:
            popen.terminate()
            try:
                popen.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


@contextlib.contextmanager
def scratch(tools):
    """A directory on the disk that the project lies on: the system's own for such things may be in memory."""
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=tools.output) as name:
        yield pathlib.Path(name)


def load(command, timeout, environment=None):
    """Runs `command` on the load's core to its end: what it printed, and its seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            preexec_fn=pinned(LOAD_CORE),
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"{command[0]} did not end within {timeout} seconds") from expired
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu
