"""What the drivers of cache clients share: a client that remembers which of its operations were
used, and comparisons that say what was seen."""

import sys


class Recorder:
    """Passes every call on to a client and remembers its name."""

    def __init__(self, client):
        self._client = client
        self._used = set()

    def __getattr__(self, name):
        self._used.add(name)
        return getattr(self._client, name)

    def expect_every_operation(self, but=()):
        """Fails unless every public operation of the client was used, those in `but` excepted."""
        kind = type(self._client)
        public = {
            name
            for name in dir(kind)
            if not name.startswith("_") and callable(getattr(kind, name))
        }
        left = sorted(public - self._used - set(but))
        if left:
            sys.exit(f"operations that this driver leaves out: {left}")
        print(f"operations: {len(public - set(but))}")


def same(got, expected):
    """Fails with both unless what came is what was expected."""
    if got != expected or type(got) is not type(expected):
        frame = sys._getframe(1)
        sys.exit(f"line {frame.f_lineno}: expected {short(expected)}, got {short(got)}")


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def raises(error, call, *arguments, saying="", **named):
    """Fails unless the call raises that error with those words in it."""
    line = sys._getframe(1).f_lineno
    try:
        got = call(*arguments, **named)
    except error as raised:
        if saying not in str(raised):
            sys.exit(f"line {line}: expected an error that says `{saying}`, got {raised!r}")
    except Exception as raised:
        sys.exit(f"line {line}: expected {error.__name__}, got {raised!r}")
    else:
        sys.exit(f"line {line}: expected {error.__name__}, got {short(got)}")
