"""The weather service Open-Meteo.

source.py    the source of kind "open_meteo": settings, and which days and places to ask for
places.py    its interfaces and their variables, and the places that are asked for
request.py   one request, the checks of its response, and the batch it makes
"""
