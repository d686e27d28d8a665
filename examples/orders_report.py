#!/usr/bin/python3
"""Shows, and checks, what a node made of the sample orders.

usage: orders_report.py INPUT.csv SUMMARY.json OUTPUT.csv

INPUT is what was fed, SUMMARY the last line that `capstan feed` printed, OUTPUT what `capstan tail`
printed. Exit status 0 when each (order, seq) came out once, in order, with its first row's fields.
"""
import csv
import json
import sys


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_order(rows):
    """{order: [seq, ...]} in the rows' own order."""
    orders = {}
    for row in rows:
        orders.setdefault(row["order"], []).append(int(row["seq"]))
    return orders


def late_and_repeated(sequences):
    """How many arrive after a higher one of their order, and how many arrive again."""
    seen, late = set(), 0
    for sequence in sequences:
        late += sequence not in seen and bool(seen) and sequence < max(seen)
        seen.add(sequence)
    return late, len(sequences) - len(seen)


def problems(fed, summary, tailed):
    """What is wrong, as sentences; none when all is well."""
    first = {}
    for row in fed:
        first.setdefault((row["order"], int(row["seq"])), row)
    seen = set()
    for order, sequences in by_order(tailed).items():
        for place, sequence in enumerate(sequences, 1):
            if sequence != place:
                yield f"order {order}: number {sequence} came out in place {place}"
                break
    for row in tailed:
        identity = (row["order"], int(row["seq"]))
        if identity in seen:
            yield f"order {identity[0]} number {identity[1]} came out twice"
        elif row != first.get(identity):
            yield f"order {identity[0]} number {identity[1]} is not the row that was fed"
        seen.add(identity)
    if len(seen) != len(first):
        yield f"{len(first)} different events went in, {len(seen)} came out"
    if summary["acked"] + summary["duplicates"] + summary["rejected"] != summary["sent"]:
        yield "the node did not answer every event that was sent"
    if summary["acked"] != len(first):
        yield f"the node acknowledged {summary['acked']} events as new, not {len(first)}"


def numbers(sequences):
    text = " ".join(map(str, sequences[:24]))
    return text + (" ..." if len(sequences) > 24 else "")


def main():
    fed, tailed = read(sys.argv[1]), read(sys.argv[3])
    with open(sys.argv[2], encoding="utf-8") as file:
        summary = json.load(file)
    went_in, came_out = by_order(fed), by_order(tailed)
    disorder = {order: late_and_repeated(all_) for order, all_ in went_in.items()}
    late = sum(late for late, _ in disorder.values())
    repeated = sum(again for _, again in disorder.values())

    print(f"went in   {len(fed):6} rows of {len(went_in)} orders, interleaved: "
          f"{late} late, {repeated} sent twice")
    print(f"answered  {summary['acked']:6} stored, {summary['duplicates']} recognised as "
          f"duplicates, {summary['rejected']} rejected ({summary['events_per_s']:.0f} events/s)")
    print(f"came out  {len(tailed):6} events of {len(came_out)} orders")
    example = max(disorder, key=lambda order: (all(disorder[order]), sum(disorder[order])))
    print(f"for example order {example}:")
    print(f"  in   {numbers(went_in[example])}")
    print(f"  out  {numbers(came_out.get(example, []))}")

    wrong = list(problems(fed, summary, tailed))
    for sentence in wrong[:10]:
        print(f"WRONG: {sentence}")
    if wrong:
        sys.exit(1)
    print("Checked: every event came out once, each order's events as 1, 2, 3 ... without a hole.")


if __name__ == "__main__":
    main()
