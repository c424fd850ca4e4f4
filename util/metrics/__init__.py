"""Measures of image quality."""
