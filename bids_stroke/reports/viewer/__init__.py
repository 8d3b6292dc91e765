"""Interactive viewers: of a session (``session``) and of the lesion overlap (``overlap``)."""
