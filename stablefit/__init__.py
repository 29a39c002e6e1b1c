"""Stable few-sample fine-tuning of pre-trained encoders in JAX, over many seeds."""
