"""What one run costs, beside what the author would do without the tool."""
