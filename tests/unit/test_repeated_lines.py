"""A caller who makes a worker say the same thing again and again does not fill its log."""

from __future__ import annotations

import logging

from logs import Repeats


class Log:
    """A log at a time of the test's choice."""

    def __init__(self):
        self.now = 0.0
        self._filter = Repeats(lambda: self.now)

    def lines(self, *texts, level=logging.WARNING):
        """The texts that are written."""
        records = [logging.LogRecord("memberflow", level, "", 1, text, (), None) for text in texts]
        return [record.getMessage() for record in records if self._filter.filter(record)]


def test_the_same_thing_is_written_a_few_times_and_counted():
    """Also where each line names another change. The count comes with the next line, after a minute."""
    log = Log()
    texts = [f"activity failed: memberflow:prod:join:etcd-{n} run 0a1b-{n}" for n in range(1000)]
    assert log.lines(*texts) == texts[:20]
    log.now = 61.0
    assert log.lines(texts[0]) == [f"{texts[0]} (980 more lines like this were left out)"]
    assert log.lines(texts[1]) == [texts[1]]


def test_other_lines_are_written():
    """A flood hides no other warning, and no stage of a change."""
    log = Log()
    log.lines(*["the same"] * 1000)
    assert log.lines("another") == ["another"]
    assert len(log.lines(*["stage"] * 1000, level=logging.INFO)) == 1000


def test_texts_that_are_all_different_fill_no_memory():
    """A caller chooses a part of many texts."""
    log = Log()
    log.lines(*(chr(0x4E00 + n) for n in range(5000)), *(chr(0x4E00 + n) + "x" * 100_000 for n in range(100)))
    assert len(log._filter._seen) <= 1000
    assert max(len(text) for _, text in log._filter._seen) <= 500
