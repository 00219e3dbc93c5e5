"""FRAME: rows, JSON payloads and files become DataFrames."""
