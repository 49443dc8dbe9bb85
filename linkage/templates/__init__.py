"""Prompts to templates, items and families; pure functions of text."""
