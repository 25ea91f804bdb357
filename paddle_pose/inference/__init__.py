"""Networks to poses."""
