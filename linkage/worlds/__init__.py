"""Simulated worlds with exact truth, and scores against a truth file."""
