"""Sends through the browser library in headless Chromium, and reads back what it sent.

usage: browser.py BINARY DATA RUNTIME NODE_MODULES

This program holds the listening sockets and hands them to each server (LISTEN_FDS), as a service manager does;
browser.js, which drives the browser, asks it when to restart the server. The body of a request is bounded so
that the library has to halve a batch.
"""

import collections
import os
import pathlib
import subprocess
import sys
import time

from records_read_back import comparable, parse, read, without
from restart import Server, listening

MAX_BODY = 20_000
BOUND = 30


def text(record, is_sent):
    """What a record is, but for the stamps that no sender knows."""
    record, members = comparable(record, is_sent)
    unknown = {"time", "$time", "$insert_id"} - set(members) if is_sent else set()
    return without(record, unknown)


def without_stamps(record):
    """What was found, as an update is sent: the library gives those no time."""
    record = dict(record)
    record.pop("$time", None)
    return record


def gather(port, wanted):
    """What is in the queues, once everything that is wanted is there."""
    found = {queue: collections.Counter() for queue in wanted}
    deadline = time.monotonic() + BOUND
    while True:
        for queue, records in found.items():
            for record in read(f"127.0.0.1:{port}", queue):
                if "properties" not in record:
                    record = without_stamps(record)
                records[text(record, False)] += 1
        missing = {queue: wanted[queue] - set(found[queue]) for queue in wanted}
        if not any(missing.values()) or time.monotonic() > deadline:
            return found, missing
        time.sleep(0.1)


def main():
    binary, data, runtime, node_modules = sys.argv[1:]
    sockets = [listening(), listening()]
    tracker, queue = (sock.getsockname()[1] for sock in sockets)

    def start():
        return Server(binary, data, runtime, sockets, flags=["--max-body", str(MAX_BODY)])

    here = pathlib.Path(__file__).parent
    sent_path = pathlib.Path(f"{data}-sent.jsonl")
    server = start()
    try:
        with subprocess.Popen(
            ["node", here / "browser.js", f"http://127.0.0.1:{tracker}", node_modules, sent_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ, NODE_PATH=node_modules),
            text=True,
        ) as browser:
            for line in browser.stdout:
                if line == "restart\n":
                    server.stop()
                    server = start()
                    browser.stdin.write("restarted\n")
                    browser.stdin.flush()
                else:
                    print(line, end="")
        assert browser.returncode == 0, f"browser.js ended with {browser.returncode}"
        wanted = {"events": set(), "engage": set(), "groups": set()}
        closing = set()
        with open(sent_path, encoding="utf-8") as lines:
            for line in lines:
                line = parse(line)
                record = text(line["record"], True)
                wanted[line["queue"]].add(record)
                # Of events the second one is not recorded.
                if line["again"] and line["queue"] != "events":
                    closing.add(record)
        found, missing = gather(queue, wanted)
    finally:
        server.stop()
    for name, records in found.items():
        twice = [record for record, count in records.items() if count > 1 and record not in closing]
        strange = set(records) - wanted[name]
        print(
            f"{name}: {len(wanted[name])} sent, {len(missing[name])} lost, {len(strange)} that nobody sent, "
            f"{records.total() - len(records)} again, {len(twice)} of them without reason"
        )
        for kind, some in [("lost", missing[name]), ("nobody sent", strange), ("twice", twice)]:
            for record in list(some)[:3]:
                print(f"{kind}: {record}")
        if missing[name] or strange or twice:
            sys.exit(1)


main()
