"""Takes events out of the queue with pymemcache and holds them against what was sent.

usage: read_back.py HOST:PORT QUEUE SENT ordered|batches-of-N

Exit code 0 only when every event came back once, values equal to the digit, with the stamps that
the server owes, in the order sent ("batches-of-N": each batch in one piece, batches in any order).
"""

import json
import re
import sys
import time

from pymemcache.client.base import Client

STAMPS = {"time", "mp_processing_time_ms", "$insert_id", "ip"}


class Number(str):
    """A number by its digits: 1 and 1.0 differ, and nothing is rounded."""


def parse(line):
    return json.loads(
        line,
        parse_int=lambda digits: Number("n" + digits),
        parse_float=lambda digits: Number("n" + digits),
    )


def check(condition, *seen):
    if not condition:
        sys.exit("not as sent: " + ", ".join(repr(one) for one in seen))


def check_event(sent, got, insert_ids):
    check(list(got) == ["event", "properties"], sent, got)
    check(got["event"] == sent["event"], sent, got)
    before, after = sent["properties"], got["properties"]
    kept = {name: value for name, value in after.items() if name not in STAMPS or name == "ip"}
    owed = {name: value for name, value in before.items() if name not in STAMPS}
    check(kept == owed, sent, got)
    # Properties stay in the order in which they came.
    check([n for n in after if n in owed] == list(owed), sent, got)

    now = time.time() * 1000
    stamped_time = int(after["time"].removeprefix("n"))
    if "time" in before:
        check(abs(float(before["time"].removeprefix("n")) * 1000 - stamped_time) <= 1, sent, got)
    else:
        check(now - 600_000 < stamped_time <= now, sent, got)
    check(now - 600_000 < int(after["mp_processing_time_ms"].removeprefix("n")) <= now, sent, got)
    if "$insert_id" in before:
        check(after["$insert_id"] == before["$insert_id"], sent, got)
    check(re.fullmatch("[A-Za-z0-9-]{1,36}", after["$insert_id"]), sent, got)
    check(after["$insert_id"] not in insert_ids, "an id stamped twice", got)
    insert_ids.add(after["$insert_id"])


def main():
    address, queue, sent_path, order = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    with open(sent_path, encoding="utf-8") as lines:
        sent = [parse(line) for line in lines]

    client = Client((host, int(port)), connect_timeout=10, timeout=10)
    got = []
    while (item := client.get(queue)) is not None:
        check(item.count(b"\n") == 0, "an item of more than one line", item)
        got.append(parse(item.decode("utf-8")))
    check(len(got) == len(sent), f"{len(sent)} sent", f"{len(got)} read back")

    if order != "ordered":
        size = int(order.removeprefix("batches-of-"))
        place = {event["properties"]["n"]: at for at, event in enumerate(sent)}
        starts = [place[event["properties"]["n"]] for event in got[::size]]
        check(sorted(starts) == list(range(0, len(sent), size)), "a batch in pieces", starts)
        sent = [event for start in starts for event in sent[start : start + size]]

    insert_ids = set()
    for one_sent, one_got in zip(sent, got):
        check_event(one_sent, one_got, insert_ids)
    client.close()


main()
