"""Speed and memory, side by side with PyTorch where it is installed; see README.md here."""
