"""Client libraries at what stands before a listener: Unix sockets, TLS, names and passwords.

usage: doors.py through DOORS
       doors.py swapped http|cache|queue HOST:PORT AUTHORITIES REQUESTS

DOORS is a file of JSON: a list of objects with `listener` (`cache`, `queue`, `http`), `door` (its name),
`address`, `authority` (a file, or null where no TLS is spoken) and `user` (NAME:PASSWORD, or null). For each,
a line says which libraries went through it. An ADDRESS is HOST:PORT or the path of a Unix socket.
"""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import socket
import ssl
import sys
import threading

import aiohttp
import aiomcache
import aiomixpanel
import emcache
import httpx
import mixpanel
import pylibmc
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError, MemcacheUnexpectedCloseError

PATIENCE = 10
EVENTS = 5
PEERS = 4
# Of pymemcache's clients.
OPTIONS = {"connect_timeout": PATIENCE, "timeout": PATIENCE, "default_noreply": False}


def is_unix(address):
    return address.startswith("/")


def host_and_port(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def trusting(authority):
    return None if authority is None else ssl.create_default_context(cafile=authority)


def as_item(user):
    """Names and passwords are a `set` of any key."""
    return user.replace(":", " ").encode()


# Memcache clients: each gives `set` and `get`, and closes behind itself. None where the library cannot
# go through such a door.


class SecuredSockets:
    """The module `socket`, for a library that speaks TLS by host names alone: each socket speaks it."""

    def __init__(self, context):
        self.context = context

    def __getattr__(self, name):
        return getattr(socket, name)

    def socket(self, *kind):
        return self.context.wrap_socket(socket.socket(*kind), server_hostname="localhost")


@contextlib.contextmanager
def pymemcache_client(address, authority, user):
    if not is_unix(address):
        client = Client(host_and_port(address), tls_context=trusting(authority), **OPTIONS)
    elif authority is None:
        client = Client(address, **OPTIONS)
    else:
        client = Client(address, socket_module=SecuredSockets(trusting(authority)), **OPTIONS)
    assert user is None or client.set("auth", as_item(user)), "not let in"
    yield client.set, client.get
    client.close()


@contextlib.contextmanager
def pylibmc_client(address, _, user):
    client = pylibmc.Client([address])
    assert user is None or client.set("auth", as_item(user)), "not let in"
    yield client.set, client.get
    client.disconnect_all()


@contextlib.contextmanager
def aiomcache_client(address, _, user):
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    client = aiomcache.Client(*host_and_port(address), pool_size=1)
    assert user is None or run(client.set(b"auth", as_item(user))), "not let in"
    put = lambda key, value: run(client.set(key.encode(), value))
    yield put, lambda key: run(client.get(key.encode()))
    run(client.close())
    loop.close()


@contextlib.contextmanager
def emcache_client(address, authority, user):
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    if is_unix(address):
        node = emcache.MemcachedUnixSocketPath(address)
    else:
        node = emcache.MemcachedHostAddress(*host_and_port(address))
    name, password = (None, None) if user is None else user.split(":")
    client = run(
        emcache.create_client(
            [node],
            timeout=PATIENCE,
            max_connections=1,
            min_connections=1,
            autobatching=False,
            ssl=authority is not None,
            ssl_extra_ca=authority,
            username=name,
            password=password,
        )
    )

    def get(key):
        item = run(client.get(key.encode()))
        return item and item.value

    put = lambda key, value: run(client.set(key.encode(), value)) is None
    yield put, get
    run(client.close())
    loop.close()


def memcache_clients(address, authority):
    yield "pymemcache", pymemcache_client
    if authority is None:
        yield "pylibmc", pylibmc_client
    if authority is None and not is_unix(address):
        yield "aiomcache", aiomcache_client
    # It names no host to asyncio, which asks for one where TLS goes through a Unix socket.
    if authority is None or not is_unix(address):
        yield "emcache", emcache_client


# HTTP clients: each sends some events, named after the library.


def url(address, authority):
    host = "localhost" if is_unix(address) else address
    return f"{'http' if authority is None else 'https'}://{host}/track"


def events(library):
    return [f"{library} {number}" for number in range(EVENTS)]


def event(name):
    return json.dumps([{"event": name, "properties": {"token": "a-token"}}])


def by_mixpanel(address, authority):
    if authority is not None:
        os.environ["REQUESTS_CA_BUNDLE"] = authority
    consumer = mixpanel.Consumer(events_url=url(address, authority), request_timeout=PATIENCE)
    tracker = mixpanel.Mixpanel("a-token", consumer=consumer)
    for name in events("mixpanel"):
        tracker.track("somebody", name)


def by_httpx(address, authority):
    verify = trusting(authority) or False
    unix = address if is_unix(address) else None
    transport = httpx.HTTPTransport(uds=unix, verify=verify)
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        for name in events("httpx"):
            answer = client.post(url(address, authority), data={"data": event(name)})
            assert (answer.status_code, answer.text) == (200, "1"), answer


def session(address, authority):
    """A session of aiohttp's, whose connector for Unix sockets speaks no TLS."""
    if is_unix(address):
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(address))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(authority) or True))


