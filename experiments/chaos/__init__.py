"""Faults made on purpose: kills, crashes, damaged files, full disks, misbehaving candidates and hostile input."""
