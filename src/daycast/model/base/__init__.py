"""The base model: one network that was trained once on other climates and forecasts a station from its first day on."""
