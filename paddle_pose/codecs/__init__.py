"""Joint coordinates ⇄ what a network predicts; numpy only."""
