"""The client of the worker processes: start, ask, time out, end, describe the failure."""
