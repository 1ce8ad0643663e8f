"""VGG-19: its layers' names, its weights, its forward and backward pass."""
