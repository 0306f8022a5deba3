"""Compressed values of pymemcache and pylibmc: stores them for others, or loads what others stored.

usage: compressed.py pymemcache|pylibmc store|load HOST:PORT

Exit code 0 only when, loading, every value is what it was before it was compressed.
"""

import sys

# What compressed.rs has too.
VALUES = {
    "text": "žluťoučký kůň, again and again; " * 500,
    "bytes": bytes(range(256)) * 100,
    "short": "not worth it",
}
# The length from which pymemcache compresses, unless it is told otherwise.
LEAST = 400


class Pymemcache:
    def __init__(self, address):
        from pymemcache.client.base import Client
        from pymemcache.serde import CompressedSerde

        host, port = address.rsplit(":", 1)
        serde = CompressedSerde(min_compress_len=LEAST)
        self.client = Client((host, int(port)), serde=serde, connect_timeout=10, timeout=10)

    def store(self, key, value):
        return self.client.set(key, value, noreply=False)

    def load(self, key):
        return self.client.get(key)


class Pylibmc:
    def __init__(self, address):
        import pylibmc

        self.client = pylibmc.Client([address])

    def store(self, key, value):
        return self.client.set(key, value, min_compress_len=LEAST)

    def load(self, key):
        return self.client.get(key)


def main():
    library, what, address = sys.argv[1:]
    client = {"pymemcache": Pymemcache, "pylibmc": Pylibmc}[library](address)
    for key, value in VALUES.items():
        if what == "store":
            if not client.store(key, value):
                sys.exit(f"{key} was not stored")
        elif (loaded := client.load(key)) != value:
            sys.exit(f"{key}: expected {value[:40]!r}…, got {loaded!r:.80}")


main()
