"""Layers, optimizers, trainers and text tools shared by the chapters."""

__version__ = "0.1.0"
