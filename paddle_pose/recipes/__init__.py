"""What a run is, and what its values must be."""
