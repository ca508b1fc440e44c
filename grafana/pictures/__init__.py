"""Draws dashboards as pictures, with Grafana's own components, where no Grafana runs."""
