"""Checks and helpers that several tests share."""