async def by_aiohttp(address, authority):
    async with session(address, authority) as client:
        for name in events("aiohttp"):
            body = {"data": event(name)}
            async with client.post(url(address, authority), data=body) as answer:
                assert (answer.status, await answer.text()) == (200, "1"), answer


async def by_aiomixpanel(address, authority):
    """It sends each event in a task of its own, on the session that it is given."""
    async with session(address, authority) as client:
        consumer = aiomixpanel.AIOConsumer(client, events_url=url(address, authority))
        tracker = mixpanel.Mixpanel("a-token", consumer=consumer)
        for name in events("aiomixpanel"):
            before = asyncio.all_tasks()
            tracker.track("somebody", name)
            await asyncio.gather(*(asyncio.all_tasks() - before))


def http_clients(address, authority):
    if not is_unix(address):
        yield "mixpanel", by_mixpanel
    yield "httpx", by_httpx
    if authority is None or not is_unix(address):
        yield "aiohttp", lambda *door: asyncio.run(by_aiohttp(*door))
        yield "aiomixpanel", lambda *door: asyncio.run(by_aiomixpanel(*door))


def refused(address, authority, attempt):
    """What is tried on a connection of its own is refused."""
    with contextlib.ExitStack() as stack:
        try:
            attempt(*stack.enter_context(pymemcache_client(address, authority, None)))
        except (MemcacheClientError, MemcacheUnexpectedCloseError, OSError):
            return
    raise AssertionError("nobody was kept out")


def keeps_out(address, authority, user):
    """Those who do not speak TLS, give no name, or a wrong password."""
    if authority is not None:
        refused(address, None, lambda _, get: get("k"))
    if user is not None:
        name = user.split(":")[0]
        refused(address, authority, lambda _, get: get("k"))
        refused(address, authority, lambda put, _: put("auth", f"{name} wrong".encode()))


def go_through(listener, address, authority, user):
    """Those that went through."""
    went = []
    if listener == "http":
        for library, send in http_clients(address, authority):
            send(address, authority)
            went.append(library)
        return went
    keeps_out(address, authority, user)
    for library, make in memcache_clients(address, authority):
        with make(address, authority, user) as (put, get):
            for value in [b"hello", b"x" * 500_000]:
                assert put(library, value), library
                assert get(library) == value, (library, len(value))
            if listener == "queue":
                assert get(library) is None, library
        went.append(library)
    return went


def read_events(address, authority, user, libraries):
    with pymemcache_client(address, authority, user) as (_, get):
        for name in [name for library in libraries for name in events(library)]:
            item = get("events")
            assert item is not None and f'"{name}"'.encode() in item, (name, item)
        assert get("events") is None


def through(doors):
    """The door of an `http` stands before that of the `queue` of the same server."""
    senders = None
    with open(doors, encoding="utf-8") as rows:
        for row in json.load(rows):
            at = row["address"], row["authority"], row["user"]
            went = go_through(row["listener"], *at)
            if row["listener"] == "http":
                senders = went
            elif row["listener"] == "queue":
                read_events(*at, senders)
            print(row["listener"], row["door"], " ".join(went), sep="\t", flush=True)


# A certificate that is swapped under load.


class Http:
    def __init__(self, host, port, context):
        self.connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)

    def ask(self):
        """The certificate that its connection was shown."""
        query = "data=eyJldmVudCI6ImUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCJ9fQ=="
        self.connection.request("GET", f"/track?{query}")
        answer = self.connection.getresponse()
        shown = self.connection.sock.getpeercert(True)
        assert (answer.status, answer.read()) == (200, b"1"), answer.status
        return hashlib.sha256(shown).hexdigest()[:16]

    def close(self):
        self.connection.close()


class Memcache:
    def __init__(self, host, port, context):
        self.client = Client((host, port), tls_context=context, **OPTIONS)

    def ask(self):
        # Of its own: from a queue, others would take it.
        key = f"peer-{id(self)}"
        assert self.client.set(key, b"v") and self.client.get(key) == b"v"
        return hashlib.sha256(self.client.sock.getpeercert(True)).hexdigest()[:16]

    def close(self):
        self.client.close()


def swapped(listener, address, authorities, requests):
    """Some peers connect for each request, and one has been there all the time. Prints the certificates that
    were shown, and ends so many requests after the second one."""
    context = ssl.create_default_context(cafile=authorities)
    peer = lambda: (Http if listener == "http" else Memcache)(*host_and_port(address), context)
    kept = peer()
    shown, lock, count, last = [kept.ask()], threading.Lock(), 0, None
    print(shown[0], "from request 0", flush=True)

    def load():
        nonlocal count, last
        while last is None or count < last:
            fresh = peer()
            certificate = fresh.ask()
            fresh.close()
            with lock:
                count += 1
                if certificate not in shown:
                    shown.append(certificate)
                    print(certificate, "from request", count, flush=True)
                    last = count + int(requests)

    with concurrent.futures.ThreadPoolExecutor(PEERS) as pool:
        for ended in concurrent.futures.as_completed([pool.submit(load) for _ in range(PEERS)]):
            if ended.exception():
                last = 0
                raise ended.exception()
    assert kept.ask() == shown[0], "a connection was shown another certificate"
    kept.close()
    print(count, "requests", flush=True)


{"through": through, "swapped": swapped}[sys.argv[1]](*sys.argv[2:])
