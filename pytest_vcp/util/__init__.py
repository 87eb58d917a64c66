"""General utilities, independent of models: processes, locks, progress, files, URLs."""
