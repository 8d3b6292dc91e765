"""Group level: group table, lesion overlap, tract loads."""
