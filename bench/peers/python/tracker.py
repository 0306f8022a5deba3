"""The shape of the tracker of 2011: one process, one thread, eventlet and a JSON decoder in C. It puts an event into a
queue in memory and answers at once.

usage: tracker.py PORT
"""

import base64
import collections
import sys
import urllib.parse

import eventlet
import eventlet.wsgi
import simplejson

EVENTS = collections.deque(maxlen=1_000_000)
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "1")]


def track(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    if environ.get("CONTENT_TYPE") == "application/json":
        text = body
    else:
        query = body.decode("ascii") or environ["QUERY_STRING"]
        text = base64.b64decode(urllib.parse.parse_qs(query)["data"][0])
    events = simplejson.loads(text)
    for event in events if isinstance(events, list) else [events]:
        if not event["event"] or not event["properties"]["token"]:
            start_response("400 Bad Request", HEADERS)
            return [b"0"]
        EVENTS.append(simplejson.dumps(event))
    start_response("200 OK", HEADERS)
    return [b"1"]


def main():
    listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    eventlet.wsgi.server(listener, track, log_output=False)


if __name__ == "__main__":
    main()
