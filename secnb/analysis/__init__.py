"""ANALYSIS: pure functions on DataFrames and arrays; no I/O; they never change their input."""
