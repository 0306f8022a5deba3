"""Every operation of meta-memcache, a client that speaks meta commands only, against a cache.

usage: cache_meta_memcache.py HOST:PORT

What is expected is what meta-memcache's documentation and memcached's protocol.txt say.
"""

import socket
import sys

from meta_memcache import (
    CacheClient,
    Conflict,
    Key,
    LeasePolicy,
    MemcacheServerError,
    Miss,
    MixedSerializer,
    NotStored,
    RecachePolicy,
    RequestFlags,
    ServerAddress,
    SetMode,
    StalePolicy,
    Success,
    Value,
    connection_pool_factory_builder,
)
from meta_memcache.protocol import MA_MODE_DEC, MA_MODE_INC
from meta_memcache_socket import MemcacheSocket

from operations import Recorder, raises, same

host, port = sys.argv[1].rsplit(":", 1)


def connect(**options):
    return CacheClient.cache_client_from_servers(
        servers=[ServerAddress(host, int(port))],
        connection_pool_factory_fn=connection_pool_factory_builder(
            connection_timeout=10, recv_timeout=10
        ),
        **options,
    )


class Plain(MixedSerializer):
    """Compresses nothing."""

    COMPRESSION_THRESHOLD = 2**40


def open_socket():
    return MemcacheSocket(socket.create_connection((host, int(port)), timeout=10))


raw = Recorder(open_socket())
same(raw.raw_cmd(b"flush_all"), b"OK")
cache = Recorder(connect())

# Reading and writing, with an answer and quietly.
for no_reply in (False, True):
    same(cache.set("k", "one", ttl=1000, no_reply=no_reply), True)
    same(cache.get("k"), "one")
    same(cache.refill("k", "two", ttl=1000, no_reply=no_reply), no_reply)
    same(cache.get("k"), "one")
    same(cache.set("k", "two", ttl=0, set_mode=SetMode.REPLACE, no_reply=no_reply), True)
    same(cache.set("k", ">", ttl=0, set_mode=SetMode.APPEND, no_reply=no_reply), True)
    same(cache.set("k", "<", ttl=0, set_mode=SetMode.PREPEND, no_reply=no_reply), True)
    same(cache.get("k"), "<two>")
    same(cache.set("k", "x", ttl=0, set_mode=SetMode.ADD, no_reply=no_reply), no_reply)
    same(cache.touch("k", ttl=1000, no_reply=no_reply), True)
    same(cache.delete("k", no_reply=no_reply), True)
    same(cache.get("k"), None)
    same(cache.delete("k", no_reply=no_reply), no_reply)
    same(cache.invalidate("k", no_reply=no_reply), True)
    same(cache.touch("k", ttl=1000, no_reply=no_reply), False)
    for mode in (SetMode.REPLACE, SetMode.APPEND, SetMode.PREPEND):
        same(cache.set("k", "x", ttl=0, set_mode=mode, no_reply=no_reply), no_reply)
    same(cache.get("k"), None)
    same(cache.refill("k", "new", ttl=1000, no_reply=no_reply), True)
    same(cache.get("k"), "new")
    same(cache.invalidate("k", no_reply=no_reply), True)
    same(cache.get("k"), None)

    # Numbers.
    same(cache.delta("n", 1, no_reply=no_reply), no_reply)
    same(cache.delta_initialize("n", 1, initial_value=40, initial_ttl=1000, no_reply=no_reply), True)
    same(cache.delta("n", 3, no_reply=no_reply), True)
    same(cache.delta_and_get("n", -1), 42)
    same(cache.delta("n", -100, no_reply=no_reply, refresh_ttl=500), True)
    same(cache.delta_and_get("n", 2), 2)
    same(cache.delete("n"), True)
same(cache.delta_and_get("n", 1), None)
same(cache.delta_initialize_and_get("n", 1, initial_value=7, initial_ttl=1000), 7)
same(cache.delta_initialize_and_get("n", 5, initial_value=7, initial_ttl=1000), 12)
same(cache.set("text", "abc", ttl=0), True)
raises(MemcacheServerError, cache.delta_and_get, "text", 1)

