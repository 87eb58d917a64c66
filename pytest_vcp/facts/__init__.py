"""Facts about a package, its artifact and its predictions, stage by stage."""
