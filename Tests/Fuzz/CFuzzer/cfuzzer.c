// A header alone makes no target.
