"""Dashboards and rules: well made, fresh, and about metrics that exist."""
