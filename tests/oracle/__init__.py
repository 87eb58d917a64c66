"""What the platform's own way says of a package, beside what this suite says of it."""
