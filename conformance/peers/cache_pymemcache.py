"""Every operation of pymemcache against a cache.

usage: cache_pymemcache.py HOST:PORT

What is expected is what pymemcache's documentation and memcached's protocol.txt say.
"""

import sys
import time

from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheIllegalInputError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from operations import Recorder, raises, same

host, port = sys.argv[1].rsplit(":", 1)
server = (host, int(port))


def connect(**options):
    return Client(server, connect_timeout=10, timeout=10, **options)


def eventually(what, check):
    deadline = time.monotonic() + 20
    while not check():
        if time.monotonic() > deadline:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.1)


client = Recorder(connect())
same(client.flush_all(noreply=False), True)

# Storage, with an answer and without.
for noreply in (False, True):
    same(client.set("k", b"one", noreply=noreply), True)
    same(client.get("k"), b"one")
    same(client.add("k", b"two", noreply=noreply), noreply)
    same(client.get("k"), b"one")
    same(client.replace("k", b"two", noreply=noreply), True)
    same(client.append("k", b">", noreply=noreply), True)
    same(client.prepend("k", b"<", noreply=noreply), True)
    same(client.get("k"), b"<two>")
    same(client.delete("k", noreply=noreply), True)
    same(client.get("k"), None)
    same(client.replace("k", b"x", noreply=noreply), noreply)
    same(client.append("k", b"x", noreply=noreply), noreply)
    same(client.prepend("k", b"x", noreply=noreply), noreply)
    same(client.delete("k", noreply=noreply), noreply)
    same(client.touch("k", 100, noreply=noreply), noreply)
    same(client.get("k", "nothing"), "nothing")
    same(client.add("k", b"new", noreply=noreply), True)
    same(client.get("k"), b"new")
    same(client.touch("k", 100, noreply=noreply), True)
    same(client.delete("k", noreply=noreply), True)

    # cas: the right unique, another one, no item.
    same(client.set("c", b"1", noreply=noreply), True)
    value, unique = client.gets("c")
    same(value, b"1")
    same(client.cas("c", b"2", unique, noreply=noreply), True)
    same(client.cas("c", b"3", unique, noreply=noreply), True if noreply else False)
    same(client.get("c"), b"2")
    same(client.cas("none", b"3", unique, noreply=noreply), True if noreply else None)

    # Numbers: 64 bits, wrapping up and stopping at 0.
    same(client.set("n", b"41", noreply=noreply), True)
    same(client.incr("n", 1, noreply=noreply), None if noreply else 42)
    same(client.decr("n", 40, noreply=noreply), None if noreply else 2)
    same(int(client.get("n")), 2)
    same(client.decr("n", 3, noreply=noreply), None if noreply else 0)
    same(client.set("n", str(2**64 - 1), noreply=noreply), True)
    same(client.incr("n", 2, noreply=noreply), None if noreply else 1)
    same(int(client.get("n")), 1)
    same(client.incr("none", 1, noreply=noreply), None)
    same(client.decr("none", 1, noreply=noreply), None)

    # Many at once, in both spellings.
    many = {f"many-{n}": f"value {n}".encode() for n in range(300)}
    same(client.set_many(many, noreply=noreply), [])
    same(client.get_many(list(many) + ["none"]), many)
    same(client.set_multi({"a": b"1", "b": b"2"}, noreply=noreply), [])
    same(client.get_multi(["b", "a", "none"]), {"b": b"2", "a": b"1"})
    with_cas = client.gets_many(list(many) + ["none"])
    same({key: value for key, (value, _) in with_cas.items()}, many)
    same(len({unique for _, unique in with_cas.values()}), 300)
    same(client.delete_many(list(many), noreply=noreply), True)
    same(client.delete_multi(["a", "b"], noreply=noreply), True)
    same(client.get_many(list(many) + ["a", "b"]), {})

    same(client.set("k", b"x", noreply=noreply), True)
    same(client.flush_all(noreply=noreply), True)
    same(client.get("k"), None)
    same(client.flush_all(delay=3600, noreply=noreply), True)
same(client.gets("none"), (None, None))
same(client.gets("none", default=1, cas_default=2), (1, 2))
same(client.get_many([]), {})

# Values: any bytes, those that look like the protocol, none at all, flags, and the largest.
values = [b"", b"\r\n", b"END\r\n", b"\r\nEND\r\nSTORED\r\n", bytes(range(256)) * 5, b"\0" * 70000]
for value in values:
    same(client.set("v", value, noreply=False), True)
    same(client.get("v"), value)
unicode = connect(encoding="utf-8", allow_unicode_keys=True)
same(unicode.set("schlüssel-🦅", "žluťoučký kůň 🦅", noreply=False), True)
same(unicode.get("schlüssel-🦅"), "žluťoučký kůň 🦅".encode())
same(client.set("v", b"x", flags=2**32 - 1, noreply=False), True)
same(client.raw_command("gets v", "END\r\n").split()[:4], [b"VALUE", b"v", b"4294967295", b"1"])
large = b"x" * (1024 * 1024 - 200)
same(client.set("large", large, noreply=False), True)
same(client.get("large"), large)
same(client.set_many({f"large-{n}": large for n in range(8)}, noreply=False), [])
same(client.get("large-7"), large)

