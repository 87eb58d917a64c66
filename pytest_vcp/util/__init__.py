"""Utilities that know nothing of models: processes, locks, progress, files, URLs."""
