"""``make soak``: every reader fed with broken files, every run hit by faults; all of it seeded."""
