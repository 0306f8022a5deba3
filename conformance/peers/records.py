"""Sends every kind of record through an unmodified library, and reads each back from its queue.

usage: records.py LIBRARY HTTP QUEUE

LIBRARY is mixpanel (one at a time, and in buffered batches), mixpanel-utils or aiomixpanel. What the library
hands to its transport is what has to come out, as records_read_back.py compares it.
"""

import asyncio
import json
import logging
import sys

import mixpanel
from records_read_back import compare_all, parse

QUEUES = {"events": "events", "imports": "events", "people": "engage", "groups": "groups"}
PROPERTIES = {"name": "Zoë 🦅", "n": 2**53 + 1, "list": ["a", 1.5, None], "inner": {"a": True}, "": "\u0000"}
LONG_AGO = 1_300_000_000


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
    compare_all(everything, queue)


main()
