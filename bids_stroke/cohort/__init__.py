"""The group level: table, overlap map, tract loads."""
