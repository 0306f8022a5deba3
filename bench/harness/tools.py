"""The programs that are measured and those that measure, built alike."""

import os
import re
import subprocess

from harness import machine


def environment():
    """Without what would build another program than the one that a user or the baseline has."""
    return {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"CARGO_PROFILE_|CARGO_BUILD_RUSTFLAGS|(CARGO_ENCODED_)?RUSTFLAGS", name)
    }


class Tools:
    """Where they are."""

    def __init__(self, root):
        self.root = root
        self.target = (root / os.environ.get("CARGO_TARGET_DIR", "target")).absolute()
        self.output = self.target / "bench"
        self.output.mkdir(parents=True, exist_ok=True)
        # The Python peers, in their virtual environment.
        self.python = self.target / "bench/venv/bin/python"
        self.nats = self.python.with_name("nats-server")
        self.windhover = self.target / "release/windhover"

    def peer(self, name):
        """A program of bench/peers."""
        return self.output / "peers/release" / name

    def script(self, name):
        return self.root / "bench/peers/python" / name

    def build(self):
        cargo = ["cargo", "build", "--release", "--locked", "--quiet"]
        own = [*cargo, "-p", "windhover-server", "--features", "load"]
        subprocess.run(own, check=True, cwd=self.root, env=environment())
        peers = [*cargo, "--manifest-path", self.root / "bench/peers/Cargo.toml"]
        peers += ["--target-dir", self.output / "peers"]
        subprocess.run(peers, check=True, cwd=self.root, env=environment())

    def commit(self):
        return machine.output("git", "-C", str(self.root), "rev-parse", "--short", "HEAD").strip()
