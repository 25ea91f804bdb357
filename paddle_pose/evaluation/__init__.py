"""Per data set: people, truth, score, table, files."""