# cas: the right token, another one; as stale where it is older.
token = cache.set_cas("c", "1", ttl=1000)
same(type(token), int)
same(cache.get_cas("c"), ("1", token))
newer = cache.set_cas("c", "2", ttl=1000, cas_token=token)
same(newer > token, True)
same(cache.set_cas("c", "3", ttl=1000, cas_token=token), None)
same(cache.set("c", "3", ttl=1000, cas_token=token), False)
same(cache.delete("c", cas_token=token), False)
same(cache.get_cas("none"), (None, None))
same(cache.multi_get_cas(["c", "none"]), {Key("c"): ("2", newer), Key("none"): (None, None)})
stale = StalePolicy(mark_stale_on_deletion_ttl=1000, mark_stale_on_cas_mismatch=True)
same(cache.set("c", "stale", ttl=1000, cas_token=token, stale_policy=stale), True)
same(cache.get("c"), None)  # this client has won the right to recache it
same(cache.get("c"), "stale")
same(cache.set("c", "4", ttl=1000), True)
same(cache.delete("c", stale_policy=stale), True)
same(cache.get("c"), None)
same(cache.get("c"), "4")
same(cache.invalidate("c", cas_token=token, stale_policy=stale), False)
same(cache.delta("n", 1, cas_token=1), False)

# Types.
same(cache.get_typed("c", str), "4")
same(cache.get_typed("c", int), None)
raises(ValueError, cache.get_typed, "c", int, error_on_type_mismatch=True)
same(cache.get_cas_typed("c", str)[0], "4")

# Leases and early recaching: one client wins.
lease = LeasePolicy(ttl=30, miss_retries=2, miss_retry_wait=0.01)
same(cache.get_or_lease("leased", lease), None)
other = connect()
same(other.get_or_lease("leased", lease, lease_wait_fn=lambda _: None), None)
value, token = cache.get_or_lease_cas("leased", lease)
same((value, type(token)), (None, int))
same(cache.set("leased", "x", ttl=1000, cas_token=token), True)
same(other.get_or_lease("leased", lease), "x")
same(other.get_or_lease_cas("leased", lease)[0], "x")
same(cache.set("soon", "x", ttl=20), True)
same(cache.get("soon", recache_policy=RecachePolicy(ttl=30)), None)
same(other.get("soon", recache_policy=RecachePolicy(ttl=30)), "x")
same(cache.get("soon", touch_ttl=1000), "x")

# Many at once; hits and misses are told apart in the right order.
many = {f"many-{n}": f"value {n}" for n in range(300)}
for key, value in many.items():
    cache.set(key, value, ttl=1000, no_reply=True)
got = cache.multi_get(list(many) + ["none"])
same({key.key: value for key, value in got.items()}, {**many, "none": None})

# Values: any bytes, none at all, the largest; and keys, binary ones among them.
for value in ("", b"\r\nEN\r\nHD\r\n", bytes(range(256)), "žluťoučký kůň 🦅", 7, [1, {"a": 2}]):
    same(cache.set("v", value, ttl=0), True)
    same(cache.get("v"), value if value != "" else b"")
large = bytes(range(256)) * 4090
same(type(raw.meta_set("large", large, RequestFlags(client_flag=16))), Success)
same(cache.get("large"), large)
for key in ("schlüssel-🦅", "a b", "line\r\nend", "\0", "k" * 250, "k" * 400):
    same(cache.set(key, key, ttl=0), True)
    same(cache.get(key), key)
    same(cache.delete(key), True)

# Too large: refused, the connection goes on, and the item is not the one before any more.
plain = connect(serializer=Plain())
for length in (1024 * 1024, 1024 * 1024 + 1, 5_000_000):
    same(cache.set("v", "before", ttl=0), True)
    raises(MemcacheServerError, plain.set, "v", b"x" * length, ttl=0)
    same(cache.get("v"), None)

