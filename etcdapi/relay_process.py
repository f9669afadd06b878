"""`python -m etcdapi.relay_process` runs a relay until its stdin ends. It prints a JSON line for each call."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from etcdapi.faults import Call, Fault
from etcdapi.relay import Relay


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a relay in front of an etcd member.")
    parser.add_argument("--port", type=int, required=True, help="loopback port to listen on")
    parser.add_argument("--upstream", type=int, required=True, help="the member's client port")
    parser.add_argument("--lose", default="", metavar="METHOD", help="lose the first answer to this method")
    options = parser.parse_args()

    def tell(call: Call) -> None:
        print(json.dumps(asdict(call)), flush=True)

    relay = Relay(options.port, options.upstream, on_call=tell)
    if options.lose:
        relay.inject(Fault(options.lose, "lose"))
    relay.start()
    print(json.dumps({"ready": options.port}), flush=True)
    sys.stdin.read()
    relay.stop()


if __name__ == "__main__":
    main()
