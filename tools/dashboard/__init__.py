"""The Grafana dashboard: what is on it, and the JSON that Grafana reads."""
