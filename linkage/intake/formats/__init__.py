"""Log formats that need code: where the canonical fields are in a record of each; one room a format."""
