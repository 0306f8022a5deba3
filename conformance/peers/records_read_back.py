"""Takes records out of the queues and holds them against what was sent.

usage: records_read_back.py QUEUE SENT

SENT has a line of JSON for each record, `{"queue": "engage", "record": {…}}`. Members that the server stamps
are compared as what they mean, everything else as it is; the order is open.
"""

import collections
import decimal
import json
import socket
import sys


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


def compare_all(everything, address):
    """Compares the records of each queue, and says how many there were."""
    for name, records in everything.items():
        compare(name, records, read(address, name))
    counts = ", ".join(f"{len(records)} in {name}" for name, records in sorted(everything.items()))
    print(f"{counts}: read back equal")


def main():
    address, sent = sys.argv[1:]
    everything = {}
    with open(sent, encoding="utf-8") as lines:
        for line in lines:
            line = parse(line)
            everything.setdefault(line["queue"], []).append(line["record"])
    compare_all(everything, address)


if __name__ == "__main__":
    main()
