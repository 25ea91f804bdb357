"""What the scripts and tools do after parsing."""
