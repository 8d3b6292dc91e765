"""The interactive viewer: of a session (:mod:`.session`), of a cohort (:mod:`.overlap`)."""
