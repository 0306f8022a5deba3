"""Every server that is measured: how it is started, by name. Each has one thread for its connections."""

import contextlib
import dataclasses
import os

from harness import machine
from harness.processes import free_port, scratch, serving

RUNTIMES = ["tokio", "async-std", "mio"]
CONNECTIONS = "11000"


@dataclasses.dataclass
class Server:
    """One that runs."""

    process: object
    port: int


@contextlib.contextmanager
def _running(command, ports, directory, environment=None):
    with serving(command, ports, directory, environment) as process:
        yield Server(process, ports[0])


def _as_nobody(flag):
    """For servers that do not run as root."""
    return [flag, "nobody"] if os.getuid() == 0 else []


@contextlib.contextmanager
def tracker(tools, runtime, fsync):
    """`windhover serve`, to be tracked to."""
    with scratch(tools) as directory, _serve(tools, runtime, fsync, directory) as (http, _):
        yield http


@contextlib.contextmanager
def queue(tools, runtime, fsync):
    """`windhover serve`, to be queued to."""
    with scratch(tools) as directory, _serve(tools, runtime, fsync, directory) as (_, queue_):
        yield queue_


@contextlib.contextmanager
def _serve(tools, runtime, fsync, directory):
    http, listen = free_port(), free_port()
    command = [tools.windhover, "serve", "--runtime", runtime, "--threads", "1"]
    command += ["--http", f"127.0.0.1:{http}", "--queue-listen", f"127.0.0.1:{listen}"]
    command += ["--data", directory / "data", "--fsync", fsync, "--max-connections", CONNECTIONS]
    command += ["--max-queue-items", "1000000000", "--max-queue-bytes", "100000000000"]
    with serving(command, [http, listen], directory) as process:
        yield Server(process, http), Server(process, listen)


@contextlib.contextmanager
def cache(tools, runtime):
    """`windhover cache`."""
    port = free_port()
    command = [tools.windhover, "cache", "--runtime", runtime, "--threads", "1", "--memory", "1024"]
    command += ["--listen", f"127.0.0.1:{port}", "--max-connections", CONNECTIONS]
    # As memcached has it below: an item of 1 MiB, and what belongs to it.
    command += ["--max-item-size", str(2 * 1024 * 1024)]
    with scratch(tools) as directory, _running(command, [port], directory) as server:
        yield server


def memcached_version():
    return machine.output("memcached", "-V").strip()


@contextlib.contextmanager
def memcached(tools):
    port = free_port()
    command = ["memcached", *_as_nobody("-u"), "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1"]
    command += ["-c", CONNECTIONS, "-m", "1024", "-I", "2m"]
    with scratch(tools) as directory, _running(command, [port], directory) as server:
        yield server


@contextlib.contextmanager
def peer_tracker(tools, kind):
    """axum or hyper: bench/peers/src/bin/tracker.rs."""
    port = free_port()
    with scratch(tools) as directory:
        command = [tools.peer("tracker"), kind, port, directory / "events"]
        with _running(command, [port], directory) as server:
            yield server


@contextlib.contextmanager
def eventlet(tools):
    """The shape of the original: bench/peers/python/tracker.py."""
    port = free_port()
    with scratch(tools) as directory:
        command = [tools.python, tools.script("tracker.py"), port]
        with _running(command, [port], directory) as server:
            yield server


@contextlib.contextmanager
def nginx(tools):
    """It answers `1` to whatever comes."""
    port = free_port()
    with scratch(tools) as directory:
        (directory / "conf").write_text(
            f"""
            daemon off; master_process off; worker_processes 1; pid {directory}/pid;
            error_log {directory}/errors;
            events {{ worker_connections 20000; }}
            http {{
              access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k;
              client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
              fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
              scgi_temp_path {directory}/scgi;
              server {{ listen 127.0.0.1:{port} backlog=4096; return 200 "1"; }}
            }}
            """,
            encoding="utf-8",
        )
        # Debian has it where only root's PATH leads.
        command = ["/usr/sbin/nginx", "-e", directory / "errors", "-p", directory, "-c", "conf"]
        with _running(command, [port], directory) as server:
            yield server


@contextlib.contextmanager
def redis(tools, fsync):
    """With an append-only file, which `fsync`, as `windhover serve` has it, says how to sync."""
    port = free_port()
    policy = {"never": "no", "interval=1000": "everysec", "always": "always"}[fsync]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"]
    with scratch(tools) as directory, _running(command, [port], directory) as server:
        yield server


@contextlib.contextmanager
def jetstream(tools, fsync):
    """NATS with a store on the disk."""
    port = free_port()
    interval = {"never": "2m", "interval=1000": "1s", "always": "always"}[fsync]
    with scratch(tools) as directory:
        (directory / "conf").write_text(
            f"""
            listen: 127.0.0.1:{port}
            jetstream {{ store_dir: "{directory}/store", max_file: 50G, sync_interval: {interval} }}
            """,
            encoding="utf-8",
        )
        # One thread runs at a time, as with the others.
        command, environment = [tools.nats, "-c", "conf"], {"GOMAXPROCS": "1"}
        with _running(command, [port], directory, environment) as server:
            yield server
