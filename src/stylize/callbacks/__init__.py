"""What watches a run: each callback is called with every `Step`, and may ask the run to stop."""
