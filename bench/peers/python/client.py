"""Clients of a cache in Python, as bench/peers/src/bin/client.rs has those in Rust: the same work, the same line.

usage: client.py pymemcache|pylibmc WORK PORT SECONDS
"""

import sys
import threading
import time

KEY, KEYS = "bench:item:0042", [f"bench:item:{at:04}" for at in range(100)]
VALUE, TOGETHER, THREADS = b"v" * 100, 64, 8


def pymemcache(port):
    from pymemcache.client.base import Client

    client = Client(("127.0.0.1", port), no_delay=True, timeout=10)
    return client, lambda: client.set(KEY, VALUE, noreply=False), client.get_many, refused_of(
        lambda items: client.set_many(items, noreply=False)
    )


def pylibmc(port):
    import pylibmc as library

    client = library.Client([f"127.0.0.1:{port}"], behaviors={"tcp_nodelay": True})
    return client, lambda: client.set(KEY, VALUE), client.get_multi, refused_of(client.set_multi)


def refused_of(set_many):
    def checked(items):
        assert not set_many(items), "not all were stored"

    return checked


def work(name, client):
    """A call, and how many operations it is."""
    client, set_one, get_many, set_many = client

    def get():
        assert client.get(KEY) == VALUE

    def keys():
        found = get_many(KEYS)
        assert len(found) == len(KEYS) and set(found.values()) == {VALUE}

    items = dict.fromkeys(KEYS[:TOGETHER], VALUE)
    return {
        "get": (get, 1),
        "threads-apart": (get, 1),
        "set": (lambda: set_one() or sys.exit("not stored"), 1),
        "set-many": (lambda: set_many(items), TOGETHER),
        "keys": (keys, len(KEYS)),
    }[name]


def main():
    client, name, port, seconds = sys.argv[1:]
    connect, port, seconds = {"pymemcache": pymemcache, "pylibmc": pylibmc}[client], int(port), float(seconds)
    begin = time.monotonic() + 0.3 + seconds / 4
    end = begin + seconds
    done, failures = [], []

    def run():
        try:
            call, operations = work(name, connect(port))
            count, now = 0, time.monotonic()
            while now < end:
                call()
                now = time.monotonic()
                if begin <= now < end:
                    count += operations
            done.append(count)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=run) for _ in range(THREADS if name == "threads-apart" else 1)]
    for thread in threads:
        thread.start()
    time.sleep(begin - time.monotonic())
    before = time.process_time()
    time.sleep(end - time.monotonic())
    cpu = time.process_time() - before
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(1)
    print(sum(done), seconds, cpu)


if __name__ == "__main__":
    main()
