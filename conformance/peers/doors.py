"""Client libraries at what stands before a listener: Unix sockets, TLS, names and passwords.

usage: doors.py cache ADDRESS CERTIFICATE|- NAME:PASSWORD|-
       doors.py track URL CERTIFICATE QUEUE-ADDRESS NAME:PASSWORD
       doors.py swapped HOST:PORT AUTHORITIES CONNECTIONS

An ADDRESS is HOST:PORT or the path of a Unix socket.
"""

import hashlib
import http.client
import os
import ssl
import sys
import time

import mixpanel
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError, MemcacheUnexpectedCloseError


def connect(address, certificate):
    host, _, port = address.rpartition(":")
    server = address if "/" in address else (host, int(port))
    context = None if certificate == "-" else ssl.create_default_context(cafile=certificate)
    return Client(
        server, connect_timeout=10, timeout=10, default_noreply=False, tls_context=context
    )


def log_in(client, user):
    """Names and passwords are a `set` of any key."""
    assert client.set("auth", user.replace(":", " ").encode()), "not let in"


def refused(address, certificate, attempt):
    """What is tried on a connection of its own is refused."""
    client = connect(address, certificate)
    try:
        attempt(client)
    except (MemcacheClientError, MemcacheUnexpectedCloseError, ConnectionError):
        return
    finally:
        client.close()
    raise AssertionError("nobody was kept out")


def cache(address, certificate, user):
    if user != "-":
        name = user.split(":")[0]
        refused(address, certificate, lambda client: client.get("k"))
        refused(address, certificate, lambda client: client.set("auth", f"{name} wrong".encode()))
    client = connect(address, certificate)
    if user != "-":
        log_in(client, user)
    for value in [b"", b"hello", b"x" * 500_000]:
        assert client.set("k", value)
        assert client.get("k") == value, len(value)
    assert client.set_many({f"k{n}": b"v" * n for n in range(200)}) == []
    assert len(client.get_many([f"k{n}" for n in range(200)])) == 200
    client.close()


def track(url, certificate, queue, user):
    os.environ["REQUESTS_CA_BUNDLE"] = certificate
    tracker = mixpanel.Mixpanel("a-token", consumer=mixpanel.Consumer(events_url=url))
    for number in range(50):
        tracker.track("somebody", f"event {number}")
    refused(queue, certificate, lambda client: client.get("events"))
    client = connect(queue, certificate)
    log_in(client, user)
    for number in range(50):
        item = client.get("events")
        assert item is not None and f'"event {number}"'.encode() in item, item
    assert client.get("events") is None
    client.close()


def swapped(address, authorities, connections):
    """Each request has a connection of its own; prints the certificates that were shown, and ends so many
    connections after the second one."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=authorities)
    shown, number, last, end = [], 0, None, time.monotonic() + 40
    while last is None or number < last:
        assert time.monotonic() < end, "no second certificate was shown"
        connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        connection.request("GET", "/track?data=eyJldmVudCI6ImUiLCJwcm9wZXJ0aWVzIjp7InRva2VuIjoidCJ9fQ==")
        answer = connection.getresponse()
        certificate = hashlib.sha256(connection.sock.getpeercert(True)).hexdigest()
        assert (answer.status, answer.read()) == (200, b"1"), answer.status
        connection.close()
        if certificate not in shown:
            shown.append(certificate)
            print(certificate, "from request", number, flush=True)
            if len(shown) == 2:
                last = number + int(connections)
        number += 1


{"cache": cache, "track": track, "swapped": swapped}[sys.argv[1]](*sys.argv[2:])