# Too large: refused, the connection goes on, and the item is not the one before any more.
refused = "object too large for cache"
for length in (1024 * 1024, 1024 * 1024 + 1, 5_000_000):
    client.set("v", b"before", noreply=False)
    raises(
        MemcacheServerError, client.set, "v", b"x" * length, noreply=False, saying=refused
    )
    same(client.get("v"), None)
    client.set("v", b"before", noreply=False)
    raises(
        MemcacheServerError, client.add, "v", b"x" * length, noreply=False, saying=refused
    )
# The same without an answer: nothing is answered to the next request in its place.
same(client.set("v", b"x" * 2_000_000, noreply=True), True)
same(client.version()[:2], b"1.")

# Keys: 250 bytes are taken; what could be taken for a command is refused by the client.
same(client.set("k" * 250, b"x", noreply=False), True)
same(client.get("k" * 250), b"x")
same(client.check_key("k", b"prefix-"), b"prefix-k")
for key in ("k" * 251, "a b", "a\r\nflush_all", "a\0b", "ü"):
    raises(MemcacheIllegalInputError, client.get, key)
    raises(MemcacheIllegalInputError, client.set, key, b"x")
raises(MemcacheClientError, client.raw_command, "get " + "k" * 251, saying="bad command line")
raises(MemcacheUnknownCommandError, client.raw_command, "bogus")

# What a server refuses.
same(client.set("text", b"abc", noreply=False), True)
raises(MemcacheClientError, client.incr, "text", 1, saying="non-numeric value")
raises(MemcacheClientError, client.decr, "text", 1, saying="non-numeric value")
raises(MemcacheClientError, client.incr, "text", -1, saying="invalid numeric delta argument")
raises(MemcacheClientError, client.incr, "text", 2**64, saying="invalid numeric delta argument")
raises(MemcacheClientError, client.touch, "k", 2**64, noreply=False, saying="invalid exptime")

# Expiry: at once, soon, at a moment, never.
same(client.set("gone", b"x", expire=-1, noreply=False), True)
same(client.get("gone"), None)
same(client.set("soon", b"x", expire=1, noreply=False), True)
eventually("an item with an exptime of 1 expires", lambda: client.get("soon") is None)
same(client.set("at", b"x", expire=int(time.time()) + 1000, noreply=False), True)
same(client.get("at"), b"x")
same(client.set("at", b"x", expire=int(time.time()) - 1000, noreply=False), True)
same(client.get("at"), None)
same(client.set("stays", b"x", expire=1000, noreply=False), True)
same(client.touch("stays", -1, noreply=False), True)
same(client.get("stays"), None)

# pymemcache has no gat and gats of its own.
client.set("g", b"x", expire=1000, noreply=False)
same(client.raw_command("gat 0 g none", "END\r\n"), b"VALUE g 0 1\r\nx\r\n")
same(client.raw_command("mg g t"), b"HD t-1")
raw = client.raw_command(b"gats 1000 g", b"END\r\n").split(b"\r\n")[0].split(b" ")
same(raw[-1], client.gets("g")[1])
client.raw_command("gat -1 g", "END\r\n")
same(client.get("g"), None)

# About the server.
version = client.version()
same(version[:4], b"1.6.")
same(version, client.stats()[b"version"])
stats = client.stats()
for name in (b"pid", b"uptime", b"time", b"curr_items", b"cmd_get", b"get_hits", b"limit_maxbytes"):
    same((name, type(stats.get(name))), (name, int))
same(client.stats("settings")[b"item_size_max"], 1024 * 1024)
same(isinstance(client.stats("items"), dict), True)
same(isinstance(client.stats("slabs"), dict), True)
raises(MemcacheUnknownError, client.stats, "reset", saying="RESET")
same(client.cache_memlimit(128), True)
same(client.stats()[b"limit_maxbytes"], 128 * 1024 * 1024)
# Newer memcached says SERVER_ERROR where older said ERROR.
refused = (MemcacheUnknownCommandError, MemcacheServerError)
raises(refused, client.shutdown)
raises(refused, client.shutdown, graceful=True)

# As a mapping; with a prefix; a client that takes errors for misses; one that expects no answers.
mapping = connect()
mapping["k"] = b"x"
same(mapping["k"], b"x")
del mapping["k"]
raises(KeyError, mapping.__getitem__, "k")
prefixed = connect(key_prefix=b"prefix:", default_noreply=False)
same(prefixed.set("k", b"x"), True)
same(prefixed.get("k"), b"x")
same(client.get("prefix:k"), b"x")

# The connection after quit, close and disconnect_all is a new one.
for end in (client.quit, client.close, client.disconnect_all):
    end()
    same(client.get("prefix:k"), b"x")

client.expect_every_operation(but=["server", "serde"])
