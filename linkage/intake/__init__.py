"""Log lines to checked canonical records, and records to the facts of a batch; pure functions."""