# The commands themselves, with every flag that this client can send.
everything = RequestFlags(
    return_client_flag=True,
    return_cas_token=True,
    return_value=True,
    return_ttl=True,
    return_size=True,
    return_last_access=True,
    return_fetched=True,
    return_key=True,
    no_update_lru=True,
    opaque=b"opaque-1",
)
written = cache.meta_set(
    Key("m"), "value", RequestFlags(cache_ttl=1000, opaque=b"7", return_cas_token=True)
)
same((type(written), written.flags.opaque), (Success, b"7"))
read = cache.meta_get(Key("m"), everything)
same((type(read), read.value, read.size), (Value, "value", 5))
same(read.flags.cas_token, written.flags.cas_token)
same((read.flags.opaque, read.flags.size, read.flags.client_flag), (b"opaque-1", 5, 0))
same((read.flags.fetched, read.flags.last_access, read.flags.stale), (False, 0, False))
same(read.flags.ttl in (999, 1000), True)
same(cache.meta_get(Key("m"), everything).flags.fetched, False)
cache.get("m")
same(cache.meta_get(Key("m"), everything).flags.fetched, True)
same(type(cache.meta_get(Key("none"), everything)), Miss)
same(type(cache.meta_get(Key("m"), RequestFlags())), Success)
same(cache.meta_get(Key("m"), RequestFlags(cache_ttl=0, return_ttl=True)).flags.ttl in (-1, 1000, 999), True)
same(cache.meta_get(Key("m"), RequestFlags(return_ttl=True)).flags.ttl, -1)
created = cache.meta_get(Key("v1"), RequestFlags(vivify_on_miss_ttl=30, return_value=True))
same((type(created), created.size, created.flags.win), (Value, 0, True))
lost = cache.meta_get(Key("v1"), RequestFlags(vivify_on_miss_ttl=30, return_value=True))
same((type(lost), lost.flags.win), (Value, False))
multi = cache.meta_multiget([Key("m"), Key("none"), Key("v1")], RequestFlags(return_value=True))
same([type(one) for one in multi.values()], [Value, Miss, Value])
token = written.flags.cas_token
same(type(cache.meta_set(Key("m"), "x", RequestFlags(cas_token=token + 1000))), Conflict)
same(type(cache.meta_set(Key("m"), "x", RequestFlags(mode=SetMode.ADD.value))), NotStored)
same(type(cache.meta_set(Key("none"), "x", RequestFlags(cas_token=token))), Miss)
same(type(cache.meta_delete(Key("m"), RequestFlags(cas_token=token + 1000))), Conflict)
stale = cache.meta_delete(Key("m"), RequestFlags(mark_stale=True, cache_ttl=30, opaque=b"o"))
same((type(stale), stale.flags.opaque), (Success, b"o"))
won = cache.meta_get(Key("m"), RequestFlags(return_value=True, return_ttl=True))
same((won.flags.stale, won.flags.win, won.flags.ttl in (29, 30)), (True, True, True))
same(cache.meta_get(Key("m"), RequestFlags(return_value=True)).flags.win, False)
same(type(cache.meta_delete(Key("none"), RequestFlags())), Miss)
number = cache.meta_arithmetic(
    Key("a"),
    RequestFlags(
        vivify_on_miss_ttl=1000, ma_initial_value=10, return_value=True, return_ttl=True
    ),
)
same((type(number), number.value), (Value, "10"))
for mode, delta, expected in ((MA_MODE_INC, 5, "15"), (MA_MODE_DEC, 1, "14"), (None, None, "15")):
    number = cache.meta_arithmetic(
        Key("a"),
        RequestFlags(
            mode=mode, ma_delta_value=delta, return_value=True, return_cas_token=True, opaque=b"1"
        ),
    )
    same((number.value, number.flags.opaque), (expected, b"1"))
same(type(cache.meta_arithmetic(Key("none"), RequestFlags())), Miss)
same(type(cache.meta_arithmetic(Key("a"), RequestFlags(cas_token=1))), Conflict)

# The socket below: requests behind one another, and quiet ones whose answers do not come.
raw.send_meta_set("p", b"1")
raw.send_meta_get("p", RequestFlags(return_value=True))
raw.send_meta_arithmetic("p", RequestFlags(return_value=True))
raw.send_meta_delete("p")
raw.send_meta_get("p", RequestFlags(return_value=True))
kinds = [type(raw.get_response()) for _ in range(5)]
same(kinds, [Success, Value, Value, Success, Miss])
# Behind a quiet request it sends `mn`, and passes over the answer to that.
raw.send_meta_set("p", b"1", RequestFlags(no_reply=True))
raw.sendall(b"mg p\r\n", with_noop=False)
same(type(raw.get_response()), Success)
same(raw.meta_get("p", RequestFlags(return_value=True)).value, b"1")
same(raw.meta_arithmetic("p", RequestFlags(return_value=True)).value, b"2")
same(type(raw.meta_delete("p")), Success)
same([type(one) for one in raw.meta_multiget(["p", "m"])], [Miss, Success])
same(raw.raw_cmd(b"mn"), b"MN")
same(raw.raw_cmd(b"me none"), b"EN")
same(raw.raw_cmd(b"version")[:12], b"VERSION 1.6.")
same(raw.raw_cmd(b"stats", multi_line=True).startswith(b"STAT pid "), True)
same(type(raw.get_version()), int)
raw.set_socket(socket.create_connection((host, int(port)), timeout=10))
same(raw.raw_cmd(b"mn"), b"MN")
raw.close()
same(len(cache.get_counters()), 1)
raw.expect_every_operation()
cache.expect_every_operation(
    but=[
        "cache_client_from_servers",  # makes the client above
        "cache_client_with_gutter_from_servers",
        "ephemeral_cache_client_from_servers",
    ]
)
