"""Devices and subprocesses."""
