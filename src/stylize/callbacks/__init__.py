"""What watches each step of a run."""
