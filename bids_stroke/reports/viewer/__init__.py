"""Interactive viewers of a session (``session``), of the lesion overlap (``overlap``) and of a
lesion-symptom map (``symptom_map``), and the page in which a lesion mask is corrected (``drawing``)."""
