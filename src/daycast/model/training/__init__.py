"""Training: networks, epoch by epoch, on as many threads or processes as the machine has."""
