"""A cache client that talks to caches behind a proxy.

usage: cache_through_proxy.py HOST:PORT CACHE...

HOST:PORT is the proxy. Exit code 0 only when every command that the proxy knows does what it does
without one, and the keys lie on every CACHE.
"""

import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

from operations import raises, same


def connect(address):
    host, port = address.rsplit(":", 1)
    return Client((host, int(port)), connect_timeout=10, timeout=10)


proxy, *caches = (connect(address) for address in sys.argv[1:])

many = {f"key-{n}": f"value {n}".encode() for n in range(500)}
same(proxy.set_many(many, noreply=False), [])
same(proxy.get_many(list(many) + ["none"]), many)
found = [cache.get_many(list(many)) for cache in caches]
same(sum(len(items) for items in found), 500)
same([len(items) > 50 for items in found], [True] * len(caches))
same({key: value for items in found for key, value in items.items()}, many)
with_cas = proxy.gets_many(list(many))
same({key: value for key, (value, _) in with_cas.items()}, many)

for key in ("key-1", "key-2", "key-3", "key-4"):
    same(proxy.add(key, b"x", noreply=False), False)
    same(proxy.replace(key, b"two", noreply=False), True)
    same(proxy.append(key, b">", noreply=False), True)
    same(proxy.prepend(key, b"<", noreply=False), True)
    value, unique = proxy.gets(key)
    same(value, b"<two>")
    same(proxy.cas(key, b"41", unique), True)
    same(proxy.cas(key, b"x", unique), False)
    same(proxy.incr(key, 2), 43)
    same(proxy.decr(key, 1), 42)
    same(proxy.touch(key, 1000, noreply=False), True)
    same(proxy.delete(key, noreply=False), True)
    same(proxy.delete(key, noreply=False), False)
    same(proxy.get(key), None)
    same(proxy.cas(key, b"x", unique), None)
    same(proxy.incr(key, 1), None)
    same(proxy.touch(key, 1000, noreply=False), False)

# Values that look like the protocol, large ones, and what the server refuses; nothing is answered
# to the wrong request afterwards.
for value in (b"", b"\r\nEND\r\n", bytes(range(256)) * 5, b"x" * 1_000_000):
    same(proxy.set("v", value, noreply=False), True)
    same(proxy.get("v"), value)
same(proxy.set("text", b"abc", noreply=False), True)
raises(MemcacheClientError, proxy.incr, "text", 1, saying="non-numeric")
raises(MemcacheServerError, proxy.set, "v", b"x" * 2_000_000, noreply=False, saying="too large")
same(proxy.get("v"), None)
same(proxy.get("text"), b"abc")
# Without answers: what follows on the connection comes behind.
same(proxy.set_many(many, noreply=True), [])
same(proxy.delete("key-7", noreply=True), True)
same(proxy.incr("none", 1, noreply=True), None)
same(proxy.get("key-7"), None)
same(proxy.get("key-8"), b"value 8")
print("keys by cache:", *(len(items) for items in found))
