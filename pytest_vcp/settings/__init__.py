"""Every setting of a run, resolved once: options, ini file, metadata file, policy."""
