"""The log formats, one a file; each turns one parsed object into a raw canonical record."""
