"""Delivers events through the official Python library, faster than the server takes them: it waits and tries again by
itself, as it does over TLS alone.

usage: limited.py URL TOKEN COUNT
"""

import sys

import mixpanel


def main():
    url, token, count = sys.argv[1:]
    tracker = mixpanel.Mixpanel(token, consumer=mixpanel.Consumer(events_url=url, request_timeout=20))
    for number in range(int(count)):
        tracker.track("someone", "limited", {"n": number})


main()
