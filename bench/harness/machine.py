"""What this machine is, as far as figures depend on it."""

import os
import pathlib
import platform
import re
import subprocess

# Of these the instructions that are executed depend: vector code is chosen at run time.
FEATURES = "sse4_2 avx avx2 bmi1 bmi2 fma f16c lzcnt abm popcnt erms asimd sve".split()


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def cpuinfo(field):
    """The first value of `field`, or nothing."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{field}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def rustc():
    """Version, commit and target of the compiler."""
    version = output("rustc", "--version", "--verbose")
    fields = dict(line.split(": ", 1) for line in version.splitlines() if ": " in line)
    return f"{fields['release']} {fields['commit-hash'][:10]} {fields['host']}"


def counting():
    """What instruction counts depend on beside the code."""
    flags = (cpuinfo("flags") or cpuinfo("Features")).split()
    return {
        "rustc": rustc(),
        "cpu": " ".join(feature for feature in FEATURES if feature in flags),
        "valgrind": output("valgrind", "--version").strip(),
        "libc": " ".join(platform.libc_ver()),
    }


def described():
    """One line for a table of timings."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB"
