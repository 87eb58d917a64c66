"""The commands of the plugin besides a run: each prints, and returns an exit code."""
