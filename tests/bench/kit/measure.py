"""Measures a case: every side in turn, in another order each time, and what the medians say."""
import dataclasses
import os
import random
import statistics
import sys

import programs


@dataclasses.dataclass
class Comparison:
    """Ours beside one peer; `peer` is None when only our own figures count."""
    peer: object
    figures: dict  # the peer's medians
    ratio: float   # median of the repeats' ratios, None where there is none
    met: bool      # None without a goal

    @property
    def goal(self):
        return self.peer.goal if self.peer else None


@dataclasses.dataclass
class Outcome:
    case: object
    figures: dict       # our medians
    comparisons: list
    failures: dict      # {side's label: why}
    ceiling: float      # ops/s, None where there is none


def medians(runs):
    """{figure: median over the runs}"""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.median([run[name] for run in runs if name in run]) for name in names}


def ratio_of(ours, theirs, metric):
    """The median of the ratios of runs that stood side by side."""
    ratios = [a[metric] / b[metric] for a, b in zip(ours, theirs)
              if a.get(metric) is not None and b.get(metric)]
    return statistics.median(ratios) if ratios else None


def sides_of(case):
    """[(key, side, program, arguments, options)]; ours has the key None."""
    program = case.program or case.bench
    sides = [(None, "capstan", program, case.arguments, ())]
    for peer in case.peers:
        arguments = case.arguments if peer.arguments is None else peer.arguments
        sides.append((peer, peer.side, peer.program or program, arguments, peer.options))
    return sides


def show_progress(text):
    """On a terminal only: one line, overwritten."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_all(case, builder, repeats, seed):
    """({key: [figures of each repeat]}, {key: why it failed}); a side that failed is left out."""
    sides = sides_of(case)
    runs = {key: [] for key, *_ in sides}
    failures = {}
    for repeat in range(repeats):
        random.Random(seed + repeat).shuffle(sides)
        environment = {**os.environ, "CAPSTAN_BENCH_SEED": str(seed + repeat)}
        for key, side, program, arguments, options in sides:
            if key in failures:
                continue
            show_progress(f"{case.full_name} {side} {repeat + 1}/{repeats}")
            try:
                runs[key].append(builder.run(side, program, arguments, options, environment))
            except programs.Failed as failure:
                failures[key] = str(failure)
                runs[key] = []
    show_progress("")
    return runs, failures


def compare(case, peer, runs):
    ours, theirs = runs.get(None, []), runs[peer] if peer else []
    ratio = ratio_of(ours, theirs, case.metric) if peer else None
    goal = peer.goal if peer else case.goal
    met = goal.is_met(medians(ours), ratio) if goal else None
    return Comparison(peer, medians(theirs), ratio, met)


def measure(case, builder, repeats, seed):
    runs, failures = run_all(case, builder, repeats, seed)
    comparisons = [compare(case, peer, runs) for peer in case.peers or (None,)]
    rates = [medians(runs[peer]).get("ops_per_s") for peer in case.peers if peer.is_ceiling]
    return Outcome(case, medians(runs.get(None, [])), comparisons, failures,
                   rates[0] if rates else None)
