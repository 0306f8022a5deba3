"""Sends every kind of record through an unmodified library, and reads each back from its queue.

usage: records.py LIBRARY HTTP QUEUE

LIBRARY is mixpanel (one at a time, and in buffered batches), mixpanel-utils or aiomixpanel. What the library
hands to its transport is what has to come out: members that the server stamps are compared as what they
mean, everything else as it is.
"""

import asyncio
import collections
import decimal
import json
import logging
import socket
import sys

import mixpanel

QUEUES = {"events": "events", "imports": "events", "people": "engage", "groups": "groups"}
PROPERTIES = {"name": "Zoë 🦅", "n": 2**53 + 1, "list": ["a", 1.5, None], "inner": {"a": True}, "": "\u0000"}
LONG_AGO = 1_300_000_000


def parse(text):
    """JSON with every digit."""
    return json.loads(text, parse_float=decimal.Decimal)


def read(address, queue):
    """What is in a queue."""
    host, port = address.rsplit(":", 1)
    items = []
    with socket.create_connection((host, int(port)), 20) as sock, sock.makefile("rb") as lines:
        while True:
            sock.sendall(f"get {queue}\r\n".encode())
            line = lines.readline()
            if line == b"END\r\n":
                return items
            items.append(parse(lines.read(int(line.split()[3]) + 2)))
            lines.readline()


def comparable(record, is_sent):
    """A record without its stamps, and with its time in milliseconds."""
    record = dict(record)
    if "properties" in record:
        members = record["properties"] = dict(record["properties"])
        name = "time"
    else:
        members, name = record, "$time"
    if not is_sent:
        assert isinstance(members.pop("mp_processing_time_ms"), int)
    if name in members and is_sent:
        factor = 1 if members[name] >= 10**11 else 1000
        members[name] = int(decimal.Decimal(str(members[name])) * factor)
    return record, members


def without(record, names):
    """What a record is but for some of its stamps, as text."""
    record = {name: value for name, value in record.items() if name not in names}
    if "properties" in record:
        properties = record["properties"].items()
        record["properties"] = {name: value for name, value in properties if name not in names}
    return json.dumps(record, sort_keys=True, default=str)


def compare(queue, sent, found):
    """Fails where what was found is not what was sent, each record once, in any order."""
    wanted = collections.Counter()
    for record in sent:
        record, members = comparable(record, True)
        # What was not sent is stamped: nothing to compare.
        stamped = frozenset({"time", "$time", "$insert_id"} - set(members))
        wanted[stamped, without(record, stamped)] += 1
    kinds = {stamped for stamped, _ in wanted}
    assert len(found) == len(sent), f"{queue}: {len(found)} of {len(sent)} records"
    for record in found:
        record, _ = comparable(record, False)
        keys = [(stamped, without(record, stamped)) for stamped in kinds]
        key = next((key for key in keys if wanted[key] > 0), None)
        assert key is not None, f"{queue}: nobody sent {record}; of {list(wanted)[:3]}"
        wanted[key] -= 1


class Recorder:
    """Notes what a library hands to its consumer."""

    def __init__(self, consumer):
        self.consumer, self.sent = consumer, {}

    def send(self, endpoint, json_message, *credentials):
        self.sent.setdefault(QUEUES[endpoint], []).append(parse(json_message))
        self.consumer.send(endpoint, json_message, *credentials)


def people(tracker, user):
    """Every update of a user's profile."""
    tracker.people_set(user, PROPERTIES)
    tracker.people_set_once(user, {"first": 1}, meta={"$ip": "203.0.113.7"})
    tracker.people_increment(user, {"visits": 1, "sum": -2.5})
    tracker.people_append(user, {"list": "x"})
    tracker.people_union(user, {"list": ["x", "y"]})
    tracker.people_unset(user, ["name"])
    tracker.people_remove(user, {"list": "x"})
    tracker.people_track_charge(user, 12.5, {"sku": "a"})
    tracker.people_clear_charges(user)
    tracker.people_delete(user, meta={"$ignore_alias": True})


