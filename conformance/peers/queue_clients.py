"""Reads a queue, with options, by the memcache clients that check what a reply names.

usage: queue_clients.py HOST:PORT queue|asked

With `--reply-keys asked` each gets every item; with `queue`, as kestrel answers, those that check the
key get none.
"""

import asyncio
import sys

import aiomcache
import emcache
import pylibmc
from pymemcache.client.base import Client

CHECK_THE_KEY = ["pymemcache", "aiomcache", "emcache"]
OPTIONS = ["", "/t=100", "/open", "/close/open", "/close/t=100/open", "/close"]


def pymemcache_client(host, port):
    client = Client((host, port), connect_timeout=10, timeout=10, default_noreply=False)
    return client.set, client.get, client.close


def pylibmc_client(host, port):
    client = pylibmc.Client([f"{host}:{port}"])
    return client.set, client.get, client.disconnect_all


def run(loop, call):
    return lambda *arguments: loop.run_until_complete(call(*arguments))


def aiomcache_client(host, port):
    loop = asyncio.new_event_loop()
    client = aiomcache.Client(host, port, pool_size=1)
    encoded = lambda call: lambda key, *rest: call(key.encode(), *rest)
    put, get = run(loop, encoded(client.set)), run(loop, encoded(client.get))
    return put, get, run(loop, client.close)


def emcache_client(host, port):
    loop = asyncio.new_event_loop()
    address = emcache.MemcachedHostAddress(host, port)
    # One connection: what it has open stays with it.
    client = loop.run_until_complete(
        emcache.create_client([address], max_connections=1, min_connections=1, autobatching=False)
    )

    async def get(key):
        item = await client.get(key.encode())
        return item and item.value

    async def put(key, value):
        await client.set(key.encode(), value)

    return run(loop, put), run(loop, get), run(loop, client.close)


def attempt(get, key):
    try:
        return get(key)
    except Exception as error:  # Each library has its own.
        return error


def read_as_kestrel_answers(library, put, get):
    put(library, b"one")
    got = attempt(get, library + "/t=100")
    if (got == b"one") == (library in CHECK_THE_KEY):
        sys.exit(f"{library}: got {got!r}, the documents say otherwise")
    return repr(got)


def read_with_every_option(library, put, get):
    for item in [b"0", b"1", b"2", b"3", b"4"]:
        put(library, item)
    got = [attempt(get, library + options) for options in OPTIONS]
    if got != [b"0", b"1", b"2", b"3", b"4", None]:
        sys.exit(f"{library}: got {got!r}")
    return f"{len(got)} reads"


def main():
    address, names = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    read = {"queue": read_as_kestrel_answers, "asked": read_with_every_option}[names]
    done = []
    for make in [pymemcache_client, pylibmc_client, aiomcache_client, emcache_client]:
        library = make.__name__.removesuffix("_client")
        put, get, close = make(host, int(port))
        done.append(f"{library} {read(library, put, get)}")
        close()
    print(", ".join(done))


main()
