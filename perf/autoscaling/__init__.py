"""A day's load on replicas that Kubernetes' autoscaler adds and removes, simulated from measured figures."""
