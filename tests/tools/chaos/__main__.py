"""
Random changes under random faults, held to the contract's promises: `make chaos SEED=1 CHANGES=20`.

Prints a row for each change and a verdict. The exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from support.parts.lab import Lab
from tools.chaos.course import Row, run_step
from tools.chaos.drawing import Step, draw
from tools.chaos.world import World
from tools.laboratory import laboratory

HEADS = ("#", "change", "trouble", "operator", "outcome", "seconds", "longest write gap", "broken promises")


def print_row(*cells: object) -> None:
    print("| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |", flush=True)


def cells(step: Step, row: Row) -> tuple[object, ...]:
    broken = ", ".join(row.broken) or "none"
    return (
        step.number,
        row.change,
        row.trouble,
        row.operator,
        row.outcome,
        f"{row.seconds:.0f}",
        f"{row.gap:.1f}",
        broken,
    )


def run_steps(lab: Lab, seed: int, changes: int) -> list[Row]:
    """All rows. A change that broke a promise is followed by a fresh cluster."""
    rows = []
    world = World(lab)
    print_row(*HEADS)
    print_row(*("---" for _ in HEADS))
    for step in draw(seed, changes):
        row = run_step(world, step)
        rows.append(row)
        print_row(*cells(step, row))
        if row.broken:
            (lab.folder / f"change-{step.number}.txt").write_text(row.details)
            world.close()
            world = World(lab)
    if lost := world.writes.lost():
        rows[-1].broken.append(f"{len(lost)} acknowledged writes are lost, the first {lost[0]}")
        print(rows[-1].broken[-1])
    world.close()
    return rows


def print_summary(seed: int, rows: list[Row]) -> None:
    """One row of the table in docs/benchmarks.md."""
    verbs = Counter(row.change.split()[0] for row in rows)
    ends = Counter(outcome for row in rows for outcome in row.outcome.split())
    print("\nseed, joins, removals, replacements, ends, longest write gap, broken promises:")
    print_row(
        seed,
        *(verbs[verb] for verb in ("join", "remove", "replace")),
        ", ".join(f"{count} {outcome}" for outcome, count in ends.most_common()),
        f"{max(row.gap for row in rows):.1f} s",
        sum(len(row.broken) for row in rows) or "none",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--changes", type=int, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    with laboratory("chaos") as lab:
        rows = run_steps(lab, options.seed, options.changes)
    bad = sum(bool(row.broken) for row in rows)
    print_summary(options.seed, rows)
    minutes = (time.monotonic() - began) / 60
    verdict = f"{bad} broke a promise (logs: {lab.folder})" if bad else "no promise was broken"
    print(f"\nseed {options.seed}: {len(rows)} changes in {minutes:.0f} minutes, {verdict}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
