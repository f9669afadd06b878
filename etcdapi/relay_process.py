"""`python -m etcdapi.relay_process` runs relays until its stdin ends. It prints a JSON line for each call."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from etcdapi.faults import Call, Fault
from etcdapi.relay import Relay


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs relays in front of etcd members.")
    parser.add_argument("--lose", default="", metavar="METHOD", help="each relay loses the first answer to this method")
    parser.add_argument(
        "ways", nargs="+", type=_way, metavar="PORT:UPSTREAM", help="a loopback port, and the client port of its member"
    )
    options = parser.parse_args()

    def tell(call: Call) -> None:
        print(json.dumps(asdict(call)), flush=True)

    relays = [Relay(port, upstream, on_call=tell) for port, upstream in options.ways]
    for relay in relays:
        if options.lose:
            relay.inject(Fault(options.lose, "lose"))
        relay.start()
    print(json.dumps({"ready": len(relays)}), flush=True)
    sys.stdin.read()
    for relay in relays:
        relay.stop()


def _way(text: str) -> tuple[int, int]:
    port, upstream = text.split(":")
    return int(port), int(upstream)


if __name__ == "__main__":
    main()
