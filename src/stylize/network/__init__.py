"""The VGG-19 network: its layer names, its weights, and its forward and backward pass."""
