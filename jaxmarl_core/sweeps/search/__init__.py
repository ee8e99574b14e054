"""Search: which runs of a sweep go on learning, and with which hyper-parameters."""
