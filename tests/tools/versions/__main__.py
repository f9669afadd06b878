"""
The table of docs/versions.md: every change on clusters of every supported version, and of two neighbours.

`make versions` takes ten minutes. It prints each row, and writes the table when all rows are done. The exit code is 1
when a change did not end as it should. With `--build` it only builds the servers.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from support.parts.etcd_versions import MINORS, exact, newest
from support.parts.lab import Lab
from tools.laboratory import laboratory
from tools.versions.courses import COURSES, MIXES, TOO_OLD, Mix, build, refused_by_etcd, took

PAGE = Path(__file__).parents[3] / "docs" / "versions.md"
MARK = re.compile(r"(<!-- generated: versions -->\n).*?(<!-- end -->)", re.DOTALL)
HEADS = ("voters ← new members", *COURSES)


def row_of(lab: Lab, mix: Mix) -> tuple[str, ...]:
    """The seconds of each course, or why it failed. Each failure is followed by a fresh cluster."""
    cells, cluster = [], build(lab, mix)
    for course in COURSES.values():
        try:
            cells.append(f"{took(course, cluster, mix):.1f} s")
        except AssertionError as error:
            print(error, file=sys.stderr)
            cells.append("**FAILED**")
            lab.clean_up()
            cluster = build(lab, mix)
    lab.clean_up()
    return (str(mix), *cells)


def too_old_row(lab: Lab, mix: Mix) -> tuple[str, ...]:
    """Etcd itself does not start this newcomer."""
    cluster = build(lab, mix)
    try:
        seconds = refused_by_etcd(cluster, mix)
        cell = f"rolled back after a `start_timeout` of {seconds}"
    except AssertionError as error:
        print(error, file=sys.stderr)
        cell = "**FAILED**"
    lab.clean_up()
    return (str(mix), cell, *("" for _ in list(COURSES)[1:]))


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(lines: list[str]) -> None:
    tried = ", ".join(exact(minor) for minor in MINORS)
    head = f"Run on {datetime.now(UTC):%Y-%m-%d} with etcd {tried}."
    table = "\n".join((head, "", line(HEADS), line(("---",) * len(HEADS)), *lines))
    PAGE.write_text(MARK.sub(lambda m: f"{m[1]}{table}\n{m[2]}", PAGE.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", action="store_true")
    for minor in MINORS:
        newest(minor)
    if parser.parse_args().build:
        return 0
    lines = []
    with laboratory("versions") as lab:
        for take, mixes in ((row_of, MIXES), (too_old_row, TOO_OLD)):
            for mix in mixes:
                lines.append(line(take(lab, mix)))
                print(lines[-1], flush=True)
    write(lines)
    return 1 if "FAILED" in "".join(lines) else 0


if __name__ == "__main__":
    sys.exit(main())
