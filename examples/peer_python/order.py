#!/usr/bin/env python3
"""Orders at the shop of examples/own_messages/over_tcp, or is a shop that others order at:

  over_tcp tcp://127.0.0.1:7700 &
  capstan schema --to tcp://127.0.0.1:7700 --format json > s.json
  order.py --schema s.json                     orders at the node's actor `shop`
  order.py --schema s.json --name till &       takes an order as the peer `till`, and ends
  order.py --schema s.json --at peer/till      orders there
"""
import argparse, json, sys, time
from peer import Peer

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:7700")
    parser.add_argument("--at", default="shop", help="an actor, or peer/NAME")
    parser.add_argument("--name", help="is a shop of this name, until it has sold something")
    options, over = parser.parse_args(), []

    def resolve(*_):
        peer.post("resolve", order, address=options.at)
    def order(resolved):
        peer.post("shop_order", over.append, to=resolved["actor"], customer="Ada",
                  items=[{"article": "screws", "pieces": 100}, {"article": "nuts", "pieces": 200}])
    def sell(body, envelope):
        receipt = {"number": 1, "pieces": sum(item["pieces"] for item in body["items"])}
        peer.post("shop_receipt", answers=envelope["correlation"], **receipt)
        over.append(receipt)

    peer = Peer(json.load(open(options.schema)), options.endpoint,
                options.name or f"order.py-{time.time_ns()}",
                {"shop_order": sell, "welcome": lambda *_: print("open", flush=True)}
                if options.name else {"welcome": resolve})
    late = time.monotonic() + 60
    while not over and time.monotonic() < late:
        peer.poll()
    peer.post("goodbye")
    peer.flush()
    print(json.dumps(over[0] if over else None))
    sys.exit(not over)

if __name__ == "__main__":
    main()
