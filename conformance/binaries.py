#!/usr/bin/env python3
"""Runs every test binary of the workspace, as many side by side as there are cores.

`cargo test` runs one binary after the other, and most tests of the conformance suite wait for a process rather than
compute. Each binary's output is printed as a whole when it has ended. All are run, whatever fails; the exit code is 1
when one has failed. Doctests are cargo's own: `cargo test --doc`.

    conformance/binaries.py CARGO-ARGUMENTS...      for example --workspace --all-features
"""

import json
import os
import subprocess
import sys
import threading
import time

# What takes longest is begun first, so that nothing long is left alone at the end.
LONGEST = ["doors", "soak", "durability", "restart", "cache_clients", "larger_than_memory", "mixpanel_clients", "jetstream"]


def binaries(arguments):
    """The test binaries that cargo builds with these arguments: (target's name, package's folder, path)."""
    build = subprocess.run(
        ["cargo", "test", *arguments, "--no-run", "--message-format=json-render-diagnostics"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if build.returncode != 0:
        sys.exit(build.returncode)
    found = []
    for line in build.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            folder = os.path.dirname(message["manifest_path"])
            found.append((message["target"]["name"], folder, message["executable"]))
    if not found:
        sys.exit("conformance/binaries.py: cargo built no test binary; look at the arguments")
    # Stable: the others stay in cargo's order.
    found.sort(key=lambda binary: LONGEST.index(binary[0]) if binary[0] in LONGEST else len(LONGEST))
    return found


def run(binary):
    """Runs one binary as cargo would: in its package's folder, with the package's folder in the environment.
    Returns its output, its exit code, and the seconds of the processors that it and what it started took."""
    _, folder, path = binary
    process = subprocess.Popen(
        [path],
        cwd=folder,
        env={**os.environ, "CARGO_MANIFEST_DIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, process.returncode, usage.ru_utime + usage.ru_stime


def main():
    waiting = binaries(sys.argv[1:])
    lock = threading.Lock()
    failed = []

    def lane():
        while True:
            with lock:
                if not waiting:
                    return
                binary = waiting.pop(0)
            begun = time.monotonic()
            output, status, processors = run(binary)
            with lock:
                print(f"     Running {os.path.relpath(binary[1])} {binary[0]} ({os.path.relpath(binary[2])})", flush=True)
                sys.stdout.buffer.write(output)
                took = f"{time.monotonic() - begun:.1f} s, of the processors {processors:.1f}"
                print(f"     Ended {binary[0]} after {took}", flush=True)
                if status != 0:
                    failed.append(f"{binary[0]} ({binary[1]}): exit code {status}")

    lanes = [threading.Thread(target=lane) for _ in range(os.cpu_count() or 1)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    if failed:
        sys.exit("conformance/binaries.py: failed:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
