"""MLflow's own commands, run as users type them, monitored, and reliably ended."""
