"""Recipes: one file per paper or family, one function per published row."""
