"""Servers and helpers that the tests, the demo and the benchmark share."""
