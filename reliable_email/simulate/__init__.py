"""Plays the lives of providers with the decisions of `shared.policy`, on a clock of its own.

The law of this folder: no I/O, no wall-clock, and all chance comes from a seed, so that the same life with the same
seed and policy is the same to the last attempt. Only the command reads files and starts processes.
"""
