"""The plugin's commands other than a test run: each prints its result and returns an exit code."""
