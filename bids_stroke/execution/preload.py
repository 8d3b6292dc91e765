"""What sessions fork from: a process that has loaded what they need, and that ends with its run."""

from . import session as session_process

session_process.end_with_parent()
