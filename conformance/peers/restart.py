"""Restarts servers under load, and looks for each event afterwards.

usage: restart.py handed-over|balanced BINARY DATA RUNTIME RATE SECONDS

handed-over: this program holds the listening sockets and hands them to each server (LISTEN_FDS), as a
service manager does; the server is restarted twice.
balanced: two servers behind a haproxy that asks /readyz, each with --drain; each is restarted in turn.

Events are sent at the rate, each on a connection of its own, 200 at a time at most. Prints how many were
sent, failed and were read back; the exit code is 0 when none failed and each was read back once.
"""

import json
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

DRAIN = 2


def listening():
    """A socket that listens on a free port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    return sock


def free_port():
    """A port that was free a moment ago, none of those that the system gives to others: conformance/src/free_address.rs."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Server:
    """A process of the binary."""

    def __init__(self, binary, data, runtime, sockets=(), addresses=(), flags=()):
        command = [binary, "serve", "--data", data, "--runtime", runtime, *flags]
        if sockets:
            command += ["--http", "fd:0", "--queue-listen", "fd:1"]
            # The shell becomes the server, so that its process id is known before.
            command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"', "sh", *command]
        else:
            http, queue = addresses
            command += ["--http", f"127.0.0.1:{http}", "--queue-listen", f"127.0.0.1:{queue}"]
            command += ["--drain", str(DRAIN)]

        def hand_over():
            # Out of the way of the places that they go to.
            high = [os.dup2(sock.fileno(), 100 + at) for at, sock in enumerate(sockets)]
            for at, descriptor in enumerate(high):
                os.dup2(descriptor, 3 + at)
                os.close(descriptor)

        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=hand_over if sockets else None,
        )
        assert b"ready" in self.process.stdout.readline(), "the server did not start"

    def stop(self):
        """Asks it to end, and waits."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, f"the server ended with {code}"


class Load:
    """Events at a rate, from threads: between connecting and sending there is nothing to wait for."""

    THREADS = 200

    def __init__(self, port, rate):
        self.port, self.rate = port, rate
        self.sent, self.failed, self.slowest = 0, [], 0.0
        self.lock, self.started, self.running = threading.Lock(), time.monotonic(), True
        self.threads = [threading.Thread(target=self.run) for _ in range(self.THREADS)]
        for thread in self.threads:
            thread.start()

    def send(self, number):
        """Sends one event on a connection of its own."""
        event = json.dumps({"event": "e", "properties": {"token": "t", "n": number}})
        data = urllib.parse.quote(event)
        request = f"GET /track?data={data} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        started = time.monotonic()
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 30) as sock:
                sock.sendall(request.encode())
                while received := sock.recv(4096):
                    answer += received
        except OSError as error:
            answer += repr(error).encode()
        if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n1")):
            self.failed.append((number, answer[:80]))
        self.slowest = max(self.slowest, time.monotonic() - started)

    def run(self):
        """Sends what is due until it is told to stop."""
        while self.running:
            with self.lock:
                number = self.sent
                wait = self.started + number / self.rate - time.monotonic()
                if wait <= 0:
                    self.sent += 1
            if wait > 0:
                time.sleep(wait)
            else:
                self.send(number)

    def stop(self):
        """Ends it, and waits for the answers."""
        self.seconds = time.monotonic() - self.started
        self.running = False
        for thread in self.threads:
            thread.join()


def read_back(port):
    """The numbers of the events in the queue."""
    numbers = []
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as lines:
        while True:
            sock.sendall(b"get events\r\n" * 100)
            ended = 0
            while ended < 100:
                line = lines.readline()
                if line.startswith(b"VALUE "):
                    item = lines.read(int(line.split()[3]) + 2)
                    numbers.append(json.loads(item)["properties"]["n"])
                elif line == b"END\r\n":
                    ended += 1
                else:
                    raise AssertionError(line)
            sock.sendall(b"stats\r\n")
            left = None
            while (line := lines.readline()) != b"END\r\n":
                if line.startswith(b"STAT queue_events_items "):
                    left = int(line.split()[2])
            if not left:
                return numbers


HAPROXY = """
global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
  option httpchk GET /readyz
  default-server check inter 100ms fall 1 rise 1
frontend tracker
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  server a 127.0.0.1:{a}
  server b 127.0.0.1:{b}
"""


def ready(port):
    """Waits until haproxy has a server to send to."""
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                if b" 200 " in sock.recv(100):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("haproxy sends nothing to a server")


def handed_over(binary, data, runtime, servers, _):
    """One server on sockets of this process."""
    sockets = [listening(), listening()]
    servers["a"] = Server(binary, data, runtime, sockets)

    def restart():
        servers["a"].stop()
        servers["a"] = Server(binary, data, runtime, sockets)

    port, queue = (sock.getsockname()[1] for sock in sockets)
    return port, [queue], [restart, restart]


def balanced(binary, data, runtime, servers, processes):
    """Two servers behind haproxy."""
    port = free_port()
    places = {name: (free_port(), free_port()) for name in "ab"}

    def start(name):
        servers[name] = Server(binary, f"{data}-{name}", runtime, addresses=places[name])

    def restart(name):
        servers[name].stop()
        start(name)
        # It is back before the other one goes.
        time.sleep(1)

    for name in "ab":
        start(name)
    text = HAPROXY.format(port=port, a=places["a"][0], b=places["b"][0])
    config = pathlib.Path(f"{data}-haproxy.cfg")
    config.write_text(text, encoding="utf-8")
    processes.append(subprocess.Popen(["haproxy", "-q", "-db", "-f", config]))
    ready(port)
    queues = [queue for _, queue in places.values()]
    return port, queues, [lambda: restart("a"), lambda: restart("b")]


def main():
    how, binary, data, runtime, rate, seconds = sys.argv[1:]
    # Connections wait while no process is there.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    servers, processes = {}, []
    try:
        start = handed_over if how == "handed-over" else balanced
        port, queues, restarts = start(binary, data, runtime, servers, processes)
        load = Load(port, int(rate))
        try:
            for restart in restarts:
                time.sleep(float(seconds))
                restart()
            time.sleep(float(seconds))
        finally:
            load.stop()
        found = sorted(number for queue in queues for number in read_back(queue))
    finally:
        for process in processes:
            process.terminate()
            process.wait()
        for server in servers.values():
            server.stop()
    lost = load.sent - len(set(found))
    per_second = load.sent / load.seconds
    print(
        f"{load.sent} events at {per_second:.0f}/s over {len(restarts)} restarts: {len(load.failed)} failed, "
        f"{lost} lost, {len(found) - len(set(found))} twice, the slowest answer after {load.slowest:.2f} s"
    )
    for failure in load.failed[:5]:
        print("failed:", failure)
    sys.exit(0 if not load.failed and found == list(range(load.sent)) else 1)


if __name__ == "__main__":
    main()
