"""Training of the networks. Read trainer.py first: the loss and the training loop.

state.py holds what a training needs and what it can be resumed from, sampling.py draws windows, plan.py chooses the number of
epochs, ensemble.py trains the members and chooses among them, parallel.py has the threads and processes.
"""
