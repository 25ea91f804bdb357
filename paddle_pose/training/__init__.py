"""Steps, losses, schedules, the loop."""