def groups(tracker, group):
    """Every update of a group's profile."""
    tracker.group_set("company", group, PROPERTIES)
    tracker.group_set_once("company", group, {"first": 1})
    tracker.group_union("company", group, {"list": ["x"]})
    tracker.group_unset("company", group, ["name"])
    tracker.group_remove("company", group, {"list": "x"})
    tracker.group_delete("company", group)


def urls(http):
    """The API's addresses."""
    paths = {"events_url": "track", "people_url": "engage", "groups_url": "groups", "import_url": "import"}
    return {name: f"http://{http}/{path}" for name, path in paths.items()}


def whole_library(http):
    """The official library: each method once, then in batches."""
    plain = Recorder(mixpanel.Consumer(**urls(http)))
    buffered = Recorder(mixpanel.BufferedConsumer(max_size=7, **urls(http)))
    for recorder, rounds in [(plain, 1), (buffered, 20)]:
        tracker = mixpanel.Mixpanel("a-token", consumer=recorder)
        for at in range(rounds):
            user = f"user {at}"
            tracker.track(user, "Page “a” viewed", PROPERTIES)
            tracker.track(user, "$identify", {"$identified_id": user, "$anon_id": "x"})
            people(tracker, user)
            groups(tracker, at)
            tracker.import_data(None, user, "old", LONG_AGO, PROPERTIES, api_secret="a-secret")
            tracker.merge(None, user, "other", api_secret="a-secret")
        if recorder is buffered:
            recorder.consumer.flush()
    account = mixpanel.ServiceAccountCredentials("account", "secret", "12")
    signed = Recorder(mixpanel.Consumer(credentials=account, **urls(http)))
    mixpanel.Mixpanel("a-token", consumer=signed).import_data(None, "u", "old", LONG_AGO)
    return [plain.sent, buffered.sent, signed.sent]


def utils(http):
    """The library for whole projects."""
    from mixpanel_utils import MixpanelUtils

    wrong = []

    class Errors(logging.Handler):
        def emit(self, record):
            wrong.append(record.getMessage())

    tool = MixpanelUtils("a-secret", token="a-token", pool_size=2)
    MixpanelUtils.LOGGER.addHandler(Errors(logging.ERROR))
    tool.import_api = f"http://{http}"
    events = [
        {"event": "old", "properties": dict(PROPERTIES, distinct_id=f"u{n}", time=LONG_AGO + n)}
        for n in range(4500)
    ]
    tool.import_events(events, 0)
    sent = [
        {"event": "old", "properties": dict(event["properties"], token="a-token")} for event in events
    ]
    profiles = [{"$distinct_id": f"u{n}", "$properties": PROPERTIES} for n in range(300)]
    tool.import_people(profiles)
    assert not wrong, wrong
    flags = {"$ignore_time": True, "$ip": 0, "$ignore_alias": False, "$token": "a-token"}
    updates = [
        dict(flags, **{"$distinct_id": it["$distinct_id"], "$set": it["$properties"]}) for it in profiles
    ]
    return [{"events": parse(json.dumps(sent)), "engage": parse(json.dumps(updates))}]


def asynchronous(http):
    """The same on asyncio, by GET."""
    import aiohttp
    from aiomixpanel import AIOConsumer

    async def send():
        async with aiohttp.ClientSession() as session:
            addresses = urls(http)
            del addresses["groups_url"]
            recorder = Recorder(AIOConsumer(session, **addresses))
            tracker = mixpanel.Mixpanel("a-token", consumer=recorder)
            for at in range(50):
                tracker.track(f"user {at}", "Page “a” viewed", PROPERTIES)
                people(tracker, at)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            # A refusal is an exception.
            await asyncio.gather(*tasks)
            return [recorder.sent]

    return asyncio.run(send())


def main():
    library, http, queue = sys.argv[1:]
    send = {"mixpanel": whole_library, "mixpanel-utils": utils, "aiomixpanel": asynchronous}[library]
    everything = {}
    for sent in send(http):
        for name, records in sent.items():
            everything.setdefault(name, []).extend(records)
    for name, records in everything.items():
        compare(name, records, read(queue, name))
    counts = ", ".join(f"{len(records)} in {name}" for name, records in sorted(everything.items()))
    print(f"{counts}: read back equal")


main()
