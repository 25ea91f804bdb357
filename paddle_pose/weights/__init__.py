"""Files of arrays: weights and training states, read as data."""
