"""The algorithm: from pictures and options to a painted picture."""
