"""Marks for people to read: pages, plots, and tables in the terminal."""
