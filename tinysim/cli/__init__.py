"""Command line: arguments in, tables and files out; no computation."""
