"""Faults on real parts: lost answers, frozen members, killed leaders and workers, slow peers."""
