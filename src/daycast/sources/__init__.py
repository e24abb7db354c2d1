"""Sources: everything that brings readings and external forecasts into daycast.

Read batch.py first: it has the contract of a source. Then read one of the kinds, for example sql.py, which is one file:

  sql.py          the result of a query
  files/          CSV and Parquet files in a folder
  noaa/           NOAA's archives ISD-Lite and GHCNh, from the web or from a folder
  open_meteo/     the weather service Open-Meteo
  sensorthings/   sensor networks that speak OGC SensorThings
  mqtt/           the messages of an MQTT broker
  simulated/      the built-in demonstration network

guess/ proposes the settings of the first two kinds for a file that nobody has described yet.

They share tables/ (cells to values, times and units), http/ (the HTTP client), streams.py (bytes and text from outside) and
context.py (folder and environment).
"""
