"""One client puts items on three queue servers, the second of which hangs after two seconds.

usage: outage.py python-memcached|pymemcache WINDHOVER SECONDS
"""

import collections
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PAUSE = 0.02


def start(binary, directory):
    server = subprocess.Popen(
        [binary, "serve", "--http", "127.0.0.1:0", "--queue-listen", "127.0.0.1:0"]
        + ["--data", directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in server.stdout:
        if line.startswith("  queue "):
            address = line.split()[1]
        if line.startswith("read back"):
            break
    host, port = address.rsplit(":", 1)
    return server, (host, int(port))


def python_memcached(addresses):
    import memcache

    client = memcache.Client([f"{host}:{port}" for host, port in addresses])
    # The first of the pair chooses the server.
    return lambda n, item: client.set((n, "events"), item)


def pymemcache(addresses):
    from pymemcache.client.hash import HashClient

    class InTurn:
        """Every server will do."""

        def __init__(self):
            self.nodes, self.turn = [], 0

        def add_node(self, node):
            self.nodes.append(node)

        def remove_node(self, node):
            self.nodes.remove(node)

        def get_node(self, _key):
            self.turn += 1
            return self.nodes[self.turn % len(self.nodes)] if self.nodes else None

    client = HashClient(addresses, hasher=InTurn, connect_timeout=3, timeout=3)
    return lambda _n, item: client.set("events", item, noreply=False)


def drain(address):
    items = []
    with socket.create_connection(address, 10) as peer:
        stream = peer.makefile("rwb")
        while True:
            stream.write(b"get events\r\n")
            stream.flush()
            line = stream.readline()
            if line == b"END\r\n":
                return items
            items.append(stream.read(int(line.split()[3]) + 2)[:-2].decode())
            stream.readline()


name, binary, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
with tempfile.TemporaryDirectory() as directory:
    started = [start(binary, os.path.join(directory, str(n))) for n in range(3)]
    servers, addresses = [server for server, _ in started], [address for _, address in started]
    hang = threading.Timer(2, lambda: servers[1].send_signal(signal.SIGSTOP))
    try:
        put = {"python-memcached": python_memcached, "pymemcache": pymemcache}[name](addresses)
        told, longest, late, stored = collections.Counter(), 0.0, 0, []
        hang.start()
        until = time.monotonic() + seconds
        n = 0
        while time.monotonic() < until:
            n += 1
            begun = time.monotonic()
            try:
                outcome = repr(put(n, f"item-{n}"))
            except Exception as error:  # whatever the client makes of it
                outcome = type(error).__name__
            took = time.monotonic() - begun
            longest, late = max(longest, took), late + (took > 0.5)
            told[outcome] += 1
            if outcome in ("True", "1", "256"):
                stored.append(f"item-{n}")
            time.sleep(PAUSE)
        arrived = set(drain(addresses[0])) | set(drain(addresses[2]))
        servers[1].send_signal(signal.SIGCONT)
        arrived |= set(drain(addresses[1]))
        print(
            f"{name}: {n} items in {seconds:.0f} s; told {dict(told)}; "
            f"{n - len(stored)} not said to be stored, {len(set(stored) - arrived)} said to be and "
            f"not there; longest call {longest:.2f} s, {late} over 0.5 s"
        )
    finally:
        hang.cancel()
        for server in servers:
            server.send_signal(signal.SIGCONT)
            server.terminate()
            server.wait(30)
