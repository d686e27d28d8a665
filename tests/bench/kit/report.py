"""Prints outcomes: a table for people, or a line of JSON per comparison."""
import json
import os

COLUMNS = ("bench", "case", "side", "ops/s", "p50 us", "p99 us", "CPU s", "peak MiB", "each B",
           "growth", "ratio", "goal", "met")
TEXT_COLUMNS = {"bench", "case", "side", "goal", "met"}
NAMES = {"capstan": "Capstan", "caf": "CAF", "erlang": "Erlang", "nats": "NATS", "redis": "Redis",
         "zmq": "libzmq",
         "dbos": "DBOS", "restate": "Restate", "hikaricp": "HikariCP"}
VERDICTS = {None: "", True: "met", False: "missed"}


def heading(versions, repeats, seed):
    load = os.getloadavg()
    return (f"Medians of {repeats} interleaved runs, base seed {seed}; {os.cpu_count()} cores, "
            f"load {load[0]:.1f} before the first run.\n" +
            ", ".join(f"{name} {version}" for name, version in versions.items()))


def peer_name(peer):
    """For people: CAF (one worker)."""
    return NAMES[peer.side] + (f" ({peer.label})" if peer.label else "")


# --- JSON -----------------------------------------------------------------------------------------

def json_row(outcome, comparison):
    def rounded(figures, name, digits):
        value = figures.get(name)
        return None if value is None else round(value, digits) if digits else round(value)

    ours, theirs = outcome.figures, comparison.figures
    peer = comparison.peer
    ratio = comparison.ratio
    return {
        "bench": outcome.case.bench, "case": outcome.case.name,
        "ops_per_s": rounded(ours, "ops_per_s", 0), "p50_us": rounded(ours, "p50_us", 3),
        "p99_us": rounded(ours, "p99_us", 3), "p999_us": rounded(ours, "p999_us", 3),
        "ceiling_ops_per_s": None if outcome.ceiling is None else round(outcome.ceiling),
        "peer": peer_name(peer) if peer else None, "metric": outcome.case.metric,
        "ratio": None if ratio is None else round(ratio, 3), "met": comparison.met,
        "cpu_s": rounded(ours, "cpu_s", 3), "rss_bytes": rounded(ours, "rss_bytes", 0),
        "bytes_each": rounded(ours, "bytes_each", 0), "growth": rounded(ours, "growth", 3),
        "peer_ops_per_s": rounded(theirs, "ops_per_s", 0),
        "peer_p50_us": rounded(theirs, "p50_us", 3), "peer_p99_us": rounded(theirs, "p99_us", 3),
        "peer_cpu_s": rounded(theirs, "cpu_s", 3),
        "peer_rss_bytes": rounded(theirs, "rss_bytes", 0),
        "peer_growth": rounded(theirs, "growth", 3),
    }


def print_json(outcome):
    for comparison in outcome.comparisons:
        print(json.dumps(json_row(outcome, comparison), separators=(",", ":")), flush=True)


# --- the table ------------------------------------------------------------------------------------

def figure_cells(figures):
    def cell(name, scale, decimals):
        value = figures.get(name)
        return "-" if value is None else f"{value / scale:,.{decimals}f}"

    return [cell("ops_per_s", 1, 0), cell("p50_us", 1, 1), cell("p99_us", 1, 1),
            cell("cpu_s", 1, 2), cell("rss_bytes", 1 << 20, 0), cell("bytes_each", 1, 0),
            cell("growth", 1, 2)]


def table_rows(outcome):
    """Ours, then each peer with the ratio and the goal that belongs to it."""
    case = outcome.case
    own_goal = outcome.comparisons[0] if not case.peers else None
    yield [case.bench, case.name, "Capstan", *figure_cells(outcome.figures), "-",
           case.goal.text if case.goal else "", VERDICTS[own_goal.met if own_goal else None]]
    for comparison in outcome.comparisons:
        peer = comparison.peer
        if peer:
            ratio = "-" if comparison.ratio is None else f"{comparison.ratio:.2f}"
            yield ["", "", peer_name(peer), *figure_cells(comparison.figures), ratio,
                   peer.goal.text if peer.goal else "", VERDICTS[comparison.met]]


def point_lines(outcome):
    """What a message costs at each number of actors, of the sides that measured it."""
    sides = [("Capstan", outcome.figures)] + \
        [(peer_name(comparison.peer), comparison.figures)
         for comparison in outcome.comparisons if comparison.peer]
    for side, figures in sides:
        points = [f"{value:.0f} at {int(name.removeprefix('ns_at_')):,}"
                  for name, value in figures.items() if name.startswith("ns_at_")]
        if points:
            yield f"{outcome.case.full_name}: {side}, ns: {', '.join(points)}"


def print_table(outcomes):
    rows = [list(COLUMNS)] + [row for outcome in outcomes for row in table_rows(outcome)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        cells = [text.ljust(width) if name in TEXT_COLUMNS else text.rjust(width)
                 for name, text, width in zip(COLUMNS, row, widths)]
        print("  ".join(cells).rstrip())
    print()
    for outcome in outcomes:
        case = outcome.case
        print(f"{case.full_name}: {case.what}; sizes {' '.join(map(str, case.arguments))}; "
              f"the ratio is that of {case.metric}")
        print("".join(f"{line}\n" for line in point_lines(outcome)), end="")
        for peer, why in outcome.failures.items():
            print(f"{case.full_name}: {peer_name(peer) if peer else 'Capstan'} FAILED: {why}")
