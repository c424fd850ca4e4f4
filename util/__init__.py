"""Helpers that import nothing from models, data and options."""
