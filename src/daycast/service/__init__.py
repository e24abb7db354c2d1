"""daycast as a service: a Prefect server, workers and deployments, kept running by one supervisor.

Read `up` first (everything `daycast up` does), then `supervisor` and `reaper` (processes), `prefect_server` and `access` (the
server and its password), `deploy`, `alerts` and `trigger` (what is on the server), `server` (the REST client they share) and
`ephemeral_server` (a server for a single command).
"""
