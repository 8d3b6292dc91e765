"""The interactive viewer: of a session (``session``), of a cohort (``overlap``)."""
