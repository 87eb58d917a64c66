"""What is known of a package, an artifact and its predictions, stage by stage."""
