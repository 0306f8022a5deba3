"""Every operation of pylibmc, and so of libmemcached, against a cache.

usage: cache_pylibmc.py HOST:PORT

What is expected is what pylibmc's documentation and memcached's protocol.txt say.
"""

import sys
import time

import pylibmc

from operations import Recorder, raises, same

address = sys.argv[1]
TIMEOUTS = {"connect_timeout": 10_000, "receive_timeout": 10_000_000, "send_timeout": 10_000_000}


def connect(**behaviors):
    return pylibmc.Client([address], binary=False, behaviors={**TIMEOUTS, **behaviors})


def eventually(what, check):
    deadline = time.monotonic() + 20
    while not check():
        if time.monotonic() > deadline:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.1)


# One connection that waits for answers, and others with the options that change what is sent: no
# answers wanted, everything in one write, a namespace.
for options in (
    {},
    {"tcp_nodelay": True, "no_block": True},
    {"verify_keys": True, "ketama": True},
    {"_noreply": True},
):
    noreply = options.get("_noreply", False)
    client = Recorder(connect(cas=True, **options))
    same(client.flush_all(), True)

    # Storage. Without answers, everything is taken for done.
    same(client.set("k", b"one"), True)
    same(client.get("k"), b"one")
    same(client.add("k", b"two"), noreply)
    same(client.get("k"), b"one")
    same(client.replace("k", b"two"), True)
    same(client.append("k", b">"), True)
    same(client.prepend("k", b"<"), True)
    same(client.get("k"), b"<two>")
    # libmemcached's touch asks for no answer then, and waits for one all the same.
    if not noreply:
        same(client.touch("k", 1000), True)
    same(client.delete("k"), True)
    same(client.get("k"), None)
    same(client.get("k", "nothing"), "nothing")
    if noreply:
        same(client.replace("k", b"x"), True)
        same(client.append("k", b"x"), True)
        same(client.delete("k"), True)
    else:
        same(client.replace("k", b"x"), False)
        same(client.append("k", b"x"), False)
        same(client.prepend("k", b"x"), False)
        same(client.delete("k"), False)
        same(client.touch("k", 1000), False)
    same(client.get("k"), None)
    same(client.add("k", b"new"), True)
    same(client.get("k"), b"new")

    # cas: the right unique, another one, no item.
    same(client.set("c", b"1"), True)
    value, unique = client.gets("c")
    same(value, b"1")
    same(client.cas("c", b"2", unique), True)
    same(client.get("c"), b"2")
    same(client.cas("c", b"3", unique), noreply)
    same(client.get("c"), b"2")
    if not noreply:
        raises(pylibmc.NotFound, client.cas, "none", b"3", unique)
    same(client.gets("none"), (None, None))

    # Numbers: 64 bits, stopping at 0.
    same(client.set("n", 41), True)
    if noreply:
        client.incr("n", 1)
        client.decr("n", 40)
        same(client.get("n"), 2)
    else:
        same(client.incr("n"), 42)
        same(client.decr("n", 40), 2)
        same(client.decr("n", 3), 0)
        same(client.set("n", 2**63 - 1), True)
        same(client.incr("n", 1), 2**63)
        raises(pylibmc.NotFound, client.incr, "none", 1)
        raises(pylibmc.NotFound, client.decr, "none", 1)
        same(client.set("text", b"abc"), True)
        raises(pylibmc.Error, client.incr, "text", 1)

    # Many at once.
    many = {f"many-{n}": f"value {n}".encode() for n in range(300)}
    same(client.set_multi(many), [])
    same(client.get_multi(list(many) + ["none"]), many)
    same(client.add_multi({"many-1": b"x", "fresh": b"y"}), [] if noreply else ["many-1"])
    same(client.get_multi(["1", "2"], key_prefix="many-"), {"1": b"value 1", "2": b"value 2"})
    same(client.delete_multi(list(many) + ["fresh"]), True)
    same(client.get_multi(list(many)), {})
    same(client.set_multi({"a": 1, "b": 10}), [])
    client.incr_multi(["a", "b"], delta=5)
    same(client.get_multi(["a", "b"]), {"a": 6, "b": 15})

    # Values of every type that it keeps in the flags; compressed, and as they are.
    for value in (b"", b"\r\nEND\r\nSTORED\r\n", bytes(range(256)) * 5, "žluťoučký kůň 🦅", 7,
                  -1, 1.5, None, [1, {"a": (2, 3)}], b"\0" * 70_000):
        same(client.set("v", value), True)
        same(client.get("v"), value)
    text = b"to be compressed " * 5000
    same(client.set("v", text, min_compress_len=100), True)
    same(client.get("v"), text)
    # libmemcached's check of keys, where it is asked for, lets ASCII pass only.
    if not options.get("verify_keys"):
        same(client.set("schlüssel-🦅", b"x"), True)
        same(client.get("schlüssel-🦅"), b"x")
    large = b"x" * (1024 * 1024 - 200)
    same(client.set("large", large), True)
    same(client.get("large"), large)

    # Too large: refused, the connection goes on, and the item is not the one before any more.
    if not noreply:
        for length in (1024 * 1024, 1024 * 1024 + 1, 5_000_000):
            same(client.set("v", b"before"), True)
            raises(pylibmc.TooBig, client.set, "v", b"x" * length)
            same(client.get("v"), None)

    # Expiry: at once, soon, at a moment.
    same(client.set("soon", b"x", time=1), True)
    eventually("an item with an exptime of 1 expires", lambda: client.get("soon") is None)
    same(client.set("at", b"x", time=int(time.time()) + 1000), True)
    same(client.get("at"), b"x")
    same(client.set("at", b"x", time=int(time.time()) - 1000), True)
    same(client.get("at"), None)

    # Keys: 250 bytes are taken, more are refused before anything is sent.
    same(client.set("k" * 250, b"x"), True)
    same(client.get("k" * 250), b"x")
    raises(ValueError, client.get, "k" * 251)
    raises(ValueError, client.set, "k" * 251, b"x")
    if options.get("verify_keys"):
        same(client.set("a b", b"x"), False)

    if noreply:
        # What it asks of the server, too, it takes for answered.
        same(client.flush_all(), True)
        same(client.get("k"), None)
        continue

    # About the server, and about the client.
    ((name, stats),) = client.get_stats()
    same(address in name.decode(), True)
    same(stats["version"][:4], b"1.6.")
    same(int(stats["curr_items"]) > 0, True)
    ((name, _),) = client.get_stats("settings")
    same(address in name.decode(), True)
    copy = client.clone()
    same(copy.get("k"), b"new")
    same(client.serialize(b"x"), (b"x", 0))
    same(client.deserialize(b"x", 0), b"x")
    same(isinstance(client.hash("k"), int), True)
    client.set_behaviors({"tcp_keepalive": True})
    same(client.get_behaviors()["tcp_keepalive"], 1)
    same(client.get("k"), b"new")
    client.disconnect_all()
    same(client.get("k"), b"new")
    same(client.flush_all(), True)
    same(client.get("k"), None)
    client.expect_every_operation(but=["behaviors", "behaviours"])

pool = pylibmc.ClientPool(connect(), 3)
with pool.reserve() as one, pool.reserve() as another:
    same(one.set("k", b"x"), True)
    same(another.get("k"), b"x")
namespaced = pylibmc.Client([address], behaviors=TIMEOUTS)
namespaced.behaviors["tcp_nodelay"] = True
same(namespaced.get("k"), b"x")
