"""daycast running by itself: a Prefect server, workers and deployments, kept up by one supervisor."""
