"""Prints the table of `make frozen`, from the reports that pytest wrote of its runs."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from xml.etree import ElementTree as ET

#: The code of a call that took effect after its receiver was thawed.
EFFECT = "OK"


def properties(case: ET.Element) -> dict[str, str]:
    """The properties that a test recorded."""
    return {found.attrib["name"]: found.attrib["value"] for found in case.iter("property")}


def failed(case: ET.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def main(reports: list[str]) -> None:
    """One line for each row: its runs, its failures, the answers that the frozen call got from etcd."""
    runs, failures = Counter[str](), Counter[str]()
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for case in ET.parse(report).iter("testcase"):
            found = properties(case)
            row = found.get("row")
            if row is None:
                continue
            runs[row] += 1
            failures[row] += failed(case)
            answers[row][found.get("frozen call") or "no answer"] += 1
    print("| row | runs | failures | the frozen call took effect | other answers to it |")
    print("|---|---|---|---|---|")
    for row in runs:
        refused = ", ".join(f"{count} {code}" for code, count in answers[row].most_common() if code != EFFECT)
        print(f"| {row} | {runs[row]} | {failures[row]} | {answers[row][EFFECT]} | {refused or '-'} |")


if __name__ == "__main__":
    main(sys.argv[1:])
