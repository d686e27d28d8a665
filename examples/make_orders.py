#!/usr/bin/python3
"""Makes examples/orders.csv: invented orders as their events arrive at a shop's back office.

usage: make_orders.py [FILE]

Several systems (shop, payment, warehouse, carrier) report on the same orders over links that are
slow at times and send again what was not confirmed. So the events of the orders are interleaved,
some arrive after later ones of their order, and some arrive twice. `seq` numbers each order's
events 1, 2, 3 ... without a hole. The output depends on SEED only; a test compares it.
"""
import csv
import datetime
import io
import random
import sys

SEED = 20240229
ORDERS = 640
BEGIN = datetime.datetime(2024, 3, 1, 6, 0, tzinfo=datetime.timezone.utc)
LATE = 0.06  # share of events whose link is slow
REPEATED = 0.04  # share of events that are sent again

PATHS = [  # (weight, statuses)
    (70, ["placed", "paid", "packed", "shipped", "delivered"]),
    (10, ["placed", "payment failed", "paid", "packed", "shipped", "delivered"]),
    (8, ["placed", "cancelled"]),
    (7, ["placed", "paid", "packed", "shipped", "delivered", "returned", "refunded"]),
    (5, ["placed", "paid", "address changed", "item added", "packed", "shipped", "out for delivery",
         "nobody home", "out for delivery", "delivered"]),
]
PAUSES_S = {"paid": 40, "payment failed": 30, "packed": 1500, "shipped": 2400, "delivered": 9000}


def events_of(number, dice):
    """[(time, row without time)] of one order, in the order in which they happened."""
    weights, paths = zip(*PATHS)
    time = BEGIN + datetime.timedelta(seconds=dice.uniform(0, 10 * 3600))
    amount = dice.randrange(490, 25000)
    for seq, status in enumerate(dice.choices(paths, weights)[0], 1):
        if seq > 1:
            time += datetime.timedelta(seconds=1 + dice.expovariate(1 / PAUSES_S.get(status, 900)))
        amount += dice.randrange(200, 4000) if status == "item added" else 0
        yield time, [f"A{1000 + number}", seq, status, f"{amount / 100:.2f}"]


def main():
    dice = random.Random(SEED)
    arrivals = []
    for number in range(ORDERS):
        for time, rest in events_of(number, dice):
            text = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            late = dice.expovariate(1 / 3000) if dice.random() < LATE else dice.uniform(0, 2)
            arrivals.append((time.timestamp() + late, [text, *rest]))
            if dice.random() < REPEATED:
                again = late + dice.expovariate(1 / 600)
                arrivals.append((time.timestamp() + again, [text, *rest]))
    arrivals.sort(key=lambda arrival: arrival[0])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "order", "seq", "status", "amount"])
    writer.writerows(row for _, row in arrivals)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
    else:
        sys.stdout.write(text.getvalue())


if __name__ == "__main__":
    main()
