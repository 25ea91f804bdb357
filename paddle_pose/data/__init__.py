"""Disk → arrays: annotation files to records, records to crops and targets."""
