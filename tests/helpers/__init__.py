"""Helpers of the tests: small worlds, files of data sets, servers, processes, pages."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
