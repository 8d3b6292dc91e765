"""Tracts and regions: maps, tract loads, regional volumes."""
