"""The linear path: ridge regression that stands beside the recurrent network."""
