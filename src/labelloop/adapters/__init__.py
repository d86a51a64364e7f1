"""Adapters: a package a technology."""
