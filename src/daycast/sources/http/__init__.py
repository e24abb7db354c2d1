"""HTTP for all sources that need it.

auth.py        the `http = {…}` settings, and the secret: where it goes, and how it stays out of errors and logs
transport.py   one request over httpx: time-outs, redirects, limits, and which failures are worth another attempt
client.py      `Client`, which sources use: it retries and keeps the pace
"""
