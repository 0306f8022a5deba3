"""Delivers events through the official Python library.

usage: track.py URL COUNT single|batch SENT

SENT becomes a file with one line of JSON for each event, as the library handed it over.
"""

import json
import sys

import mixpanel

# Values that a careless decoder changes: digits beyond 2^53 and 2^64, floats, what must be escaped.
VALUES = [
    "plain",
    "žluťoučký kůň 🦅 \u0000 \u2028 \\ \" / <b>&amp;=%2B+",
    "",
    0,
    -1,
    2**53 + 1,
    2**64 + 1,
    -(2**63),
    0.1,
    -1.5e-7,
    1e300,
    12345.678901234567,
    True,
    False,
    None,
    [],
    {},
    [1, 2.5, "three", None, [True, {"inner": "ü"}]],
    {"plan": "pro", "seats": 12, "tags": ["a", "b"], "owner": {"name": "Zoë"}},
]


def event(number):
    """The properties of one event: every value in turn, and its place in the order."""
    return {"n": number, "value": VALUES[number % len(VALUES)], "note": "x" * (number % 97)}


def main():
    url, count, mode, sent_path = sys.argv[1:]
    if mode == "single":
        consumer = mixpanel.Consumer(events_url=url, request_timeout=20)
    else:
        consumer = mixpanel.BufferedConsumer(events_url=url, request_timeout=20, max_size=50)

    with open(sent_path, "w", encoding="utf-8") as sent:

        class Recorder:
            """What the library hands to its consumer is what has to come out of the queue."""

            def send(self, endpoint, json_message, *credentials):
                sent.write(json_message + "\n")
                consumer.send(endpoint, json_message, *credentials)

        tracker = mixpanel.Mixpanel("a-token", consumer=Recorder())
        for number in range(int(count)):
            tracker.track(f"user {number % 10}", f"Page “{number % 7}” viewed", event(number))
        if mode == "batch":
            consumer.flush()


main()
