"""Sends what libraries send that need a phone or another compiler, byte for byte as they build it.

usage: senders.py recorded|refused HTTP SENT

For Swift (gzip of a JSON array, of a form in older versions), Android and Java (gzip of a form of base64;
JSON to /import), and Go (gzip of JSON to /import with a service account; JSON without a type to /track), all
as their sources have it in 2026; and what pages send without a library. SENT becomes a file with a line of
JSON for each good record, as records_read_back.py compares it.

recorded: each has to be taken. refused: each batch has a bad record in it, for a server that refuses the whole
request then (--all-or-nothing).
"""

import base64
import http.client
import json
import sys
import urllib.parse
import zlib

LONG_AGO = 1_300_000_000_123
TEXT = "Zoë 🦅 <b>&amp;=%2B+"


def event(number):
    """A good event."""
    properties = {"token": "a-token", "time": LONG_AGO + number, "distinct_id": "u", "n": number, "text": TEXT}
    return {"event": "Stránka “a” 😀", "properties": dict(properties, **{"$insert_id": f"id-{number}"})}


def user(number):
    """A good update of a user."""
    return {"$token": "a-token", "$distinct_id": "u", "$set": {"text": TEXT, "n": number}, "$time": LONG_AGO}


def group(number):
    """A good update of a group."""
    return {"$token": "a-token", "$group_key": "k", "$group_id": "g", "$set": {"text": TEXT, "n": number}}


def gzip(text, system, ending=b""):
    """Gzip with a header as short as can be, of that system; and the last block by itself, if need be."""
    body = zlib.compressobj(wbits=-15)
    data = text.encode()
    packed = body.compress(data) + (body.flush(zlib.Z_SYNC_FLUSH) + ending if ending else body.flush())
    head = b"\x1f\x8b\x08\0\0\0\0\0\0" + bytes([system])
    return head + packed + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def basic(user_name, password):
    """The value of `Authorization`."""
    return "Basic " + base64.b64encode(f"{user_name}:{password}".encode()).decode()


def compact(records):
    """JSON as most libraries write it."""
    return json.dumps(records, ensure_ascii=False, separators=(",", ":"))


