"""Says where pylibmc's weighted ketama puts keys.

usage: sharding.py get|hash KEYS SERVER...

KEYS is a file with a key on each line, SERVER is HOST:PORT:WEIGHT or the path of a socket. "get"
asks the servers for every key. "hash" connects to nothing: it prints, for each key, the place of
its server in the list.
"""

import sys

import pylibmc

BATCH = 1000


def main():
    mode, keys_path, *servers = sys.argv[1:]
    with open(keys_path, "rb") as lines:
        keys = lines.read().splitlines()
    client = pylibmc.Client(servers, behaviors={"ketama": True, "ketama_weighted": True})

    if mode == "hash":
        print("\n".join(str(client.hash(key)) for key in keys))
        return
    for start in range(0, len(keys), BATCH):
        client.get_multi(keys[start : start + BATCH])


main()