def swift(records):
    """mixpanel-swift: JSON, of which only events are compressed."""
    path = {"events": "/track/?ip=1", "engage": "/engage/?ip=1", "groups": "/groups/?ip=1"}
    for queue, batch in records.items():
        headers = {"Content-Type": "application/json", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
        headers["User-Agent"] = "App/1 CFNetwork/1490.0.4 Darwin/23.2.0"
        body = compact(batch).encode()
        if queue == "events":
            headers["Content-Encoding"] = "gzip"
            body = gzip(compact(batch), 19)
        yield queue, batch, path[queue], headers, body
    form = "data=" + urllib.parse.quote(compact(records["events"]))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    yield "events", records["events"], "/track/?ip=1", headers, gzip(form, 19)


def android(records):
    """mixpanel-android: a form of base64, compressed when asked to."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Content-Encoding": "gzip",
        "User-Agent": "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A.240205.004)",
        "Connection": "Keep-Alive",
        "Accept-Encoding": "gzip",
    }
    for queue, path in [("events", "/track/"), ("engage", "/engage/"), ("groups", "/groups/")]:
        encoded = base64.b64encode(compact(records[queue]).encode()).decode()
        form = "data=" + urllib.parse.quote(encoded, safe="") + "&verbose=1"
        yield queue, records[queue], f"{path}?ip=0", headers, gzip(form, 0)


def java(records):
    """mixpanel-java: the same, and JSON to /import."""
    headers = {
        "Content-Encoding": "gzip",
        "User-Agent": "Java/17.0.9",
        "Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "Connection": "keep-alive",
    }
    for queue, path in [("events", "/track"), ("engage", "/engage"), ("groups", "/groups")]:
        encoded = base64.b64encode(compact(records[queue]).encode()).decode()
        form = dict(headers, **{"Content-Type": "application/x-www-form-urlencoded;charset=utf8"})
        yield queue, records[queue], f"{path}?ip=0", form, gzip("data=" + urllib.parse.quote_plus(encoded), 255)
    imported = dict(headers, **{"Content-Type": "application/json", "Authorization": basic("a-token", "")})
    yield "events", records["events"], "/import?strict=1", imported, gzip(compact(records["events"]), 255)


def go(records):
    """mixpanel-go: its gzip ends with an empty block; its JSON escapes what HTML would."""

    def marshal(batch):
        text = compact(batch)
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text

    agent = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
    account = {"Authorization": basic("account.1", "secret"), "Accept": "application/json"}
    imported = dict(agent, **account, **{"Content-Encoding": "gzip", "Content-Type": "application/json"})
    for query in ["project_id=12&strict=1&verbose=1", "project_id=12&strict=0&verbose=1"]:
        body = gzip(marshal(records["events"]), 255, b"\x01\0\0\xff\xff")
        yield "events", records["events"], f"/import?{query}", imported, body
    plain = dict(agent, Accept="text/plain")
    yield "events", records["events"], "/track?verbose=1", plain, marshal(records["events"]).encode()
    for queue in ["engage", "groups"]:
        typed = dict(plain, **{"Content-Type": "application/json"})
        yield queue, records[queue], f"/{queue}", typed, marshal(records[queue]).encode()


def pages(records):
    """Without a library: beacons, forms, lines, a query."""
    events = compact(records["events"])
    form = "data=" + urllib.parse.quote(events)
    yield "events", records["events"], "/track?ip=0", {"Content-Type": "text/plain;charset=UTF-8"}, form.encode()
    boundary = "----WebKitFormBoundaryX3bY6hGdWd4dPq8U"
    parts = f'--{boundary}\r\nContent-Disposition: form-data; name="data"\r\n\r\n{events}\r\n--{boundary}--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    yield "events", records["events"], "/track", kind, parts.encode()
    lines = "".join(compact(record) + "\n" for record in records["events"]).encode()
    kind = {"Content-Type": "application/x-ndjson", "Content-Encoding": "deflate"}
    yield "events", records["events"], "/import?api_key=a-key&verbose=1", kind, zlib.compress(lines)
    yield "events", records["events"], f"/track?verbose=1&{form}", {}, None


def bad(queue):
    """A record that nobody takes."""
    return {"event": "", "properties": {}} if queue == "events" else {"$token": "a-token"}


def main():
    how, address, sent_path = sys.argv[1:]
    connection = http.client.HTTPConnection(address, timeout=20)
    number, requests = 0, 0
    with open(sent_path, "w", encoding="utf-8") as sent:
        for library in [swift, android, java, go, pages]:
            records = {}
            for queue, make in [("events", event), ("engage", user), ("groups", group)]:
                records[queue] = [make(number + at) for at in range(3)]
                if how == "refused":
                    records[queue].insert(1, bad(queue))
                number += 3
            for queue, batch, target, headers, body in library(records):
                method = "GET" if body is None else "POST"
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                answer = response.read()
                requests += 1
                is_import = target.startswith("/import")
                yes = answer == b"1" or json.loads(answer).get("status") in (1, "OK") if answer != b"0" else False
                assert yes == (how == "recorded"), f"{library.__name__}, {target}: {response.status} {answer}"
                wanted = 200 if yes or not is_import else 400
                assert response.status == wanted, f"{library.__name__}, {target}: {response.status} {answer}"
                for record in batch:
                    if record != bad(queue):
                        # The address is asked for by Swift alone, and is not when it is sent again.
                        asks = "ip=1" in target and how == "recorded"
                        name = "ip" if queue == "events" else "$ip"
                        record = json.loads(json.dumps(record))
                        if asks:
                            record.get("properties", record)[name] = "127.0.0.1"
                        sent.write(json.dumps({"queue": queue, "record": record}) + "\n")
    print(f"{requests} requests {how}")


main()
